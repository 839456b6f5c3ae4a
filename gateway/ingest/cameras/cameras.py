"""All cameras: which there are, who wants their frames, and the newest of each."""

import asyncio
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import ValidationError

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.camera import Camera, Wake
from gateway.ingest.cameras.mailbox import Mailbox
from gateway.ingest.cameras.pace import Clock, RealClock
from gateway.ingest.cameras.settings import MAX_NAME, CameraSettings
from gateway.ingest.cameras.source import FrameSource
from gateway.ingest.cameras.sources import source_for
from gateway.ingest.cameras.state import CameraState
from gateway.model import Frame, FrameSpec, Points
from gateway.topics import token

log = logging.getLogger(__name__)

MAX_OWN = 64
"""Devices that send pictures and that no file names; each has a thread."""
SILENT_S = 3600.0
"""One of them that was silent for so long makes room for another."""
STOP_LIMIT_S = 8.0

Sources = Callable[[CameraSettings], FrameSource]


@dataclass(frozen=True, slots=True)
class _Consumer:
    spec: FrameSpec
    wake: Wake


class Cameras:
    """The cameras of this box; each has a thread, and none can hold up another.

    All methods are called from one thread, the event loop's; only ``stop`` blocks.

    Args:
        sources: Makes the source of a camera's frames.
        clock: Time.
    """

    def __init__(self, sources: Sources = source_for, clock: Clock | None = None) -> None:
        self._sources = sources
        self._clock = clock or RealClock()
        self._cameras: dict[str, Camera] = {}
        self._mailboxes: dict[str, Mailbox] = {}  # by the camera's name
        self._by_device: dict[str, str] = {}  # name of the camera, "" for one switched off
        self._own: dict[str, float] = {}  # cameras that no file names, and when they last sent
        self._ending: list[Camera] = []
        self._consumers: dict[str, _Consumer] = {}
        self._full_told = False

    def configure(self, settings: Mapping[str, CameraSettings]) -> None:
        """Have exactly these cameras, and those over MQTT that no file names.

        What does not change goes on undisturbed; what does is begun anew.

        Args:
            settings: The cameras' files by name.
        """
        named = {s.address.rest for s in settings.values() if s.address.scheme == "mqtt"}
        for name, camera in list(self._cameras.items()):
            if name in self._own:
                stays = name not in settings and camera.settings.address.rest not in named
            else:
                stays = settings.get(name) == camera.settings
            if not stays:
                self._remove(name)
        for name, each in settings.items():
            if name not in self._cameras:
                self._add(name, each)

    def want(self, consumer: str, spec: FrameSpec, wake: Wake) -> None:
        """Keep the newest frame of each wanted camera for a consumer, of later cameras too.

        Args:
            consumer: Its name; a second call replaces the first.
            spec: Which frames.
            wake: Called from a camera's thread when there is one to take; must not block.
        """
        self.unwant(consumer)
        self._consumers[consumer] = _Consumer(spec, wake)
        for camera in self._cameras.values():
            self._attach(consumer, camera)

    def unwant(self, consumer: str) -> None:
        """Keep no more frames for a consumer."""
        if self._consumers.pop(consumer, None):
            for camera in self._cameras.values():
                camera.unwant(consumer)

    def take(self, consumer: str) -> list[Frame]:
        """Return the newest frame of each camera that the consumer has not yet taken."""
        taken = [camera.take(consumer) for camera in self._cameras.values()]
        return [frame for frame in taken if frame is not None]

    def offer(self, device: str, jpeg: bytes, received_ns: int) -> None:
        """Take a picture that came over MQTT; it is decoded in its camera's thread, if at all.

        A device that no camera's file names becomes a camera of its own.

        Args:
            device: As its firmware profile names it.
            jpeg: A JPEG file.
            received_ns: When it came in, Unix ns.
        """
        name = self._by_device.get(device)
        if name is None:
            name = self._adopt(device)
        if not name:
            return
        if name in self._own:
            self._own[name] = time.monotonic()
        self._mailboxes[name].put(jpeg, received_ns)

    def places(self, camera: str) -> dict[str, Points]:
        """Return the lines and zones of a camera's file, by name."""
        found = self._cameras.get(camera)
        return found.settings.places if found else {}

    def presence(self) -> dict[str, bool]:
        """Return whether each camera that is wanted gives pictures."""
        states = ((name, camera.state().state) for name, camera in self._cameras.items())
        return {name: state == "streaming" for name, state in states if state != "off"}

    def states(self) -> list[CameraState]:
        """Return how the cameras are doing, by name."""
        return [self._cameras[name].state() for name in sorted(self._cameras)]

    async def look(self, name: str, limit_s: float) -> Frame:
        """Return a camera's next frame.

        Raises:
            CameraAwayError: There is no such camera, or no frame came in time.
        """
        camera = self._cameras.get(name)
        if camera is None:
            known = ", ".join(sorted(self._cameras)) or "none"
            raise CameraAwayError(f"there is no camera {name}; there are: {known}")
        if not camera.settings.enabled:
            raise CameraAwayError(f"camera {name} is switched off in its file")
        look = camera.look()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(look), limit_s)
        except TimeoutError:
            state = camera.state()
            why = f": {state.reason}" if state.reason else ""
            text = f"camera {name} gave no frame within {limit_s:g} s; it is {state.state}{why}"
            raise CameraAwayError(text) from None

    def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """End all threads and wait for them, together no longer than ``limit_s``; blocks."""
        for name in list(self._cameras):
            self._remove(name)
        until_s = time.monotonic() + limit_s
        left = [each.name for each in self._ending if not each.join(until_s - time.monotonic())]
        self._ending.clear()
        if left:
            log.warning("cameras that did not end in %g s: %s", limit_s, ", ".join(left))

    def _add(self, name: str, settings: CameraSettings) -> None:
        source = self._sources(settings)
        if settings.address.scheme == "mqtt":
            self._by_device[settings.address.rest] = name if settings.enabled else ""
            if isinstance(source, Mailbox):
                self._mailboxes[name] = source
        camera = self._cameras[name] = Camera(name, settings, source, self._clock)
        for consumer in self._consumers:
            self._attach(consumer, camera)
        camera.start()

    def _remove(self, name: str) -> None:
        camera = self._cameras.pop(name)
        camera.end()
        self._ending = [each for each in self._ending if not each.join(0)] + [camera]
        self._own.pop(name, None)
        self._mailboxes.pop(name, None)
        self._by_device = {d: n for d, n in self._by_device.items() if n != name}
        if camera.settings.address.scheme == "mqtt":
            self._by_device.pop(camera.settings.address.rest, None)

    def _attach(self, consumer: str, camera: Camera) -> None:
        wanted = self._consumers[consumer]
        if any(fnmatchcase(camera.name, glob) for glob in wanted.spec.cameras):
            camera.want(consumer, wanted.spec.fps, wanted.wake)

    def _adopt(self, device: str) -> str:
        """Make a camera of a device that no file names; "" where that cannot be."""
        if len(self._own) >= MAX_OWN and not self._make_room():
            if not self._full_told:
                log.warning("pictures of %s and others: over %d cameras by MQTT", device, MAX_OWN)
            self._full_told = True
            return ""
        try:
            settings = CameraSettings.model_validate({"url": f"mqtt:{device}"})
        except ValidationError:
            return ""
        name = token(device)[:MAX_NAME]
        if name in self._cameras:
            name = f"{name[: MAX_NAME - 9]}-{zlib.crc32(device.encode()):08x}"
        if name in self._cameras:
            return ""
        self._own[name] = time.monotonic()
        self._add(name, settings)
        return name

    def _make_room(self) -> bool:
        name = min(self._own, key=self._own.__getitem__)
        if time.monotonic() - self._own[name] < SILENT_S:
            return False
        self._remove(name)
        return True

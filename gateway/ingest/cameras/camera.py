"""One camera: its thread, and the newest frame for everyone who wants one."""

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.content import Content
from gateway.ingest.cameras.pace import Backoff, Clock, Due, Random, RealClock
from gateway.ingest.cameras.settings import CameraSettings
from gateway.ingest.cameras.source import Announced, FrameSource
from gateway.ingest.cameras.state import CameraState, Rate, State
from gateway.model import Frame

log = logging.getLogger(__name__)

STEADY_S = 5.0  # frames for so long: the next loss begins with the shortest wait again

Wake = Callable[[], object]


@dataclass(slots=True)
class _Viewer:
    """Someone who wants frames, and the newest one that it has not yet taken."""

    due: Due
    wake: Wake
    frame: Frame | None = None


class Camera:
    """Reads a camera in a thread of its own, and connects anew whenever it is lost.

    Every frame is grabbed, so that none queues up anywhere; it is decoded only when it is due for
    someone. It is connected when nobody wants frames too: snapshots and its age are there at once.

    Args:
        name: Its name.
        settings: Its file.
        source: Where its frames come from; used in the thread only.
        clock: Time.
        chance: Gives 0 to 1.
    """

    def __init__(
        self,
        name: str,
        settings: CameraSettings,
        source: FrameSource,
        clock: Clock | None = None,
        chance: Random = random.random,
    ) -> None:
        self.name = name
        self.settings = settings
        self._source = source
        self._clock = clock or RealClock()
        self._backoff = Backoff(chance)
        self._content = Content(settings.frozen_after_s)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # Below: written by the thread, read by others, all under the lock.
        self._lock = threading.Lock()
        self._viewers: dict[str, _Viewer] = {}
        self._looks: list[Future[Frame]] = []
        self._told = Announced(kind=settings.address.scheme)
        self._state: State = "off"
        self._reason = ""
        self._since_ns = self._clock.wall_ns()
        self._size = (0, 0)
        self._rate = Rate()
        self._number = self._decoded = self._skipped = self._damaged = 0
        self._dropped = self._taken = self._reconnects = self._resized = 0
        self._newest_s: float | None = None
        self._lost_s: float | None = None
        self._recovery_s: float | None = None

    def start(self) -> None:
        """Begin, in a thread, unless the camera is switched off in its file."""
        if self.settings.enabled:
            self._thread = threading.Thread(
                target=self.run, name=f"camera-{self.name}", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """Tell the thread to end, and do not wait for it."""
        self._stopping.set()
        with self._lock:
            looks, self._looks = self._looks, []
            self._viewers.clear()
        for look in looks:
            look.cancel()

    def join(self, limit_s: float) -> bool:
        """Wait for the thread to end, and say whether it did."""
        if self._thread is not None:
            self._thread.join(max(0.0, limit_s))
            return not self._thread.is_alive()
        return True

    def want(self, consumer: str, fps: float, wake: Wake) -> None:
        """Keep frames for a consumer; ``wake`` is called from the thread when there is one."""
        with self._lock:
            self._viewers[consumer] = _Viewer(Due(fps), wake)

    def unwant(self, consumer: str) -> None:
        """Keep frames for it no longer."""
        with self._lock:
            self._viewers.pop(consumer, None)

    def take(self, consumer: str) -> Frame | None:
        """Return the newest frame that a consumer has not yet taken, or None."""
        with self._lock:
            viewer = self._viewers.get(consumer)
            if viewer is None or viewer.frame is None:
                return None
            frame, viewer.frame = viewer.frame, None
            self._taken += 1
            return frame

    def look(self) -> "Future[Frame]":
        """Return the next frame, when it comes; cancel it to wait no longer."""
        look: Future[Frame] = Future()
        with self._lock:
            self._looks = [each for each in self._looks if not each.done()]
            self._looks.append(look)
        return look

    def state(self) -> CameraState:
        """Return how it is doing."""
        now_s = self._clock.now_s()
        with self._lock:
            age_s = None if self._newest_s is None else now_s - self._newest_s
            state, reason = self._state, self._reason
            stall_s = self.settings.stall_s
            if state == "streaming" and stall_s and age_s is not None and age_s > stall_s / 2:
                state, reason = "stalled", f"no frame for {age_s:.0f} s"
            replaced, broken = self._source.replaced, self._source.broken + self._damaged
            return CameraState(
                name=self.name,
                kind=self._told.kind,
                address=self.settings.shown_url,
                state=state,
                reason=reason,
                codec=self._told.codec,
                width=self._size[0],
                height=self._size[1],
                fps=round(self._rate.fps or self._told.fps, 2),
                read=self._number + replaced + self._source.broken,
                decoded=self._decoded,
                skipped=self._skipped + replaced,
                broken=broken,
                dropped=self._dropped,
                taken=self._taken,
                age_s=age_s,
                reconnects=self._reconnects,
                recovery_s=self._recovery_s,
                resized=self._resized,
                since_ns=self._since_ns,
            )

    def run(self) -> None:
        """Read frames until told to end; the thread's whole life."""
        while not self._stopping.is_set():
            try:
                self._read()
            except CameraAwayError as exc:
                reason = str(exc)
            except Exception as exc:  # the thread must go on, whatever a library does
                log.exception("camera %s: failed", self.name)
                reason = f"failed: {type(exc).__name__}"
            else:
                break
            finally:
                self._source.close()
            self._lose(reason)
            self._clock.wait(self._stopping, self._backoff.next_s())
        self._enter("off", self._reason)

    def _read(self) -> None:
        """Connect and read until it is lost, or until told to end."""
        self._enter("connecting", self._reason)
        told = self._source.open()
        with self._lock:
            self._told = told
            if told.width and told.height:
                self._note_size((told.width, told.height))
            self._rate.forget()
        opened_s = last_s = self._clock.now_s()
        while not self._stopping.is_set():
            if self._source.grab():
                last_s = self._clock.now_s()
                if last_s - opened_s > STEADY_S:
                    self._backoff.reset()
                self._on_frame(last_s)
            elif self.settings.stall_s and self._clock.now_s() - last_s > self.settings.stall_s:
                raise CameraAwayError(f"no frame for {self.settings.stall_s:g} s")

    def _on_frame(self, now_s: float) -> None:
        """Count a frame that was grabbed, and decode it if it is due for someone."""
        captured_ns = self._source.captured_ns() or self._clock.wall_ns()
        with self._lock:
            self._number += 1
            number = self._number
            self._newest_s = now_s
            self._rate.count(now_s)
            frozen = self._content.frozen
            due = [v for v in self._viewers.values() if not frozen and v.due(now_s)]
            looks, self._looks = self._looks, []
        if due or looks or self._content.is_due(now_s):
            image = self._decode()
            if image is None:
                with self._lock:
                    self._looks += looks  # they wait for the next one
            else:
                self._content.look(image, now_s)
                frame = Frame(self.name, number, captured_ns, image)
                _show(frame, looks)
                if not self._content.frozen:
                    self._give(frame, due)
        else:
            with self._lock:
                self._skipped += 1
        self._judge(now_s)

    def _decode(self) -> NDArray[np.uint8] | None:
        image = self._source.retrieve()
        with self._lock:
            if image is None:
                self._damaged += 1
                return None
            self._decoded += 1
            self._note_size((image.shape[1], image.shape[0]))
        image.flags.writeable = False  # it is handed to several
        return image

    def _note_size(self, size: tuple[int, int]) -> None:
        if size != self._size:
            self._resized += self._size != (0, 0)
            self._size = size

    def _give(self, frame: Frame, due: list[_Viewer]) -> None:
        with self._lock:
            for viewer in due:
                self._dropped += viewer.frame is not None
                viewer.frame = frame
        for viewer in due:
            viewer.wake()

    def _judge(self, now_s: float) -> None:
        """Set the state after a frame, and give up a picture that stands still for too long."""
        if not self._content.frozen:
            if self._state != "streaming":
                self._enter("streaming", "")
                self._note_return(now_s)
            return
        if self._content.is_overdue(now_s):
            self._content.try_again(now_s)
            after_s = self.settings.frozen_after_s
            raise CameraAwayError(f"the picture has not changed for {after_s:g} s")
        if self._state != "frozen":
            self._enter("frozen", "the picture does not change")

    def _note_return(self, now_s: float) -> None:
        with self._lock:
            told, size = self._told, self._size
            if self._lost_s is not None:
                self._recovery_s = now_s - self._lost_s
                self._reconnects += 1
            lost_s, self._lost_s = self._lost_s, None
        back = "" if lost_s is None else f", back after {now_s - lost_s:.1f} s"
        log.info("camera %s: streaming, %s %dx%d%s", self.name, told.codec, *size, back)

    def _lose(self, reason: str) -> None:
        new = self._state in {"streaming", "frozen"} or reason != self._reason
        if new:  # not again with each try
            log.warning("camera %s: lost: %s", self.name, reason)
        with self._lock:
            if self._lost_s is None:
                self._lost_s = self._newest_s
        self._enter("backing_off", reason)

    def _enter(self, state: State, reason: str) -> None:
        with self._lock:
            if state != self._state:
                self._since_ns = self._clock.wall_ns()
            self._state, self._reason = state, reason


def _show(frame: Frame, looks: list[Future[Frame]]) -> None:
    for look in looks:
        with contextlib.suppress(InvalidStateError):  # it waits no longer
            look.set_result(frame)

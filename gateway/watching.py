"""One plugin at work on frames: the newest of each camera becomes a result, or an outcome.

Frames are not kept: after a crash the plugin goes on with the next ones, from what it had handed
back of its counts.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from gateway.errors import WorkerError
from gateway.features import Mark
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner, PoisonedError
from gateway.inference.slots import SLOTS
from gateway.inference.vision.drawing import draw
from gateway.ingest.cameras import Cameras
from gateway.model import Frame, Frames, Result
from gateway.snapshots import Album, SnapshotError
from gateway.telling import Surroundings
from gateway.work import Quantities, Work

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sights:
    """What the plugins that look at cameras share.

    Attributes:
        cameras: Where frames come from.
        album: Where snapshots go.
        each_outcome: A snapshot is kept of every outcome.
    """

    cameras: Cameras
    album: Album
    each_outcome: bool = False


class Watching(Work):
    """Evaluates the frames of one plugin until it is cancelled.

    Args:
        manifest: The plugin's.
        runner: Its process.
        around: What all plugins share.
        sights: What those that look at cameras share.

    Attributes:
        wake: Set when there may be a frame.
    """

    def __init__(
        self, manifest: Manifest, runner: ModelRunner, around: Surroundings, sights: Sights
    ) -> None:
        super().__init__(manifest, runner, around)
        self.wake = asyncio.Event()
        self._name = manifest.name
        self._sights = sights
        self._quantities = _quantities(manifest)
        self._looks: dict[str, list[asyncio.Future[tuple[Frame, Result]]]] = {}

    @property
    def is_idle(self) -> bool:
        """Say whether everything is told; frames are not waited for."""
        return self.telling.is_idle

    async def run(self) -> None:
        """Evaluate and tell until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:  # called by the cameras' threads
            loop.call_soon_threadsafe(self.wake.set)

        cameras = self._sights.cameras
        cameras.want(self._name, self.manifest.frame_spec, wake)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_forever())
                group.create_task(self.telling.run())
        finally:
            cameras.unwant(self._name)

    async def look(self, camera: str, limit_s: float) -> tuple[Frame, Result]:
        """Return the camera's next frame that this plugin evaluates, and what it found.

        Raises:
            SnapshotError: There was none in time.
        """
        found: asyncio.Future[tuple[Frame, Result]] = asyncio.get_running_loop().create_future()
        self._looks.setdefault(camera, []).append(found)
        try:
            return await asyncio.wait_for(found, limit_s)
        except TimeoutError as exc:
            why = self.trouble or "is the camera among its [frame] cameras, and does it send?"
            raise SnapshotError(
                f"plugin {self._name} looked at no frame of {camera} in {limit_s:g} s: {why}"
            ) from exc
        finally:
            self._looks[camera].remove(found)

    async def _watch_forever(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.telling.is_full:  # noqa: ASYNC110 - only when the leaf is away
                await asyncio.sleep(0.05)
            await self.gate.wait()
            frames = self._sights.cameras.take(self._name)
            for i in range(0, len(frames), SLOTS):
                await self._watch_safely(frames[i : i + SLOTS])

    async def _watch_safely(self, frames: list[Frame]) -> None:
        self.is_evaluating = True
        try:
            await self._watch(frames)
        except WorkerError as exc:
            self._lose(frames, str(exc))
            await asyncio.sleep(exc.retry_after_s)
        except PoisonedError as exc:
            self._lose(frames, str(exc))
        except Exception:
            # This plugin must go on whatever it met.
            self._lose(frames, "internal error, see the log")
            log.exception("plugin %s", self._name)
            await asyncio.sleep(1.0)
        finally:
            self.is_evaluating = False

    def _lose(self, frames: list[Frame], why: str) -> None:
        """Count frames that were not evaluated; newer ones come."""
        self.skipped += len(frames)
        self.trouble = why

    async def _watch(self, frames: list[Frame]) -> None:
        """Evaluate one frame of each of some cameras.

        Raises:
            WorkerError: The plugin is not running, or failed on these frames.
            PoisonedError: It failed several times in a row.
        """
        latencies, began = self._around.latencies, time.perf_counter()
        taken_ns = self._around.clock.now_ns()
        for frame in frames:
            latencies.observe("frame", max(0, taken_ns - frame.captured_ns) / 1e9)
        cameras = self._sights.cameras
        batch = Frames(frames, [cameras.places(frame.camera) for frame in frames])
        results = await self.runner.evaluate(batch, self._states(batch.sources))
        latencies.observe("infer", time.perf_counter() - began)
        self._note_evaluated(batch.sources)
        for frame, result in zip(frames, results, strict=True):
            self._judge(frame, result)
            await self._show(frame, result)

    def _judge(self, frame: Frame, result: Result) -> None:
        """Tell what is to be told, and move the plugin's own mark."""
        source, end_ns = frame.camera, frame.captured_ns
        mark = self._marks.get(source) or Mark(0)
        told = not result.suppress
        if told:
            span_ns = result.since_ns or end_ns, end_ns
            packet = self._packet(source, result, self._quantities, span_ns, end_ns)
            if packet:
                self.telling.tell(packet, result)
        elif result.state is None:
            return
        label, reported_ns = (result.label, end_ns) if told else (mark.label, mark.reported_ns)
        state = mark.state if result.state is None else result.state
        self._reach(source, Mark(end_ns, label, reported_ns, state))

    async def _show(self, frame: Frame, result: Result) -> None:
        """Give a frame to who asked to see one, and keep a snapshot of an outcome."""
        for found in self._looks.get(frame.camera, ()):
            if not found.done():
                found.set_result((frame, result))
        if result.suppress or not self._sights.each_outcome:
            return
        try:
            await asyncio.to_thread(self.picture, frame, result)
        except SnapshotError as exc:
            log.warning("plugin %s: %s", self._name, exc)

    def picture(self, frame: Frame, result: Result) -> str:
        """Draw what was found into a frame, keep it, and return its path.

        Raises:
            SnapshotError: Snapshots are off, or it cannot be written.
        """
        places = self.manifest.places | self._sights.cameras.places(frame.camera)
        drawn = draw(frame.image, result.seen, places, result.numbers)
        return str(self._sights.album.save(f"{frame.camera}-{self._name}", drawn))


def _quantities(manifest: Manifest) -> Quantities:
    """Return what is observed, for the fingerprint: of counts what is counted, not its name."""
    kept = manifest.detect.keep if manifest.detect else ()
    return tuple(
        (each.name, f"{{{name}}} {each.what}")
        for each in manifest.count
        for name in (each.classes or kept or ("object",))
    )

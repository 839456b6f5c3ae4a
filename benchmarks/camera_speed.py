"""How fast frames go through one core, against the bare model; and INT8 against FP32."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import psutil
import uvloop

from gateway.inference.frame_sections import FrameSection
from gateway.inference.manifest import Manifest, load_manifest
from gateway.inference.models import load_model
from gateway.inference.runner import WorkerRunner
from gateway.inference.slots import SLOTS, fit_into
from gateway.inference.vision.finder import Finder
from gateway.inference.vision.fitted import Fitted, Pixels
from gateway.inference.vision.tensor import Tensors
from gateway.inference.vision.watcher import WEAK, Watcher
from gateway.model import Frame, Frames, Outcome, Result, Seen
from gateway.outcomes.packet import encode

CAMERAS = (1, SLOTS)
"""Whose frames go to the plugin in one call: as of a gateway with one camera, and with many."""
ROUNDS = 8
_APART = 150  # frames, from one camera's place in the clip to the next one's
_BLOCK = 200
_SAME_IOU = 0.5


class Cost(NamedTuple):
    """What a frame, or a run of the model, takes.

    Attributes:
        ms: By the clock.
        cpu_ms: Of processor time. What else runs lengthens it less, but it does: it takes caches.
    """

    ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Way:
    """The whole way of a frame: decoded, fitted, handed to the plugin, looked at, counted, packed.

    Attributes:
        cameras: Whose frames went in one call.
        frame: What a frame takes.
        share: What the bare model takes as a part of that, the median of the rounds.
        stages_ms: Where a frame's processor time goes.
    """

    cameras: int
    frame: Cost
    share: Cost
    stages_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Speed:
    """What one core does with one model.

    Attributes:
        bare: A run of the model alone, on a tensor that is there.
    """

    model: str
    bare: Cost
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the detections of two models differ on the same frames.

    Attributes:
        found: How many objects the first and the second found.
        same: Of those of the first, the share with a counterpart (IoU over 0.5).
        score_change: Mean absolute difference of the counterparts' scores.
        frames_same_count: Share of the frames in which both found as many.
    """

    found: tuple[int, int]
    same: float
    score_change: float
    frames_same_count: float


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(folder: Path, clip: Path, seconds: float = 24.0) -> Speed:
    """Measure a plugin that finds objects with frames of a clip, on one core.

    The model alone and the whole way take turns: a machine that slows down does so for both.

    Args:
        folder: The plugin's.
        clip: A video.
        seconds: How long the measurement takes.
    """
    manifest = load_manifest(folder)
    threads = cv2.getNumThreads()
    with one_core():
        cv2.setNumThreads(1)
        try:
            inside = _inside(manifest, clip)
            return uvloop.run(_measured(manifest, clip, seconds, inside))
        finally:
            cv2.setNumThreads(threads)


async def _measured(
    manifest: Manifest, clip: Path, seconds: float, inside: dict[str, float]
) -> Speed:
    bare = _bare(manifest)
    runner = WorkerRunner(manifest, golden_every_s=3600)
    await runner.start()
    try:
        walks = [_Walk(manifest, runner, clip, cameras) for cameras in CAMERAS]
        turn_s = seconds / ROUNDS / (1 + len(walks))
        rounds = [
            [_bare_cost(bare, turn_s), *[await walk.go(turn_s) for walk in walks]]
            for _ in range(ROUNDS)
        ]
    finally:
        await runner.stop()
    table = np.array(rounds)  # [rounds, bare and ways, ms and cpu_ms]
    costs = [Cost(*row) for row in np.median(table, axis=0).tolist()]
    shares = [Cost(*row) for row in np.median(table[:, :1] / table[:, 1:], axis=0).tolist()]
    ways = [
        Way(len(walk.states), cost, share, _stages_ms(cost, walk, inside))
        for walk, cost, share in zip(walks, costs[1:], shares, strict=True)
    ]
    return Speed(manifest.name, costs[0], tuple(ways))


def _bare(manifest: Manifest) -> Callable[[], object]:
    model = load_model(manifest)
    assert model is not None
    size = Watcher(model, manifest).size
    images = np.zeros((1, size[1], size[0], 3), np.uint8)
    frame = manifest.frame or FrameSection()
    name, spec = next(iter(model.inputs.items()))
    tensors = {name: Tensors(frame, spec.dtype)(images)}
    return lambda: model(tensors)


def _bare_cost(call: Callable[[], object], seconds: float) -> Cost:
    call()
    began, spent_s, count = time.perf_counter(), _cpu_s(), 0
    while (now := time.perf_counter()) < began + seconds:
        call()
        count += 1
    return Cost(1000 * (now - began) / count, 1000 * (_cpu_s() - spent_s) / count)


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it started."""
    started = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + sum(times.user + times.system for times in started)


class _Walk:
    """Frames of some cameras, all the way.

    Attributes:
        states: What the plugin gave back, of each camera.
        spent: What each stage took of each frame, s of processor time.
    """

    def __init__(self, manifest: Manifest, runner: WorkerRunner, clip: Path, cameras: int) -> None:
        self.states: list[bytes | None] = [None] * cameras
        self.spent: dict[str, list[float]] = {}
        self._manifest, self._runner, self._clip = manifest, runner, clip
        self._videos = [_opened(clip) for _ in range(cameras)]
        # Memory of each camera's own: in a gateway each has a thread, which gets the same again,
        # and here what 8 pictures give back would go to the system and come anew, zeroed.
        self._images = [image.copy() for image in frames(clip, 1) * cameras]
        for i, video in enumerate(self._videos):
            video.set(cv2.CAP_PROP_POS_FRAMES, i * _APART)
        self._number = 0

    async def go(self, seconds: float) -> Cost:
        """Go on for some time, and return what a frame took."""
        began, spent_s, before = time.perf_counter(), _cpu_s(), self._number
        while (now := time.perf_counter()) < began + seconds:
            await self._step()
        count = self._number - before
        return Cost(1000 * (now - began) / count, 1000 * (_cpu_s() - spent_s) / count)

    async def _step(self) -> None:
        frames = [self._frame(i) for i in range(len(self._videos))]
        results = await self._runner.evaluate(Frames(frames, [{} for _ in frames]), self.states)
        at = time.process_time()
        self.states = [r.state or s for r, s in zip(results, self.states, strict=True)]
        for frame, result in zip(frames, results, strict=True):
            _packet(self._manifest, frame, result)
            at = _note(self.spent, "packet", at)

    def _frame(self, camera: int) -> Frame:
        at = time.process_time()
        if not self._videos[camera].grab():
            self._videos[camera] = _opened(self._clip)
            self._videos[camera].grab()
        at = _note(self.spent, "decode", at)
        image = np.asarray(self._videos[camera].retrieve(self._images[camera])[1], np.uint8)
        _note(self.spent, "to BGR", at)
        self._number += 1
        return Frame(f"camera-{camera}", self._number, time.time_ns(), image)


def _stages_ms(cost: Cost, walk: _Walk, inside: dict[str, float]) -> dict[str, float]:
    stages = _means_ms(walk.spent) | inside
    # Decoding and the model drive each other's code and data out of the caches, too.
    return stages | {"to the process and back, and the rest": cost.cpu_ms - sum(stages.values())}


def _opened(clip: Path) -> cv2.VideoCapture:
    return cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def _packet(manifest: Manifest, frame: Frame, result: Result) -> None:
    """Make the packet; in a gateway only those frames have one that there is news of."""
    encode(
        Outcome(
            gateway="bench",
            source=frame.camera,
            context=manifest.context,
            plugin=manifest.identity,
            quantities=tuple((each.name, each.what) for each in manifest.count),
            start_ns=frame.captured_ns,
            end_ns=frame.captured_ns,
            result=result,
            received_ns=frame.captured_ns,
        )
    )


def _inside(manifest: Manifest, clip: Path) -> dict[str, float]:
    """Return what the parts take that lie within one call of the plugin's process."""
    model = load_model(manifest)
    assert model is not None
    assert manifest.detect is not None
    weak = {"min_score": WEAK * manifest.detect.min_score}  # as a watcher has it
    detect = manifest.detect.model_copy(update=weak)
    watcher = Watcher(model, manifest)
    finder = Finder(model, manifest.model_copy(update={"detect": detect}))
    frame = manifest.frame or FrameSection()
    name, spec = next(iter(model.inputs.items()))
    tensors = Tensors(frame, spec.dtype)
    letterbox = frame.fit == "letterbox"
    images = frames(clip, _BLOCK)
    out = np.zeros((1, finder.size[1], finder.size[0], 3), np.uint8)
    spent: dict[str, list[float]] = {}
    state: bytes | None = None
    for number, image in enumerate(images):
        at = time.process_time()
        fit_into(image, out[0], letterbox=letterbox)
        at = _note(spent, "fit", at)
        tensor = {name: tensors(out)}
        at = _note(spent, "tensor", at)
        model(tensor)
        at = _note(spent, "model", at)
        fitted = _fitted(image, out, number)
        finder.find(fitted)
        at = _note(spent, "find", at)
        state = watcher.watch(fitted, [state])[0].state or state
        _note(spent, "watch", at)
    each = _means_ms(spent)
    find, watch = each.pop("find"), each.pop("watch")
    boxes = find - each["tensor"] - each["model"]
    return each | {"boxes": boxes, "track and count": watch - find}


def _note(spent: dict[str, list[float]], stage: str, since: float) -> float:
    """Note what a stage took, and return the time now."""
    now = time.process_time()
    spent.setdefault(stage, []).append(now - since)
    return now


def _means_ms(spent: dict[str, list[float]]) -> dict[str, float]:
    return {stage: 1000 * float(np.mean(times)) for stage, times in spent.items()}


def _fitted(image: Pixels, out: Pixels, number: int) -> Fitted:
    when = np.array([number * 100_000_000], np.int64)
    return Fitted(["camera"], when, [(image.shape[1], image.shape[0])], [{}], out)


def frames(clip: Path, count: int, every: int = 1) -> list[Pixels]:
    """Return up to so many frames of a clip, every so-manieth, uint8 [height, width, 3] BGR."""
    video, found = _opened(clip), list[Pixels]()
    while len(found) < count and video.grab():
        if int(video.get(cv2.CAP_PROP_POS_FRAMES)) % every == 0:
            found.append(np.asarray(video.retrieve()[1], np.uint8))
    return found


def compare(first: Path, second: Path, images: list[Pixels]) -> Likeness:
    """Compare what two plugins' models find in the same pictures.

    Args:
        first: A plugin's folder.
        second: Another's.
        images: The pictures.
    """
    one, other = (_found(folder, images) for folder in (first, second))
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in _pairs(a, b)]
    total = sum(map(len, one))
    changes = [abs(a.score - b.score) for a, b in pairs]
    same_count = sum(len(a) == len(b) for a, b in zip(one, other, strict=True))
    return Likeness(
        found=(total, sum(map(len, other))),
        same=len(pairs) / total if total else 1.0,
        score_change=float(np.mean(changes)) if changes else 0.0,
        frames_same_count=same_count / len(images),
    )


def _found(folder: Path, images: list[Pixels]) -> list[list[Seen]]:
    manifest = load_manifest(folder)
    finder = Finder(load_model(manifest), manifest)
    letterbox = (manifest.frame or FrameSection()).fit == "letterbox"
    out = np.zeros((1, finder.size[1], finder.size[0], 3), np.uint8)
    found = []
    for number, image in enumerate(images):
        fit_into(image, out[0], letterbox=letterbox)
        found += finder.find(_fitted(image, out, number))
    return found


def _pairs(first: list[Seen], second: list[Seen]) -> list[tuple[Seen, Seen]]:
    """Return each object of the first with its best counterpart among the second, once each."""
    free, pairs = list(second), []
    for a in first:
        best = max(free, key=lambda b: _iou(a, b), default=None)
        if best is not None and _iou(a, best) > _SAME_IOU and a.label == best.label:
            free.remove(best)
            pairs.append((a, best))
    return pairs


def _iou(a: Seen, b: Seen) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    common = max(0.0, width) * max(0.0, height)
    areas = [(s.box[2] - s.box[0]) * (s.box[3] - s.box[1]) for s in (a, b)]
    return common / max(sum(areas) - common, 1e-9)

"""How fast frames go through one core, against the bare model; and INT8 against FP32."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gateway.inference.frame_sections import FrameSection
from gateway.inference.manifest import Manifest, load_manifest
from gateway.inference.models import load_model
from gateway.inference.runner import WorkerRunner
from gateway.inference.slots import fit_into
from gateway.inference.vision.finder import Finder
from gateway.inference.vision.fitted import Fitted, Pixels
from gateway.inference.vision.tensor import Tensors
from gateway.inference.vision.watcher import Watcher
from gateway.model import Frame, Frames, Outcome, Result, Seen
from gateway.outcomes.packet import encode

_BLOCK = 200
_SAME_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Speed:
    """What one core does with one model.

    Attributes:
        bare_fps: Runs of the model alone, on a tensor that is there.
        whole_fps: Frames of a file decoded, fitted, handed to the plugin's process, looked at,
            counted, and made into a packet each.
        stages_ms: Where the time of a frame goes, medians.
    """

    model: str
    bare_fps: float
    whole_fps: float
    stages_ms: dict[str, float]

    @property
    def share(self) -> float:
        """Return the whole path's speed as a part of the bare model's."""
        return self.whole_fps / self.bare_fps


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


def measure(folder: Path, clip: Path, seconds: float = 6.0) -> Speed:
    """Measure a plugin with frames of a clip, on one core.

    Args:
        folder: The plugin's.
        clip: A video.
        seconds: How long each of the two main measurements takes.
    """
    manifest = load_manifest(folder)
    threads = cv2.getNumThreads()
    with one_core():
        cv2.setNumThreads(1)
        try:
            # Before and after the whole path, so that a machine that slows down shows in neither.
            bare = _bare_fps(manifest, seconds / 2)
            whole, stages = asyncio.run(_whole(manifest, clip, seconds))
            bare = (bare + _bare_fps(manifest, seconds / 2)) / 2
            stages |= _inside(manifest, clip)
        finally:
            cv2.setNumThreads(threads)
    stages["to the process and back"] = stages.pop("evaluate") - stages["fit"] - stages.pop("watch")
    return Speed(folder.name, bare, whole, stages)


def _bare_fps(manifest: Manifest, seconds: float) -> float:
    model = load_model(manifest)
    assert model is not None
    size = Watcher(model, manifest).size
    images = np.zeros((1, size[1], size[0], 3), np.uint8)
    frame = manifest.frame or FrameSection()
    name, spec = next(iter(model.inputs.items()))
    tensors = {name: Tensors(frame, spec.dtype)(images)}
    return 1 / _seconds_each(lambda: model(tensors), seconds)


def _seconds_each(call: Callable[[], object], seconds: float) -> float:
    for _ in range(10):
        call()
    began, count = time.perf_counter(), 0
    while (now := time.perf_counter()) < began + seconds:
        call()
        count += 1
    return (now - began) / count


async def _whole(manifest: Manifest, clip: Path, seconds: float) -> tuple[float, dict[str, float]]:
    runner = WorkerRunner(manifest)
    await runner.start()
    spent: dict[str, list[float]] = {}
    state: bytes | None = None
    count, began = 0, time.perf_counter()
    try:
        video = _opened(clip)
        while time.perf_counter() < began + seconds:
            at = time.perf_counter()
            if not video.grab():
                video = _opened(clip)
                continue
            at = _note(spent, "decode", at)
            image = np.asarray(video.retrieve()[1], np.uint8)
            at = _note(spent, "to BGR", at)
            frame = Frame("camera", count + 1, time.time_ns(), image)
            (result,) = await runner.evaluate(Frames([frame], [{}]), [state])
            state = result.state or state
            at = _note(spent, "evaluate", at)
            _packet(manifest, frame, result)
            _note(spent, "packet", at)
            count += 1
        took = time.perf_counter() - began
    finally:
        await runner.stop()
    return count / took, _medians_ms(spent)


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
    watcher, finder = Watcher(model, manifest), Finder(model, manifest)
    assert model is not None
    frame = manifest.frame or FrameSection()
    name, spec = next(iter(model.inputs.items()))
    tensors = Tensors(frame, spec.dtype)
    letterbox = frame.fit == "letterbox"
    images = frames(clip, _BLOCK)
    out = np.zeros((1, finder.size[1], finder.size[0], 3), np.uint8)
    spent: dict[str, list[float]] = {}
    state: bytes | None = None
    for number, image in enumerate(images):
        at = time.perf_counter()
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
    each = _medians_ms(spent)
    find = each.pop("find")
    each["boxes"] = find - each["tensor"] - each["model"]
    each["track and count"] = each["watch"] - find
    return each


def _note(spent: dict[str, list[float]], stage: str, since: float) -> float:
    """Note what a stage took, and return the time now."""
    now = time.perf_counter()
    spent.setdefault(stage, []).append(now - since)
    return now


def _medians_ms(spent: dict[str, list[float]]) -> dict[str, float]:
    return {stage: 1000 * float(np.median(times)) for stage, times in spent.items()}


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

"""Frames into results: what the model finds, followed and counted camera by camera."""

import logging
from collections.abc import Callable
from typing import Any

import msgpack

from gateway.errors import PluginError
from gateway.inference.frame_sections import ClassifySection, DetectSection, EmbedSection
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.models import Model
from gateway.inference.sections import ReportSection
from gateway.inference.vision.classify import check_classes, classify
from gateway.inference.vision.embed import check_vector, embed
from gateway.inference.vision.eye import Eye
from gateway.inference.vision.finder import Finder
from gateway.inference.vision.fitted import Fitted
from gateway.inference.vision.scene import ObjectScene, check_labels
from gateway.inference.vision.views import Scene, Told, is_due
from gateway.inference.vision.whole import ClassScene, VectorScene, read_reference
from gateway.model import Points, Result

log = logging.getLogger(__name__)

MAX_CAMERAS = 1000
"""Of more the one that came first is forgotten; its state is in the store."""
WEAK = 0.5
"""Boxes down to this part of ``min_score`` may keep a track alive."""
_STATE_VERSION = 1

_Find = Callable[[Fitted], list[Any]]
_MakeScene = Callable[[str], Scene]
_Prepared = tuple[_Find, _MakeScene, tuple[int, int]]


class Watcher:
    """A plugin of frames without Python.

    It remembers the cameras that it has seen: their tracks, and what has been counted and told.
    What it is handed back as state is for a camera that it does not know, or whose clock went back:
    counts not yet reported go on, tracks do not.

    Args:
        model: The loaded model.
        manifest: The plugin's.

    Attributes:
        size: Width and height of the pictures that the model takes, px.

    Raises:
        PluginError: Model and manifest do not fit together.
    """

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        self._find, self._new_scene, self.size = _prepare(model, manifest)
        self._report = manifest.report
        self._cameras: dict[str, _Watched] = {}

    def watch(self, fitted: Fitted, states: list[bytes | None]) -> list[Result]:
        """Return a result for each frame; each camera stands once.

        Args:
            fitted: B frames.
            states: [B] what was last given of each camera.
        """
        found = self._find(fitted)
        times_ns: list[int] = fitted.end_ns.tolist()
        return [
            self._camera(camera, state, time_ns).look(each, time_ns, places)
            for camera, state, time_ns, each, places in zip(
                fitted.sources, states, times_ns, found, fitted.places, strict=True
            )
        ]

    def _camera(self, name: str, state: bytes | None, time_ns: int) -> "_Watched":
        watched = self._cameras.get(name)
        if watched is None or time_ns <= watched.time_ns:
            watched = _Watched(name, self._new_scene, self._report, state, time_ns)
            self._cameras[name] = watched
            if len(self._cameras) > MAX_CAMERAS:
                del self._cameras[next(iter(self._cameras))]
        return watched


class _Watched:
    """One camera and what was told of it.

    Attributes:
        time_ns: Of its last frame.
    """

    def __init__(
        self,
        camera: str,
        new_scene: _MakeScene,
        report: ReportSection,
        state: bytes | None,
        time_ns: int,
    ) -> None:
        self.time_ns = time_ns
        self._report = report
        self._scene = new_scene(camera)
        self._told: Told | None = None
        self._since_ns = time_ns
        if state is not None:
            try:
                self._restore(state)
            except Exception as exc:  # noqa: BLE001 - whatever is in it, the camera goes on
                log.warning("camera %s: its state is not taken: %r", camera, exc)
                self._scene, self._told, self._since_ns = new_scene(camera), None, time_ns
        self._given = self._packed()

    def look(self, found: Any, time_ns: int, places: dict[str, Points]) -> Result:  # noqa: ANN401 - the model's own
        """Return the result of a frame."""
        self.time_ns = time_ns
        view = self._scene.see(found, time_ns, places)
        since_ns = self._since_ns
        due = is_due(self._report, self._told, view, time_ns - since_ns)
        if due:
            self._scene.reported()
            self._told, self._since_ns = Told(view.label, view.levels), time_ns
        return Result(
            label=view.label,
            score=view.score,
            confidence=view.confidence,
            numbers=view.numbers,
            state=self._change(),
            suppress=not due,
            since_ns=since_ns,
            seen=view.seen,
        )

    def _change(self) -> bytes | None:
        """Return the state if it is another one than was given last."""
        state = self._packed()
        if state == self._given:
            return None
        self._given = state
        return state

    def _packed(self) -> bytes:
        told = list(self._told) if self._told else None
        packed: bytes = msgpack.packb([_STATE_VERSION, self._since_ns, told, self._scene.kept()])
        return packed

    def _restore(self, state: bytes) -> None:
        version, since_ns, told, kept = msgpack.unpackb(state)
        if version != _STATE_VERSION:
            raise ValueError(f"version {version}")
        self._since_ns = min(int(since_ns), self.time_ns)
        if told:
            label, levels = told
            self._told = Told(str(label), {str(k): float(v) for k, v in levels.items()})
        self._scene.restore(kept, self._told)


def _prepare(model: Model | None, manifest: Manifest) -> _Prepared:
    """Return what looks at pictures, what makes of it what is said, and the pictures' size."""
    if manifest.detect:
        return _objects(model, manifest, manifest.detect)
    if manifest.classify:
        return _classes(model, manifest, manifest.classify)
    if manifest.embed:
        return _vectors(model, manifest, manifest.embed)
    reason = "[frame] needs a head ([detect], [classify] or [embed]) or a plugin.py"
    raise PluginError(str(manifest.folder / MANIFEST), "frame", reason)


def _objects(model: Model | None, manifest: Manifest, detect: DetectSection) -> _Prepared:
    check_labels(manifest)
    with_weak = detect.model_copy(update={"min_score": WEAK * detect.min_score})
    finder = Finder(model, manifest.model_copy(update={"detect": with_weak}))
    return finder.find, lambda camera: ObjectScene(camera, manifest, detect), finder.size


def _classes(model: Model | None, manifest: Manifest, spec: ClassifySection) -> _Prepared:
    labels = manifest.outcome.labels
    eye = Eye(model, manifest)
    check_classes(manifest, eye.shapes)

    def find(fitted: Fitted) -> list[tuple[str, float]]:
        looks = eye.look(fitted.images)
        return [each for outputs in looks for each in classify(outputs, labels)]

    return find, lambda _: ClassScene(spec), eye.size


def _vectors(model: Model | None, manifest: Manifest, spec: EmbedSection) -> _Prepared:
    threshold = manifest.threshold
    if threshold is None:
        reason = "is required: [embed] gives a score, and the label is by its size"
        raise PluginError(str(manifest.folder / MANIFEST), "threshold.labels", reason)
    eye = Eye(model, manifest)
    reference = read_reference(manifest, spec, check_vector(manifest, eye.shapes))
    name = manifest.model.outputs.score

    def find(fitted: Fitted) -> list[Any]:
        # A copy: a runtime may write the next outputs where these are.
        return [each.copy() for outputs in eye.look(fitted.images) for each in embed(outputs, name)]

    return find, lambda _: VectorScene(spec, threshold, reference), eye.size

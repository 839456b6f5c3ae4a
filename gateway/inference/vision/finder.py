"""Frames into the objects in them, as ``[frame]`` and ``[detect]`` say."""

import difflib
import logging

import numpy as np
from numpy.typing import NDArray

from gateway.inference.frame_sections import DetectSection, FrameSection
from gateway.inference.manifest import Manifest
from gateway.inference.models import Model
from gateway.inference.vision.classes import COCO
from gateway.inference.vision.entry import refusal
from gateway.inference.vision.eye import Eye
from gateway.inference.vision.fitted import Fitted, to_parts
from gateway.inference.vision.fitting import check_head
from gateway.inference.vision.heads import read
from gateway.inference.vision.heads.detections import Detections, Size, Wanted
from gateway.inference.vision.overlap import sort_out
from gateway.model import Seen

log = logging.getLogger(__name__)


class Finder:
    """A detector: pictures to objects.

    Args:
        model: The loaded model.
        manifest: The plugin's, with ``[detect]``.

    Raises:
        PluginError: The model's input or outputs are not what the manifest says.
    """

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        if manifest.detect is None:
            raise refusal(manifest, "detect", "is required")
        detect = manifest.detect
        coco = detect.classes == "coco"
        self._names = class_names(detect)
        self._eye = Eye(model, manifest)
        check_head(manifest, self._eye.shapes, self._eye.size, len(self._names))
        self._detect = detect
        self._wanted = Wanted(self._eye.size, len(self._names), detect.min_score, coco)
        self._kept = _kept(manifest, self._names)
        self._letterbox = (manifest.frame or FrameSection()).fit == "letterbox"
        self._told = False

    @property
    def size(self) -> Size:
        """Return width and height of the pictures that the model takes, px."""
        return self._eye.size

    def find(self, fitted: Fitted) -> list[list[Seen]]:
        """Return the objects in each picture, the likeliest first.

        Args:
            fitted: Pictures in the model's size.
        """
        found: list[Detections] = []
        for outputs in self._eye.look(fitted.images):
            found += [self._sorted(each) for each in read(self._detect.head, outputs, self._wanted)]
        return [self._seen(*each) for each in zip(found, fitted.sizes, strict=True)]

    def _sorted(self, found: Detections) -> Detections:
        known = (found.classes >= 0) & (found.classes < len(self._kept))
        if not known.all() and not self._told:
            self._tell(found.classes[~known])
        rows = np.flatnonzero(known)
        rows = rows[self._kept[found.classes[rows]]]
        kept = Detections(found.boxes[rows], found.scores[rows], found.classes[rows])
        return sort_out(kept, iou=self._detect.iou, most=self._detect.max_objects)

    def _seen(self, found: Detections, size: tuple[int, int]) -> list[Seen]:
        parts = to_parts(found.boxes, size, self.size, letterbox=self._letterbox)
        rows = zip(parts.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
        return [
            Seen((left, top, right, bottom), self._names[number], score)
            for (left, top, right, bottom), score, number in rows
            if left < right and top < bottom  # else it lies in the letterbox's grey
        ]

    def _tell(self, classes: NDArray[np.int64]) -> None:
        """Say once what would otherwise look like an empty picture."""
        self._told = True
        log.warning(
            "the model found class %d; detect.classes has %d names, counted from 0."
            ' A model that counts from 1 needs "background" before them',
            classes[0],
            len(self._names),
        )


def class_names(detect: DetectSection) -> tuple[str, ...]:
    """Return the classes' names in the model's order."""
    return COCO if detect.classes == "coco" else tuple(detect.classes)


def _kept(manifest: Manifest, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return for each class whether it counts, bool [classes].

    Raises:
        PluginError: ``keep`` or a ``[[count]]`` names a class that there is not.
    """
    keep = manifest.detect.keep if manifest.detect else ()
    given = [("detect.keep", name, names) for name in keep]
    given += [("count.classes", c, keep or names) for each in manifest.count for c in each.classes]
    for key, name, known in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f": {', '.join(known[:10])}"
            raise refusal(manifest, key, f"{name!r} is not among the classes{hint}")
    return np.array([not keep or name in keep for name in names], np.bool_)

"""Detectors that decode their boxes and sort out overlaps themselves.

- rows of one picture: [1, 1, N, 7] or [N, 7] (Caffe's and OpenVINO's DetectionOutput): number of
  the picture, class, score, left, top, right, bottom; a negative number of the picture ends them;
- tables: boxes [B, N, 4], classes [B, N], scores [B, N] (TensorFlow's, then top, left, bottom,
  right: its outputs have ``detection`` in their names; ONNX's SSD: left, top, right, bottom);
- tables of one picture: boxes [N, 4], labels [N], scores [N] (torchvision);
- boxes [B, N, 5] or [N, 5] with the score in the last column, and labels (MMDetection).

Coordinates are parts of the picture, or px where one of them is greater than 2. A class is the
model's own number of it, an index of ``classes``: a model that counts from 1 needs "background"
before the others. With ``classes = "coco"`` the numbers are COCO's own, 1 to 90, as TensorFlow and
torchvision have them.

Source: OpenVINO operation specification DetectionOutput-8; tensorflow/models
``research/object_detection/exporter.py``; pytorch/vision ``torchvision/models/detection``;
open-mmlab/mmdeploy ``configs/mmdet/_base_/base_static.py`` (dets, labels).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.inference.vision.classes import COCO_BY_ID
from gateway.inference.vision.heads.detections import (
    ANY,
    Detections,
    Outputs,
    Shapes,
    Size,
    Wanted,
    detections,
    scaled,
)

TAKES = "[1, 1, N, 7], or boxes [1, N, 4] with classes [1, N] and scores [1, N]"

_MAX_PART = 2.0
"""A box that reaches out of the picture is a part a little over 1; more is px."""

_ONE = ((), (1, 1))


class _Ports(NamedTuple):
    boxes: str
    classes: str
    scores: str  # "" where they are in the boxes' last column


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return that any number of classes will do where the shapes fit; none: they do not."""
    return (ANY,) if _rows(shapes) or _ports(shapes) else ()


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    shapes = {name: output.shape for name, output in outputs.items()}
    if name := _rows(shapes):
        rows = outputs[name].reshape(-1, 7)
        ends = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ends[0]] if len(ends) else rows
        return [_found(rows[:, 3:], rows[:, 1], rows[:, 2], wanted)]
    ports = _ports(shapes)
    if ports is None:
        raise ValueError(f"no output is {TAKES}")
    boxes = _batched(outputs[ports.boxes], 3)
    classes = _batched(outputs[ports.classes], 2)
    scores = _batched(outputs[ports.scores], 2) if ports.scores else boxes[..., 4]
    boxes = boxes[..., [1, 0, 3, 2]] if "detection" in ports.boxes.lower() else boxes[..., :4]
    return [_found(*each, wanted) for each in zip(boxes, classes, scores, strict=True)]


def _rows(shapes: Shapes) -> str:
    fits = (n for n, s in shapes.items() if len(s) in {2, 4} and s[-1] == 7 and s[:-2] in _ONE)
    return next(fits, "")


def _ports(shapes: Shapes) -> _Ports | None:
    """Find boxes, classes and scores by shape, and classes and scores by name, then by order."""
    for boxes, shape in shapes.items():
        if len(shape) not in {2, 3} or shape[-1] not in {4, 5}:
            continue
        lists = [name for name, s in shapes.items() if s == shape[:-1]]
        if shape[-1] == 5 and lists:
            return _Ports(boxes, lists[0], "")
        named = [n for n in lists if "class" in n.lower() or "label" in n.lower()]
        if len(lists) >= 2 and shape[-1] == 4:
            classes = (named or lists)[0]
            others = [name for name in lists if name != classes]
            scores = next((n for n in others if "score" in n.lower()), others[0])
            return _Ports(boxes, classes, scores)
    return None


def _batched(output: NDArray[Any], dimensions: int) -> NDArray[Any]:
    return output if output.ndim == dimensions else output[None]


def _found(
    boxes: NDArray[Any], classes: NDArray[Any], scores: NDArray[Any], wanted: Wanted
) -> Detections:
    rows = np.flatnonzero(scores >= wanted.min_score)
    found = detections(boxes[rows], scores[rows], classes[rows])
    if found.boxes.max(initial=0) <= _MAX_PART:
        found = detections(scaled(found.boxes, wanted.size), found.scores, found.classes)
    if wanted.coco:
        known = (found.classes >= 0) & (found.classes < len(COCO_BY_ID))
        classes = np.where(known, COCO_BY_ID[np.where(known, found.classes, 0)], -1)
        found = found._replace(classes=classes)
    return found

"""YOLO's outputs, px of the input; which of four, the shape tells.

- [B, 4 + classes, N], v8, v9, v11, v12 (center x, center y, width, height, class scores), or the
  same as [B, N, 4 + classes];
- [B, N, 5 + classes], v5, v6, v7: the same with an objectness before the class scores; the score
  is their product. A YOLOX that decodes its own grids gives this as well;
- [B, N, 6], v10, v26 and others that sort out overlaps themselves: left, top, right, bottom,
  score, class.

Source: ultralytics/yolov5 ``utils/general.py`` (non_max_suppression), ultralytics/ultralytics
``utils/ops.py`` (non_max_suppression) and ``nn/modules/head.py`` (Detect.postprocess).
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.inference.vision.heads.detections import (
    ANY,
    Detections,
    Outputs,
    Shapes,
    Size,
    Wanted,
    best,
    corners,
    detections,
)

TAKES = "[1, 4 + classes, N] (v8, v11), [1, N, 5 + classes] (v5) or [1, N, 6] (v10)"

_STRIDES = (4, 8, 16, 32, 64, 128)
"""Of which a model has two or more in a row: 8, 16, 32 as a rule."""
_ANCHORS = (1, 3)
"""Boxes a cell: 3 up to v7."""
_MAX_READY = 1000
"""Rows of an output whose overlaps are sorted out, at most; 300 is the rule."""


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return how many classes outputs of these shapes may have; none: they do not fit."""
    counts: list[int] = []
    for shape in shapes.values():
        counts += _counts(shape, size)
    return tuple(dict.fromkeys(counts))


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    for output in outputs.values():
        fitting = _counts(output.shape, wanted.size)
        if wanted.classes in fitting or ANY in fitting:
            return [_decode(rows, wanted) for rows in output]
    raise ValueError(f"no output is {TAKES}")


def _counts(shape: tuple[int, ...], size: Size) -> list[int]:
    if len(shape) != 3:
        return []
    _, a, b = shape
    grids = _grids(size)
    if b == 6 and a <= _MAX_READY and a not in grids:
        return [ANY]
    found = [a - 4] if b in grids else []
    found += [b - 5, b - 4] if a in grids else []
    return [count for count in found if count > 0]


@cache
def _grids(size: Size) -> frozenset[int]:
    """Return how many boxes a model of this input may have."""
    cells = [math.ceil(size[0] / s) * math.ceil(size[1] / s) for s in _STRIDES]
    sums = {sum(cells[i:j]) for i in range(len(cells)) for j in range(i + 2, len(cells) + 1)}
    return frozenset(n * anchors for n in sums for anchors in _ANCHORS)


def _decode(output: NDArray[Any], wanted: Wanted) -> Detections:
    if ANY in _counts((1, *output.shape), wanted.size):
        rows = output[output[:, 4] >= wanted.min_score]
        return detections(rows[:, :4], rows[:, 4], rows[:, 5])
    if output.shape[0] == 4 + wanted.classes:  # a class a row: no copy to find the greatest
        scores = output[4:].max(axis=0)
        found = np.flatnonzero(scores >= wanted.min_score)
        classes = output[4:, found].argmax(axis=0)
        return detections(corners(output[:4, found].T), scores[found], classes)
    if output.shape[1] == 4 + wanted.classes:
        found, sure, classes = best(output[:, 4:], wanted)
        return detections(corners(output[found, :4]), sure, classes)
    rows = output[output[:, 4] >= wanted.min_score]
    found, sure, classes = best(rows[:, 5:] * rows[:, 4:5], wanted)
    return detections(corners(rows[found, :4]), sure, classes)

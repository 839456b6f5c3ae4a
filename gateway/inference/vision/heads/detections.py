"""What all heads share: what they are told, what they give, and the arithmetic between."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Outputs = Mapping[str, NDArray[Any]]
"""A model's outputs by name, in the model's order."""
Shapes = Mapping[str, tuple[int, ...]]
"""Their shapes, of one picture."""
Size = tuple[int, int]
"""Width and height, px."""

ANY = 0
"""Of a head whose outputs do not tell how many classes there are."""


class Wanted(NamedTuple):
    """What a head is told beside the outputs.

    Attributes:
        size: Width and height of the model's input, px.
        classes: How many the manifest names.
        min_score: What scores less is left out.
        coco: The names are COCO's 80, and the model may count them by COCO's own ids, 1 to 90.
    """

    size: Size
    classes: int
    min_score: float
    coco: bool = False


class Detections(NamedTuple):
    """What a head found in one picture, before boxes that overlap are sorted out.

    Attributes:
        boxes: float32 [n, 4], left, top, right, bottom, px of the fitted picture. Finite.
        scores: float32 [n], min_score to 1.
        classes: int64 [n], indices of the manifest's classes; out of their range where the model
            says something that the manifest does not know.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]


class Head(Protocol):
    """How one family of detectors tells what it found: a module of this package."""

    TAKES: str
    """The shapes that it reads, in words."""

    def class_counts(self, shapes: Shapes, size: Size) -> tuple[int, ...]:
        """Return how many classes outputs of these shapes may have; none: they do not fit."""
        ...

    def decode(self, outputs: Outputs, wanted: Wanted) -> list[Detections]:
        """Return what is found in each picture of the batch."""
        ...


def detections(boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any]) -> Detections:
    """Return detections without those that have a number that is none; scores end at 1."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    with np.errstate(invalid="ignore"):
        classes = np.where(np.isfinite(classes), classes, -1).astype(np.int64)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if not good.all():
        boxes, scores, classes = boxes[good], scores[good], classes[good]
    return Detections(boxes, np.minimum(scores, 1, dtype=np.float32), classes)


def corners(centers: NDArray[Any]) -> Floats:
    """Turn [n, 4] center x, center y, width, height into left, top, right, bottom."""
    centers = np.asarray(centers, np.float32)
    half = centers[:, 2:] / 2
    return np.concatenate([centers[:, :2] - half, centers[:, :2] + half], axis=1)


def scaled(boxes: NDArray[Any], size: Size) -> Floats:
    """Turn [n, 4] parts of the fitted picture into px."""
    return np.asarray(boxes, np.float32) * np.array([*size, *size], np.float32)


def best(table: NDArray[Any], wanted: Wanted) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Return the rows of [n, classes] with a score that will do, the score and its class."""
    scores = table.max(axis=1)
    rows = np.flatnonzero(scores >= wanted.min_score)  # false for NaN
    return rows, scores[rows].astype(np.float32), table[rows].argmax(axis=1)


def sigmoid(values: NDArray[Any]) -> Floats:
    """Return 1 / (1 + exp(-x)), which does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float32))), np.float32)


def softmax(values: NDArray[Any]) -> Floats:
    """Return exp(x) / sum(exp(x)) over the last axis, which does not overflow."""
    values = np.asarray(values, np.float32)
    with np.errstate(invalid="ignore"):  # inf - inf: NaN, which no score reaches
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


@cache
def cells(size: Size, strides: tuple[int, ...]) -> Floats:
    """Return column, row and stride of each cell of the grids of an input, float32 [N, 3].

    Row by row, the finest grid first. A grid has ceil(side / stride) cells.
    """
    grids = []
    for stride in strides:
        columns, rows = (-(-side // stride) for side in size)
        y, x = np.mgrid[:rows, :columns]
        grids.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    table = np.concatenate(grids).astype(np.float32)
    table.setflags(write=False)  # it is shared by all that ask
    return table

"""FastestDet's output: [B, 5 + classes, rows, columns].

Per cell objectness, tanh's arguments of the center's offset in cells, sigmoid's arguments of width
and height in pictures, class probabilities; the score is objectness^0.6 x class^0.4.

Source: dog-qiuqiu/FastestDet ``utils/tool.py`` (handle_preds), ``example/ncnn/FastestDet.cpp``.
"""

import numpy as np
from numpy.typing import NDArray

from gateway.inference.vision.heads.detections import (
    Detections,
    Outputs,
    Shapes,
    Size,
    Wanted,
    corners,
    detections,
    scaled,
    sigmoid,
)

TAKES = "[1, 5 + classes, rows, columns]"

_OBJECT, _CLASS = 0.6, 0.4


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return how many classes outputs of these shapes may have; none: they do not fit."""
    return tuple(
        dict.fromkeys(
            shape[1] - 5
            for shape in shapes.values()
            if len(shape) == 4 and shape[1] > 5 and _is_grid(shape[2:], size)
        )
    )


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    for output in outputs.values():
        if wanted.classes in class_counts({"": output.shape}, wanted.size):
            return [_decode(cells, wanted) for cells in output]
    raise ValueError(f"no output is {TAKES}")


def _is_grid(cells: tuple[int, ...], size: Size) -> bool:
    rows, columns = cells
    return rows > 1 and columns > 1 and size[0] // columns == size[1] // rows > 1


def _decode(output: NDArray[np.float32], wanted: Wanted) -> Detections:
    channels, rows, columns = output.shape
    table = output.reshape(channels, rows * columns)
    # No class makes a score greater than objectness^0.6, so most cells need no more.
    likely = np.flatnonzero(table[0] >= wanted.min_score ** (1 / _OBJECT))
    cells = table[:, likely].astype(np.float32)
    chances = np.clip(cells[5:], 0, 1)
    classes = chances.argmax(axis=0)
    scores = np.clip(cells[0], 0, 1) ** _OBJECT * chances.max(axis=0) ** _CLASS
    found = np.flatnonzero((scores >= wanted.min_score) & np.isfinite(cells).all(axis=0))
    y, x = np.divmod(likely[found], columns)
    cells = cells[:, found]
    centers = np.stack(
        [
            (x + np.tanh(cells[1])) / columns,
            (y + np.tanh(cells[2])) / rows,
            sigmoid(cells[3]),
            sigmoid(cells[4]),
        ],
        axis=1,
    )
    return detections(scaled(corners(centers), wanted.size), scores[found], classes[found])

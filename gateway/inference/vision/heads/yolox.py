"""YOLOX's raw grids: [B, N, 5 + classes], N the cells of strides 8, 16 and 32 (and 64).

Per cell: center x and y in cells from the cell's corner, the logarithm of width and height in
cells, objectness, class scores; the score is objectness x class.

Source: Megvii-BaseDetection/YOLOX ``yolox/utils/demo_utils.py`` (demo_postprocess).
"""

import numpy as np

from gateway.inference.vision.heads.detections import (
    Detections,
    Floats,
    Outputs,
    Shapes,
    Size,
    Wanted,
    best,
    cells,
    corners,
    detections,
)

TAKES = "[1, N, 5 + classes], N the cells of strides 8, 16, 32 of the input"

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_MAX_LOG = 20.0
"""e^20 cells are more than any picture has, and no overflow."""


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return how many classes outputs of these shapes may have; none: they do not fit."""
    return tuple(
        dict.fromkeys(
            shape[2] - 5
            for shape in shapes.values()
            if len(shape) == 3 and shape[2] > 5 and _grid(shape[1], size) is not None
        )
    )


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    for output in outputs.values():
        if wanted.classes in class_counts({"": output.shape}, wanted.size):
            grid = _grid(output.shape[1], wanted.size)
            if grid is not None:
                return [_decode(rows, grid, wanted) for rows in output]
    raise ValueError(f"no output is {TAKES}")


def _grid(count: int, size: Size) -> Floats | None:
    grids = (cells(size, strides) for strides in _STRIDES)
    return next((grid for grid in grids if len(grid) == count), None)


def _decode(output: Floats, grid: Floats, wanted: Wanted) -> Detections:
    likely = np.flatnonzero(output[:, 4] >= wanted.min_score)
    rows = output[likely].astype(np.float32)
    found, sure, classes = best(rows[:, 5:] * rows[:, 4:5], wanted)
    rows, at = rows[found], grid[likely[found]]
    centers = (rows[:, :2] + at[:, :2]) * at[:, 2:]
    sides = np.exp(np.minimum(rows[:, 2:4], _MAX_LOG)) * at[:, 2:]
    return detections(corners(np.concatenate([centers, sides], axis=1)), sure, classes)

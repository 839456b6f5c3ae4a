"""NanoDet's output: [B, N, classes + 4 x (reg_max + 1)].

Per cell the class scores, then for each side of the box (left, top, right, bottom) the weights of
a distribution over 0 to reg_max strides; their softmax's mean is the side's distance from the
cell's point. NanoDet-Plus has strides 8, 16, 32, 64 and its points in the cells' corners; NanoDet
has 8, 16, 32 and its points in their middle.

Source: RangiLyu/nanodet ``nanodet/model/head/nanodet_plus_head.py`` (get_bboxes,
get_single_level_center_priors, _forward_onnx) and ``gfl_head.py`` (Integral,
get_single_level_center_point); "Generalized Focal Loss", arXiv 2006.04388, equation 4.
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
    detections,
    softmax,
)

TAKES = "[1, N, classes + 4 x (reg_max + 1)], N the cells of strides 8, 16, 32 (and 64)"

_STRIDES = ((8, 16, 32, 64), (8, 16, 32))
_REG_MAX = (7, 8, 10, 16)
"""7 in all models that are published."""


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return how many classes outputs of these shapes may have; none: they do not fit."""
    counts = [
        shape[2] - 4 * (reg_max + 1)
        for shape in shapes.values()
        if len(shape) == 3 and _grid(shape[1], size) is not None
        for reg_max in _REG_MAX
    ]
    return tuple(dict.fromkeys(count for count in counts if count > 0))


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    for output in outputs.values():
        if wanted.classes in class_counts({"": output.shape}, wanted.size):
            grid = _grid(output.shape[1], wanted.size)
            if grid is not None:
                return [_decode(rows, grid, wanted) for rows in output]
    raise ValueError(f"no output is {TAKES}")


def _grid(count: int, size: Size) -> Floats | None:
    """Return x and y of each cell's point, px, and the stride."""
    for strides in _STRIDES:
        grid = cells(size, strides)
        if len(grid) == count:
            middle = 0.0 if len(strides) == 4 else 0.5
            return np.concatenate([(grid[:, :2] + middle) * grid[:, 2:], grid[:, 2:]], axis=1)
    return None


def _decode(output: Floats, grid: Floats, wanted: Wanted) -> Detections:
    found, sure, classes = best(output[:, : wanted.classes], wanted)
    steps = np.arange((output.shape[1] - wanted.classes) // 4, dtype=np.float32)
    weights = softmax(output[found, wanted.classes :].reshape(len(found), 4, len(steps)))
    distances = weights @ steps * grid[found, 2:]
    points = grid[found, :2]
    boxes = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)
    return detections(boxes, sure, classes)

"""DETR and its descendants: a fixed number of queries Q, boxes as parts of the picture.

- logits [B, Q, K] and boxes [B, Q, 4] (center x, center y, width, height). K = classes + 1: DETR's
  softmax with "no object" last; K = classes: a sigmoid each (RT-DETR, D-FINE, Deformable DETR).
  RF-DETR, whose outputs are called ``dets`` and ``labels``, has sigmoids and a last one that says
  nothing. Of COCO, 91 or 92 logits are COCO's own numbers, 0 to 90;
- one output [B, Q, 4 + classes] of boxes and scores (RT-DETR as Ultralytics exports it);
- labels [B, Q], boxes [B, Q, 4] (left, top, right, bottom, px) and scores [B, Q] (RT-DETR and
  D-FINE with their post-processing): classes count from 0, of COCO to 79.

Source: facebookresearch/detr ``models/detr.py`` (PostProcess), lyuwenyu/RT-DETR
``rtdetr_pytorch/src/zoo/rtdetr/rtdetr_postprocessor.py``, RF-DETR's documentation on ONNX.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from gateway.inference.vision.classes import COCO, COCO_BY_ID
from gateway.inference.vision.heads import ssd
from gateway.inference.vision.heads.detections import (
    Detections,
    Outputs,
    Shapes,
    Size,
    Wanted,
    best,
    corners,
    detections,
    scaled,
    sigmoid,
    softmax,
)

TAKES = "logits [1, Q, classes or classes + 1] and boxes [1, Q, 4]"

_MAX_QUERIES = 1000
_IDS = len(COCO_BY_ID)


class _Ports(NamedTuple):
    logits: str
    boxes: str


def class_counts(shapes: Shapes, size: Size) -> tuple[int, ...]:
    """Return how many classes outputs of these shapes may have; none: they do not fit."""
    if ports := _ports(shapes):
        logits = shapes[ports.logits][2]
        coco = [len(COCO)] if logits in {_IDS, _IDS + 1} else []
        return (*coco, *(n for n in (logits, logits - 1) if n > 0))
    if joined := _joined(shapes):
        return (shapes[joined][2] - 4,)
    return ssd.class_counts(shapes, size) if _is_decoded(shapes) else ()


def decode(outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of the batch."""
    shapes = {name: output.shape for name, output in outputs.items()}
    if ports := _ports(shapes):
        scores = _scores(outputs[ports.logits], ports, wanted)
        return [_found(*each, wanted) for each in zip(outputs[ports.boxes], scores, strict=True)]
    if joined := _joined(shapes):
        return [_found(rows[:, :4], rows[:, 4:], wanted) for rows in outputs[joined]]
    return ssd.decode(outputs, wanted._replace(coco=False))


def _ports(shapes: Shapes) -> _Ports | None:
    """Find boxes and logits by name, then by shape: with four logits both are [1, Q, 4]."""
    tables = [name for name, s in shapes.items() if len(s) == 3 and s[1] <= _MAX_QUERIES]
    fits = [name for name in tables if shapes[name][2] == 4]
    named = [name for name in fits if "box" in name.lower() or "det" in name.lower()]
    for boxes in named or fits[::-1]:
        for logits in tables:
            if logits != boxes and shapes[logits][:2] == shapes[boxes][:2]:
                return _Ports(logits, boxes)
    return None


def _joined(shapes: Shapes) -> str:
    fits = (
        name
        for name, s in shapes.items()
        if len(shapes) == 1 and len(s) == 3 and s[1] <= _MAX_QUERIES and s[2] > 4
    )
    return next(fits, "")


def _is_decoded(shapes: Shapes) -> bool:
    return any(len(s) == 3 and s[2] == 4 for s in shapes.values())


def _scores(logits: NDArray[Any], ports: _Ports, wanted: Wanted) -> NDArray[Any]:
    """Return the scores of the manifest's classes, [B, Q, classes]."""
    count = logits.shape[2]
    ids = wanted.coco and count in {_IDS, _IDS + 1}
    spare = count == (_IDS if ids else wanted.classes) + 1
    no_object = spare and "det" not in ports.boxes.lower()
    scores = softmax(logits) if no_object else sigmoid(logits)
    return scores[..., :_IDS][..., COCO_BY_ID >= 0] if ids else scores[..., : wanted.classes]


def _found(boxes: NDArray[Any], scores: NDArray[Any], wanted: Wanted) -> Detections:
    rows, sure, classes = best(scores, wanted)
    return detections(scaled(corners(boxes[rows]), wanted.size), sure, classes)

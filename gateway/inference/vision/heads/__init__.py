"""The outputs of detectors into boxes, a module for each family of them."""

import numpy as np

from gateway.inference.vision.heads import detr, fastestdet, nanodet, ssd, yolo, yolox
from gateway.inference.vision.heads.detections import Detections, Head, Outputs, Wanted

HEADS: dict[str, Head] = {
    "yolo": yolo,
    "yolox": yolox,
    "nanodet": nanodet,
    "fastestdet": fastestdet,
    "ssd": ssd,
    "detr": detr,
}
"""By the name that ``detect.head`` gives."""


def read(head: str, outputs: Outputs, wanted: Wanted) -> list[Detections]:
    """Return what is found in each picture of a batch.

    Args:
        head: The head's name.
        outputs: Of the model.
        wanted: What the head is told beside them.
    """
    # NaN and what is too great go through the arithmetic and are left out at its end.
    with np.errstate(over="ignore", invalid="ignore"):
        return HEADS[head].decode(outputs, wanted)

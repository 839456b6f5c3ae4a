"""The outputs of detectors into boxes, a module for each family of them."""

from gateway.inference.vision.heads import detr, fastestdet, nanodet, ssd, yolo, yolox
from gateway.inference.vision.heads.detections import Head

HEADS: dict[str, Head] = {
    "yolo": yolo,
    "yolox": yolox,
    "nanodet": nanodet,
    "fastestdet": fastestdet,
    "ssd": ssd,
    "detr": detr,
}
"""By the name that ``detect.head`` gives."""

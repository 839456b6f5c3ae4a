"""Of boxes that overlap, the best of each class."""

import cv2
import numpy as np

from gateway.inference.vision.heads.detections import Detections

_MAX_COMPARED = 1000
"""Each is compared with each: 1,000 take some milliseconds, 10,000 a second."""
_FAR_PX = 1e6


def sort_out(found: Detections, *, iou: float, most: int) -> Detections:
    """Return the detections that no better one of the same class overlaps, the best first.

    Args:
        found: All of one picture.
        iou: Intersection over union from which two boxes are of one object.
        most: At most so many are given.
    """
    order = np.argsort(-found.scores, kind="stable")[:_MAX_COMPARED]
    boxes, scores, classes = found.boxes[order], found.scores[order], found.classes[order]
    if len(order) < 2:
        return Detections(boxes, scores, classes)
    # As points and sides, and each class at a place of its own, so that one call does for all.
    # float64: a float32 has no pixels left so far out.
    places = np.clip(boxes, -_FAR_PX, _FAR_PX).astype(np.float64)
    places[:, 2:] -= places[:, :2]
    places[:, :2] += (classes * 4 * _FAR_PX)[:, None]
    kept = cv2.dnn.NMSBoxes(places, scores, 0.0, iou)  # type: ignore[arg-type] # takes arrays
    rows = np.sort(np.asarray(kept, np.intp).reshape(-1))[:most]
    return Detections(boxes[rows], scores[rows], classes[rows])

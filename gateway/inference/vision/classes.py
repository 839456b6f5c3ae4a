"""The classes' names of COCO, the data set that most published detectors know."""

import numpy as np

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

_NO_CLASS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""COCO counts to 90; these numbers it gave away and took back."""

COCO_BY_ID = np.full(91, -1, np.int64)
"""Index among ``COCO`` of COCO's own number of a class (category_id); -1: none."""
COCO_BY_ID[[number for number in range(91) if number not in _NO_CLASS]] = np.arange(len(COCO))
COCO_BY_ID.setflags(write=False)

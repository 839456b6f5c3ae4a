"""JPEG files as bytes: whole or not, their size, and their pixels (ITU-T T.81, annex B)."""

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_JPEG_BYTES = 16_000_000
MAX_PIXELS = 50_000_000  # 150 MB as BGR

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOFn; not DHT, JPG, DAC
_TAIL = 64  # bytes after the end that some cameras fill up with


def is_whole(data: bytes) -> bool:
    """Say whether the bytes begin and end as a JPEG file does."""
    return data.startswith(_START) and _END in data[-_TAIL:]


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height in px, or None where the header does not say them."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _FRAMES:
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            width = int.from_bytes(data[at + 7 : at + 9], "big")
            return (width, height) if width and height else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def decode(data: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels, uint8 [height, width, 3] BGR, or None if they cannot be had."""
    size = size_of(data)
    if size is None or size[0] * size[1] > MAX_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else image.astype(np.uint8, copy=False)

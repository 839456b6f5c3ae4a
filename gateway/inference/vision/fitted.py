"""Frames in the size that a plugin's model takes, and the way back to the whole picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.model import Points

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Frames as they come to a plugin's process.

    Attributes:
        sources: [B] the cameras.
        end_ns: int64 [B], when each was captured.
        sizes: [B] width and height of the whole picture, px.
        places: [B] lines and zones of the camera's own configuration, by name.
        images: uint8 [B, height, width, 3], BGR, in the size that the model takes.
    """

    sources: list[str]
    end_ns: NDArray[np.int64]
    sizes: list[tuple[int, int]]
    places: list[dict[str, Points]]
    images: Pixels

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the whole picture lies within the fitted one.

    Attributes:
        left, top: Its corner, px of the fitted picture.
        width, height: Its size there.
    """

    left: int
    top: int
    width: int
    height: int


def placement(size: tuple[int, int], fitted: tuple[int, int], *, letterbox: bool) -> Placement:
    """Return where a picture of ``size`` (width, height) lies within one of ``fitted``."""
    if not letterbox:
        return Placement(0, 0, *fitted)
    ratio = min(fitted[0] / size[0], fitted[1] / size[1])
    width = max(1, min(fitted[0], round(size[0] * ratio)))
    height = max(1, min(fitted[1], round(size[1] * ratio)))
    return Placement((fitted[0] - width) // 2, (fitted[1] - height) // 2, width, height)


def to_parts(
    boxes: NDArray[np.float32], size: tuple[int, int], fitted: tuple[int, int], *, letterbox: bool
) -> NDArray[np.float32]:
    """Turn boxes in px of the fitted picture into parts of the whole one, within 0 to 1.

    Args:
        boxes: float32 [N, 4], left, top, right, bottom.
        size: Width and height of the whole picture.
        fitted: Width and height of the fitted one.
        letterbox: How it was fitted.
    """
    at = placement(size, fitted, letterbox=letterbox)
    origin = np.array([at.left, at.top, at.left, at.top], np.float32)
    extent = np.array([at.width, at.height, at.width, at.height], np.float32)
    parts: NDArray[np.float32] = np.clip((boxes - origin) / extent, 0, 1)
    return parts

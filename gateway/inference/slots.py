"""Pictures in memory that the gateway and a worker share: fitted there, read here, never copied."""

import mmap
import os
from typing import Self

import cv2
import numpy as np

from gateway.inference.vision.fitted import Pixels, placement
from gateway.model import Frame

SLOTS = 8
"""Frames in one call; of more cameras the others come with the next."""

GREY = 114
"""What fills up a letterbox; the YOLO family is trained with it."""


class Slots:
    """A block of shared memory that holds ``SLOTS`` pictures of one size.

    The gateway makes it before the worker starts, which inherits the descriptor; how large a
    picture is, the worker says when it is ready.

    Attributes:
        descriptor: Of the memory.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory: mmap.mmap | None = None
        self._pixels: Pixels = np.empty((0, 0, 0, 3), np.uint8)

    @classmethod
    def made(cls) -> Self:
        """Make the memory; it takes no room before `open`."""
        return cls(os.memfd_create("weir-frames", os.MFD_CLOEXEC))

    def open(self, size: tuple[int, int], *, grow: bool) -> None:
        """Map the memory for pictures of a width and height.

        Args:
            size: Width and height, px.
            grow: The gateway gives it its size, the worker does not.
        """
        shape = (SLOTS, size[1], size[0], 3)
        length = SLOTS * size[0] * size[1] * 3
        if grow:
            os.ftruncate(self.descriptor, length)
        self._memory = mmap.mmap(self.descriptor, length)
        self._pixels = np.frombuffer(self._memory, np.uint8).reshape(shape)

    def pixels(self, frames: list[Frame]) -> int:
        """Return how many px fitting these frames reads and writes."""
        height, width = self._pixels.shape[1:3]
        return sum(f.image.shape[0] * f.image.shape[1] + height * width for f in frames)

    def fit(self, frames: list[Frame], *, letterbox: bool) -> None:
        """Write frames into the first slots, each in the slots' size."""
        for frame, out in zip(frames, self._pixels, strict=False):
            fit_into(frame.image, out, letterbox=letterbox)

    def read(self, count: int) -> Pixels:
        """Return the first pictures, uint8 [count, height, width, 3]: a view, read-only."""
        view = self._pixels[:count]
        view.flags.writeable = False
        return view

    def close(self) -> None:
        """Give the memory back; what still looks at it keeps it until it is gone."""
        self._pixels = np.empty((0, 0, 0, 3), np.uint8)
        self._memory = None
        os.close(self.descriptor)


def fit_into(image: Pixels, out: Pixels, *, letterbox: bool) -> None:
    """Resize a picture into ``out`` (both uint8 [height, width, 3]) without a copy between."""
    size, fitted = (image.shape[1], image.shape[0]), (out.shape[1], out.shape[0])
    at = placement(size, fitted, letterbox=letterbox)
    inner = out[at.top : at.top + at.height, at.left : at.left + at.width]
    smaller = at.width < size[0]
    cv2.resize(
        image,
        (at.width, at.height),
        dst=inner,
        interpolation=cv2.INTER_AREA if smaller and size[0] > 3 * at.width else cv2.INTER_LINEAR,
    )
    out[: at.top] = GREY
    out[at.top + at.height :] = GREY
    out[:, : at.left] = GREY
    out[:, at.left + at.width :] = GREY

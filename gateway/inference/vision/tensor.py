"""Pixels into the tensor that a model takes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.inference.frame_sections import FrameSection
from gateway.inference.models import Array
from gateway.inference.vision.fitted import Pixels


class Tensors:
    """What turns pictures into a model's input, as ``[frame]`` says.

    A pixel becomes ``(pixel x scale - mean) / std``; a model that takes uint8 gets it untouched.
    The buffers are kept, so that a result is good until the next call only.

    Args:
        frame: Colour order, scale, mean, std and layout.
        dtype: Of the tensor: ``float32``, ``float16`` or ``uint8``.
    """

    def __init__(self, frame: FrameSection, dtype: str) -> None:
        self._dtype = np.dtype(dtype)
        self._planar = frame.layout == "NCHW"
        self._reversed = frame.color == "RGB"
        gain = (frame.scale / np.array(frame.std)).astype(np.float32)
        offset = (-np.array(frame.mean) / np.array(frame.std)).astype(np.float32)
        each = (3, 1, 1) if self._planar else (3,)
        # One number for all channels is three times as fast as one for each.
        self._gain = gain[:1] if len(set(gain.tolist())) == 1 else gain.reshape(each)
        self._offset = offset.reshape(each) if offset.any() else None
        self._bytes = np.empty((0,), np.uint8)
        self._floats = np.empty((0,), np.float32)

    def __call__(self, images: Pixels) -> Array:
        """Return the tensor [B, 3, height, width] or [B, height, width, 3].

        Args:
            images: uint8 [B, height, width, 3], BGR.
        """
        ordered = self._ordered(images)
        if self._dtype == np.uint8:
            return ordered
        if self._floats.shape != ordered.shape:
            self._floats = np.empty(ordered.shape, np.float32)
        np.multiply(ordered, self._gain, out=self._floats, dtype=np.float32)
        if self._offset is not None:
            np.add(self._floats, self._offset, out=self._floats)
        return self._floats if self._dtype == np.float32 else self._halved()

    def _halved(self) -> NDArray[np.float16]:
        """Return the tensor in half floats; OpenCV makes them ten times as fast as NumPy."""
        rows = self._floats.reshape(-1, self._floats.shape[-1])
        halves = np.asarray(cv2.convertFp16(rows)).view(np.float16)
        return halves.reshape(self._floats.shape)

    def _ordered(self, images: Pixels) -> NDArray[np.uint8]:
        """Return the pixels in the model's order of colours and axes."""
        count, height, width, _ = images.shape
        shape = (count, 3, height, width) if self._planar else images.shape
        if not self._planar and not self._reversed:
            return images
        if self._bytes.shape != shape:
            self._bytes = np.empty(shape, np.uint8)
        for i in range(count):
            if self._planar:
                planes = [self._bytes[i, channel] for channel in range(3)]
                cv2.split(images[i], planes[::-1] if self._reversed else planes)
            else:
                cv2.cvtColor(images[i], cv2.COLOR_BGR2RGB, dst=self._bytes[i])
        return self._bytes

"""Cameras that send pictures over MQTT: the newest waits for the camera's thread."""

import threading

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.cameras import jpeg
from gateway.ingest.cameras.source import Announced

_SLICE_S = 0.5


class Mailbox:
    """A picture is put in by one thread and read by another, the camera's; a `FrameSource`."""

    def __init__(self) -> None:
        self._there = threading.Condition()
        self._newest: tuple[bytes, int] | None = None
        self._picture, self._received_ns = b"", 0
        self.replaced = self.broken = 0

    def put(self, picture: bytes, received_ns: int) -> None:
        """Put in a picture in place of the one that waits, unless it is damaged."""
        with self._there:
            if not jpeg.is_whole(picture):
                self.broken += 1
                return
            self.replaced += self._newest is not None
            self._newest = picture, received_ns
            self._there.notify()

    def open(self) -> Announced:
        """Wait for nothing: the device sends when it pleases."""
        return Announced(codec="jpeg", kind="mqtt")

    def grab(self) -> bool:
        """Wait for the next picture; see `FrameSource`."""
        with self._there:
            if self._newest is None and not self._there.wait(_SLICE_S):
                return False
            if self._newest is None:
                return False
            self._picture, self._received_ns = self._newest
            self._newest = None
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the frame grabbed last; see `FrameSource`."""
        return jpeg.decode(self._picture)

    def captured_ns(self) -> int:
        """Return when the picture came in."""
        return self._received_ns

    def close(self) -> None:
        """Keep what waits: there is no connection to lose."""

"""Pictures of what a plugin saw, kept on the box: a bounded ring of files."""

import logging
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.clock import BoxClock
from gateway.errors import GatewayError

log = logging.getLogger(__name__)

_QUALITY = 85


class SnapshotError(GatewayError):
    """There is no picture to be had; the text says why."""

    code = "snapshot"


class Album:
    """Writes pictures, and deletes the oldest ones above ``keep``.

    Args:
        folder: Where they lie; only the gateway's user and group can read it.
        keep: How many; 0: none is ever written.
        clock: The box's.
    """

    def __init__(self, folder: Path, keep: int, clock: BoxClock | None = None) -> None:
        self._clock = clock or BoxClock()
        self._folder = folder
        self._keep = keep
        self.written = 0

    @property
    def is_off(self) -> bool:
        """Say whether no picture may be kept."""
        return self._keep == 0

    def save(self, name: str, image: NDArray[np.uint8]) -> Path:
        """Write a picture as JPEG and return its path.

        Args:
            name: Camera and plugin, for the file's name.
            image: uint8 [height, width, 3], BGR.

        Raises:
            SnapshotError: Snapshots are off, or it cannot be written.
        """
        if self.is_off:
            raise SnapshotError("snapshots are off: [snapshots] keep = 0")
        done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise SnapshotError("the picture cannot be encoded")
        taken = self._clock.now_ns() / 1e9
        stamp = (
            time.strftime("%Y%m%dT%H%M%S", time.gmtime(taken)) + f".{int(taken * 1000) % 1000:03}"
        )
        path = self._folder / f"{stamp}Z-{name}.jpg"
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            path.write_bytes(jpeg.tobytes())
            path.chmod(0o640)
            self._thin(path.name)
        except OSError as exc:
            raise SnapshotError(f"{path}: not written: {exc.strerror}") from exc
        self.written += 1
        return path

    def clear(self) -> int:
        """Delete all pictures, for room; return how many bytes they had."""
        given_bytes = 0
        for path in self._folder.glob("*.jpg"):
            given_bytes += path.stat().st_size
            path.unlink(missing_ok=True)
        return given_bytes

    def _thin(self, newest: str) -> None:
        """Delete what is above ``keep``; first what bears a later time than the newest one.

        That is from before the clock was set back.
        """
        oldest_first = sorted(self._folder.glob("*.jpg"), key=lambda p: (p.name <= newest, p.name))
        for path in oldest_first[: -self._keep]:
            path.unlink(missing_ok=True)

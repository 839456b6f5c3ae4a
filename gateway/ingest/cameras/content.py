"""Whether a camera's picture changes."""

import zlib

import numpy as np
from numpy.typing import NDArray

LOOK_EVERY_S = 1.0  # between two looks, where frames are decoded anyway
LOOK_AT_LEAST_S = 2.0  # a frame is decoded for this alone when nobody wanted one for so long
_STEP = 4  # every 4th pixel of every 4th row: 0.3 ms at 1080p


class Content:
    """Notices a picture that is the same again and again.

    A sensor's noise changes some of each picture, however still the scene; a frozen stream is the
    same to the bit.

    Args:
        frozen_after_s: The same so long is frozen; 0: never.
    """

    def __init__(self, frozen_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._hash: int | None = None
        self._since_s = 0.0
        self._looked_s = float("-inf")
        self.frozen = False

    def is_due(self, now_s: float) -> bool:
        """Say whether a frame must be decoded to look at it."""
        every_s = LOOK_EVERY_S if self.frozen else LOOK_AT_LEAST_S
        return self._frozen_after_s > 0 and now_s - self._looked_s >= every_s

    def look(self, image: NDArray[np.uint8], now_s: float) -> None:
        """Look at a decoded frame and set ``frozen``."""
        if not self._frozen_after_s or now_s - self._looked_s < LOOK_EVERY_S:
            return
        # A pause is no proof of a picture that stood still: it might have changed meanwhile.
        paused = now_s - self._looked_s > 2 * LOOK_AT_LEAST_S
        self._looked_s = now_s
        found = zlib.crc32(image[::_STEP, ::_STEP].tobytes())
        if found != self._hash:
            self._hash, self._since_s, self.frozen = found, now_s, False
        elif paused and not self.frozen:
            self._since_s = now_s
        elif now_s - self._since_s >= self._frozen_after_s:
            self.frozen = True

    def try_again(self, now_s: float) -> None:
        """Count from now until the camera is connected anew because of the same picture."""
        self._since_s = now_s

    def is_overdue(self, now_s: float) -> bool:
        """Say whether it has been frozen long enough to connect anew."""
        return self.frozen and now_s - self._since_s >= self._frozen_after_s

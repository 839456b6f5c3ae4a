"""The port at which a camera's thread meets the outside."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Announced:
    """What a camera says of its stream; 0 or "" where it says nothing.

    Attributes:
        codec: ``h264``, ``hevc``, ``mjpeg``, ``jpeg`` ...
        width, height: px.
        fps: Frames per second.
        kind: ``rtsp``, ``mjpeg``, ``snapshot``, ``v4l2``, ``file``, ``mqtt``.
    """

    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    kind: str = ""


class FrameSource(Protocol):
    """One camera's frames. All is called from one thread, and every wait has a limit.

    Each method raises `CameraAwayError` when there is nothing more to have; its text says why,
    without a login.

    Attributes:
        replaced: Frames that came, and that a newer one replaced before they were grabbed.
        broken: Frames that came and were not whole.
    """

    replaced: int
    broken: int

    def open(self) -> Announced:
        """Connect."""
        ...

    def grab(self) -> bool:
        """Wait for the next frame; False: none came within a short while, ask again."""
        ...

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the frame grabbed last, uint8 [height, width, 3] BGR; None: it is damaged."""
        ...

    def captured_ns(self) -> int:
        """Return when the frame grabbed last came in, or 0: now."""
        ...

    def close(self) -> None:
        """Let go of everything; may be called twice, and without ``open``."""
        ...

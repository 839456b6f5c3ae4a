"""How a camera is doing: its counters, and what is shown of them."""

from dataclasses import dataclass
from typing import Literal

State = Literal["connecting", "streaming", "stalled", "frozen", "backing_off", "off"]


@dataclass(frozen=True, slots=True)
class CameraState:
    """How a camera is doing.

    ``read`` is the sum of ``decoded``, ``skipped`` and ``broken``.

    Attributes:
        name: Its name.
        kind: ``rtsp``, ``mjpeg``, ``snapshot``, ``v4l2``, ``file``, ``mqtt``.
        address: Without a login.
        state: ``stalled`` is late, ``frozen`` sends the same picture, which nobody is given.
        reason: Why it is not streaming, or was not last; "" if it always was.
        codec: As the camera says it.
        width, height: Of the newest decoded frame, px; before one, as announced.
        fps: Measured frames per second; before that as announced, 0 if not known.
        read: Frames that came in.
        decoded: Those of them that were decoded.
        skipped: Those that nobody wanted at their time.
        broken: Those that were damaged, as far as that can be known.
        dropped: Decoded frames that a newer one replaced before they were taken.
        taken: Frames taken, over all consumers.
        age_s: How old the newest frame is, in seconds; None: there was none.
        reconnects: How often frames came again after they were lost.
        recovery_s: How long frames were away the last time, in seconds; None: never.
        resized: How often the picture's size changed.
        since_ns: Since when it has been in this state, Unix ns.
    """

    name: str
    kind: str
    address: str
    state: State
    reason: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    read: int = 0
    decoded: int = 0
    skipped: int = 0
    broken: int = 0
    dropped: int = 0
    taken: int = 0
    age_s: float | None = None
    reconnects: int = 0
    recovery_s: float | None = None
    resized: int = 0
    since_ns: int = 0


class Rate:
    """Frames per second, measured over a second or more, and evened out."""

    _OVER_S = 1.0
    _WEIGHT = 0.5  # of the newest measurement

    def __init__(self) -> None:
        self.fps = 0.0
        self._began_s: float | None = None
        self._frames = 0

    def count(self, now_s: float) -> None:
        """Count a frame."""
        if self._began_s is None:
            self._began_s = now_s
            return
        self._frames += 1
        took_s = now_s - self._began_s
        if took_s >= self._OVER_S:
            found = self._frames / took_s
            self.fps = found if not self.fps else self.fps + self._WEIGHT * (found - self.fps)
            self._began_s, self._frames = now_s, 0

    def forget(self) -> None:
        """Begin anew: the stream was interrupted."""
        self._began_s, self._frames = None, 0

"""When something is due: the next try, and the next frame for someone."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

EARLY = 0.1  # part of the interval that a frame may come early


class Clock(Protocol):
    """Time, and waiting for it to pass."""

    def now_s(self) -> float:
        """Return seconds that only grow."""
        ...

    def wall_ns(self) -> int:
        """Return Unix nanoseconds."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait so long or until the event is set, and say whether it is."""
        ...


class RealClock:
    """The machine's time.

    Args:
        wall_ns: Gives Unix nanoseconds.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns

    def now_s(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wall_ns(self) -> int:
        """Return Unix nanoseconds."""
        return self._wall_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait so long or until the event is set, and say whether it is."""
        return event.wait(seconds)


class Backoff:
    """How long to wait before the next try: 0.5 s, doubled up to 2 s.

    Each wait is by chance up to half shorter, so that cameras behind one switch do not come back
    all at once. The cap is what lets a camera that returned be processed again within 5 s.

    Args:
        random: Gives 0 to 1.
    """

    FIRST_S = 0.5
    CAP_S = 2.0

    def __init__(self, random: "Random") -> None:
        self._random = random
        self._next_s = self.FIRST_S

    def reset(self) -> None:
        """Begin anew: the last try was good."""
        self._next_s = self.FIRST_S

    def next_s(self) -> float:
        """Return how many seconds to wait now."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self.CAP_S)
        return wait_s * (0.5 + 0.5 * self._random())


class Random(Protocol):
    """Gives 0 to 1, by chance."""

    def __call__(self) -> float:
        """Return the next one."""
        ...


class Due:
    """Which frames are due at a wanted rate; on average it is kept, whatever the camera's is.

    Args:
        fps: At most so many in a second; 0: all.
    """

    def __init__(self, fps: float) -> None:
        self._interval_s = 1 / fps if fps else 0.0
        self._next_s = float("-inf")

    def __call__(self, now_s: float) -> bool:
        """Say whether a frame that is there now is due; if so it is taken as given."""
        if now_s < self._next_s - EARLY * self._interval_s:
            return False
        # From the plan, not from now: else 25 fps would give 8.3 where 10 are wanted. A plan that
        # lies in the past is given up, so that no burst follows a pause.
        late = now_s - self._next_s >= self._interval_s
        self._next_s = (now_s if late else self._next_s) + self._interval_s
        return True

"""Values that must last before they are told."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

RESTLESS = 3
"""Times of ``hold_ns`` that a value may waver before something is told of it."""


class Steady(Generic[T]):
    """What is told of a value that wavers.

    Another value is told once it has stood for ``hold_ns``. Where none stands so long, the one that
    stood longest is told after ``RESTLESS`` times that: a number that never rests is told as well.

    Args:
        hold_ns: How long; 0 tells everything at once.

    Attributes:
        value: What is told; None as long as nothing has lasted.
    """

    def __init__(self, hold_ns: int) -> None:
        self.value: T | None = None
        self._hold_ns = hold_ns
        self._stood_ns: dict[T, int] = {}
        self._latest: T | None = None
        self._other_ns = self._latest_ns = self._at_ns = 0

    def update(self, value: T, time_ns: int) -> T | None:
        """Take the value as it is now, and return what is told."""
        if value == self.value:
            self._stood_ns.clear()
            return value
        if not self._stood_ns or self._latest is None:
            self._other_ns = self._latest_ns = time_ns
        else:
            self._stood_ns[self._latest] += time_ns - self._at_ns
            self._latest_ns = self._latest_ns if value == self._latest else time_ns
        self._stood_ns.setdefault(value, 0)
        self._latest, self._at_ns = value, time_ns
        if time_ns - self._latest_ns >= self._hold_ns:
            self._tell(value)
        elif time_ns - self._other_ns >= RESTLESS * self._hold_ns:
            self._tell(max(self._stood_ns, key=self._stood_ns.__getitem__))
        return self.value

    def _tell(self, value: T) -> None:
        self.value = value
        self._stood_ns.clear()

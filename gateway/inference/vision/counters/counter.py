"""What every counter has, and which one ``[[count]]`` asks for."""

from typing import Protocol

from gateway.inference.frame_sections import CountSection
from gateway.inference.vision.counters.crossings import Crossings
from gateway.inference.vision.counters.zones import Dwell, Occupancy, Queue
from gateway.inference.vision.tracks import Track
from gateway.model import Points


class Counter(Protocol):
    """Counts something of one camera.

    Attributes:
        pending: What has been counted since the last report: sums that are 0 after it. It outlives
            the process; whoever reports sets it to zeros.
    """

    pending: list[float]

    def update(self, tracks: list[Track], time_ns: int, place: Points) -> None:
        """Take the tracks after a frame, those not yet confirmed too.

        Args:
            tracks: All that live.
            time_ns: When the frame was captured.
            place: The line or zone; () is the whole picture.
        """
        ...

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the numbers to be told, as ``CountSection.numbers`` names them."""
        ...

    @property
    def level(self) -> float | None:
        """Return the number whose change is reported; None while it is not known."""
        ...

    @level.setter
    def level(self, value: float) -> None:
        """Go on from what was told before the process started."""


def counter(spec: CountSection) -> Counter:
    """Return the counter that a ``[[count]]`` asks for."""
    if spec.what == "crossings":
        return Crossings(spec)
    if spec.what == "dwell":
        return Dwell(spec)
    return Queue(spec) if spec.what == "queue" else Occupancy(spec)

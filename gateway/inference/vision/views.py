"""What a frame shows, and which of it is reported."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gateway.inference.sections import ReportSection
from gateway.model import Points, Seen

GAP_NS = 1_000_000_000
"""Changes that follow a report more closely wait, so that one event gives one outcome."""


@dataclass(frozen=True, slots=True)
class View:
    """What a frame shows, whether it is reported or not.

    Attributes:
        label, score, confidence, numbers, seen: As in ``Result``.
        levels: The numbers whose change is reported, by their counter.
        happened: Something was counted since the last report.
        known: The label and the levels have lasted; before that no change is told.
        learning: Nothing can be said yet.
    """

    label: str
    score: float
    confidence: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    happened: bool = False
    known: bool = True
    learning: bool = False
    seen: tuple[Seen, ...] = ()


class Told(NamedTuple):
    """What was last reported of a camera."""

    label: str
    levels: dict[str, float]


class Scene(Protocol):
    """What a plugin makes of one camera's frames, one after the other."""

    def see(self, found: Any, time_ns: int, places: dict[str, Points]) -> View:  # noqa: ANN401 - the model's own
        """Take what the model found in a frame.

        Args:
            found: What the model gave for it.
            time_ns: When it was captured.
            places: The camera's own lines and zones.
        """
        ...

    def reported(self) -> None:
        """Begin the sums again: what was seen last is being reported."""
        ...

    def kept(self) -> dict[str, Any]:
        """Return what must outlive the process, as MessagePack can carry it."""
        ...

    def restore(self, kept: dict[str, Any], told: Told | None) -> None:
        """Go on from what ``kept`` gave before the process ended.

        Raises:
            ValueError, TypeError, KeyError: It is something else.
        """
        ...


def is_due(report: ReportSection, told: Told | None, view: View, passed_ns: int) -> bool:
    """Say whether a frame becomes an outcome, from nothing but what is given.

    Args:
        report: The plugin's ``[report]``.
        told: What was last reported of the camera, or None.
        view: What the frame shows.
        passed_ns: Since the last report; before the first one, since the first frame.
    """
    wrong = view.label != report.normal
    weak = wrong and report.min_score is not None and view.score < report.min_score
    if view.learning or weak:
        return False
    if report.always:
        return True
    again = bool(report.every_s) and passed_ns >= round(report.every_s * 1e9)
    return view.known and (again or ("change" in report.on and _changed(told, view, passed_ns)))


def _changed(told: Told | None, view: View, passed_ns: int) -> bool:
    if told is None:
        return True
    other = told.label != view.label or told.levels != view.levels
    return passed_ns >= GAP_NS and (view.happened or other)

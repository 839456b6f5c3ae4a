"""Who is too loud or sends only garbage, and what follows: limited, quarantined, released."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.config import DevicesSection
from gateway.devices.rhythm import Rhythm

Why = Literal["noise", "garbage"]
State = Literal["limited", "quarantined"]
Label = Literal["limited", "quarantined", "released"]

MOST_CASES = 1000
_NEW_FACTOR = 10.0
_SOON = 0.1
_LONGEST_STEP_S = 2.0  # one look, however late, is not enough


class Came(NamedTuple):
    """What came of a device since the last look.

    Attributes:
        good: Messages that could be decoded.
        bad: Those that could not.
        shed: Those that were not looked at, for it is limited or quarantined.
        excused: How many of them are no offence: it brings what it kept while it was away.
    """

    good: int = 0
    bad: int = 0
    shed: int = 0
    excused: int = 0

    @property
    def messages(self) -> int:
        """Return how many came in all."""
        return self.good + self.bad + self.shed


@dataclass(slots=True)
class Case:
    """A device that is limited or quarantined.

    Attributes:
        since_ns: Since when it is in its state, Unix ns.
        rate_hz: What it sends now, or sent when it last offended.
        usual_hz: What it sent before; 0 where that is not known.
        shed: Messages that were not looked at.
        offended_s: For how long it offended.
        well_s: For how long it has behaved.
    """

    state: State
    why: Why
    since_ns: int
    rate_hz: float
    usual_hz: float
    shed: int = 0
    offended_s: float = 0.0
    well_s: float = 0.0


class Conduct:
    """The policy; it knows no clock and no messages.

    Args:
        policy: ``[devices]`` of the configuration.

    Attributes:
        cases: Devices that are limited or quarantined, by name.
        suspects: For how many seconds others have offended, by name.
    """

    def __init__(self, policy: DevicesSection) -> None:
        self._policy = policy
        self.cases: dict[str, Case] = {}
        self.suspects: dict[str, float] = {}

    def limit_hz(self, rhythm: Rhythm | None) -> float:
        """Return above how many messages per second a device is too loud."""
        policy = self._policy
        if rhythm is None or not rhythm.is_known:
            return policy.limit_hz * _NEW_FACTOR
        return max(policy.limit_hz, policy.limit_factor * rhythm.usual_hz)

    def passes_hz(self, name: str, rhythm: Rhythm | None) -> float:
        """Return how many messages per second of a device in ``cases`` are let through.

        Of garbage a little always is, to find out when it gets better.
        """
        case = self.cases[name]
        if case.state == "quarantined":
            return 1.0 if case.why == "garbage" else 0.0
        if case.why == "garbage":
            return max(1.0, self._policy.garbage_hz * _SOON)
        usual_hz = rhythm.usual_hz if rhythm and rhythm.is_known else 0.0
        return max(1.0, self._policy.limit_hz * _SOON, 10 * usual_hz)

    def offence(self, name: str, came: Came, rhythm: Rhythm | None, span_s: float) -> Why | None:
        """Return what is wrong with what came in some seconds; None: nothing."""
        rate_hz = (came.messages - came.excused) / span_s
        case = self.cases.get(name)
        unread = came.bad + (came.shed if case and case.why == "garbage" else 0)
        if not came.good and unread / span_s > self._policy.garbage_hz:
            return "garbage"
        return "noise" if rate_hz > self.limit_hz(rhythm) else None

    def judge(
        self, name: str, came: Came, rhythm: Rhythm | None, span_s: float, now_ns: int
    ) -> Label | None:
        """Take up what came in some seconds; return what becomes of the device if that is new."""
        why = self.offence(name, came, rhythm, span_s)
        case = self.cases.get(name)
        if case is None:
            step_s = min(span_s, _LONGEST_STEP_S)
            if not self._is_to_be_limited(name, step_s if why else -step_s) or why is None:
                return None
            usual_hz = rhythm.usual_hz if rhythm else 0.0
            self.cases[name] = Case("limited", why, now_ns, came.messages / span_s, usual_hz)
            return "limited"
        case.shed += came.shed
        return self._follow(case, came, why, span_s, now_ns)

    def release(self, name: str) -> None:
        """Forget a case."""
        self.cases.pop(name, None)

    def _is_to_be_limited(self, name: str, over_s: float) -> bool:
        """Add to the time for which a device has offended; return whether that is enough."""
        over_s += self.suspects.pop(name, 0.0)
        if over_s <= 0:
            return False
        if over_s >= self._policy.limit_after_s and len(self.cases) < MOST_CASES:
            return True
        self.suspects[name] = min(over_s, self._policy.limit_after_s)
        return False

    def _follow(
        self, case: Case, came: Came, why: Why | None, span_s: float, now_ns: int
    ) -> Label | None:
        """Return what becomes of a device that is limited or quarantined."""
        if why:
            case.rate_hz = came.messages / span_s
            case.offended_s += span_s
            case.well_s = 0.0
            is_enough = case.offended_s >= self._policy.quarantine_after_s
            if case.state == "quarantined" or not (is_enough and self._policy.quarantine):
                return None
            case.state, case.since_ns = "quarantined", now_ns
            return "quarantined"
        case.well_s += span_s
        soon = case.state == "limited" or came.good > 0
        if case.well_s < self._policy.release_after_s * (_SOON if soon else 1.0):
            return None
        case.rate_hz = came.messages / span_s
        return "released"

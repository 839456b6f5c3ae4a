"""Sees who is too loud or sends only garbage, and keeps it from the others."""

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gateway.devices.conduct import Came, Case, Conduct, Label
from gateway.devices.gatekeeper import Gatekeeper
from gateway.devices.known import LATE_MOST, Known, Moment, Surrounding
from gateway.devices.rhythm import Rhythm
from gateway.features import Device
from gateway.notices import Notice

log = logging.getLogger(__name__)

NOISY = "device-noisy"
_MOST_NAMES = 10_000
_NAME_CHARS = 200
_MOST_TOLD = 20
_TOLD_WITHIN_S = 60.0


class Noise:
    """Looks at how much each device sends.

    Args:
        around: What is looked at, and who is told.
        known: What is known of each device.

    Attributes:
        conduct: Who is limited or quarantined.
        keeper: What the pipeline asks of each message while anybody is watched.
    """

    def __init__(self, around: Surrounding, known: dict[str, Known]) -> None:
        self._around = around
        self._known = known
        self.conduct = Conduct(around.policy)
        self.keeper = Gatekeeper(around.inbox, around.device_of)
        self._bad: Counter[str] = Counter()
        self._told_s: deque[float] = deque(maxlen=_MOST_TOLD)

    def recall(self, cases: Mapping[str, Case]) -> None:
        """Go on with those that were limited or quarantined before the start."""
        for name, case in cases.items():
            if not self._around.policy.quarantine:
                case.state = "limited"
            case.well_s = 0.0
            self.conduct.cases[name] = case
            self._limit(name, 1.0)

    def note_bad(self, topic: str) -> None:
        """Count a message that could not be decoded."""
        name = self.keeper.name(topic)[:_NAME_CHARS]
        if name in self._bad or len(self._bad) < _MOST_NAMES:
            self._bad[name] += 1
            if self.keeper.watched:
                self.keeper.note_bad(name, topic)

    def cases(self) -> list[dict[str, Any]]:
        """Return who is limited or quarantined, JSON-ready, the longest first."""
        found = [{"device": name, **asdict(case)} for name, case in self.conduct.cases.items()]
        return sorted(found, key=lambda case: case["since_ns"])

    def release(self, name: str, moment: Moment) -> bool:
        """Let a limited or quarantined device speak again; return whether it was one."""
        if name not in self.conduct.cases:
            return False
        self._tell(name, "released", moment)
        self._free(name, moment)
        return True

    def begin_anew(self) -> None:
        """Suspect nobody because of the time in which the gateway or its broker was away."""
        self._bad.clear()
        self.conduct.suspects.clear()
        for name in list(self.keeper.watched):
            if name in self.conduct.cases:
                self._limit(name, 1.0)
            else:
                self.keeper.free(name)

    def look(self, devices: Sequence[Device], moment: Moment) -> bool:
        """Look at what came since the last time; return whether something has changed."""
        bad, self._bad = self._bad, Counter()
        judged = self.conduct.cases.keys() | self.conduct.suspects.keys() | bad.keys()
        harmless = self._around.policy.limit_hz * moment.span_s
        is_changed = False
        for device in devices:
            name = device.name
            known = self._known.get(name)
            if known is None or known.messages < 0:  # it is new: all that it said counts
                known = self._meet(device, moment)
            new = device.messages - known.messages
            if not new and name not in judged:
                continue
            is_heard = device.last_seen_ns != known.seen_ns
            known.messages, known.seen_ns = device.messages, device.last_seen_ns
            is_usual = new <= harmless and name not in judged
            if not is_usual:
                judged.discard(name)
                came = self._came(name, new, bad[name], moment)
                is_changed |= self._judge(name, came, moment)
                is_usual = name not in self.keeper.watched and not came.excused
            if is_heard:
                known.hear(new, moment.now_s, is_usual=is_usual)
        for name in judged:
            is_changed |= self._judge(name, self._came(name, 0, bad[name], moment), moment)
        return is_changed

    def _meet(self, device: Device, moment: Moment) -> Known:
        known = self._known.get(device.name)
        if known is None:
            known = self._known[device.name] = Known(Rhythm(), is_live=False)
        known.meet(device, moment)
        known.messages, known.seen_ns = 0, device.first_seen_ns
        return known

    def _came(self, name: str, good: int, bad: int, moment: Moment) -> Came:
        known, watched = self._known.get(name), self.keeper.watched.get(name)
        shed = late = 0
        if watched is not None:
            good, late, shed = good + watched.good, watched.late, watched.shed_since()
            watched.good = watched.late = 0
        if known is None:
            return Came(good, bad, shed)
        excess = good + bad + shed - self.conduct.limit_hz(known.rhythm) * moment.span_s
        return Came(good, bad, shed, known.excuse(excess, late, moment.now_s))

    def _judge(self, name: str, came: Came, moment: Moment) -> bool:
        """Judge a device, and do what follows; return whether something has changed."""
        known = self._known.get(name)
        rhythm = known.rhythm if known else None
        label = self.conduct.judge(name, came, rhythm, moment.span_s, moment.now_ns)
        if label is not None:
            self._tell(name, label, moment)
        if label == "released":
            self._free(name, moment)
        elif name in self.conduct.cases:
            self._limit(name, moment.span_s)
        elif name in self.conduct.suspects:
            self.keeper.watch(name)
        elif name in self.keeper.watched:
            self.keeper.free(name)
        return label is not None

    def _limit(self, name: str, span_s: float) -> None:
        known = self._known.get(name)
        passes_hz = self.conduct.passes_hz(name, known.rhythm if known else None)
        self.keeper.limit(name, passes_hz * span_s)

    def _free(self, name: str, moment: Moment) -> None:
        self.conduct.release(name)
        self.keeper.free(name)
        known = self._known.get(name)
        if known:
            known.late_left, known.since_s = LATE_MOST, moment.now_s

    def _tell(self, name: str, label: Label, moment: Moment) -> None:
        """Tell what becomes of a device; of a great many at once only the first."""
        last = self._around.notices.last(NOISY, name)
        is_told = last is not None and last.label != "released"
        if not is_told and (label == "released" or not self._has_room(moment.now_s)):
            log.warning("%s: %s: %s, not told", NOISY, name, label)
            return
        if not is_told:
            self._told_s.append(moment.now_s)
        case, known = self.conduct.cases[name], self._known.get(name)
        limit_hz = self.conduct.limit_hz(known.rhythm if known else None)
        numbers = {"rate_hz": case.rate_hz, "usual_hz": case.usual_hz, "shed": float(case.shed)}
        self._around.notices.tell(
            Notice(
                NOISY, name, label, moment.now_ns, asset="device", start_ns=case.since_ns,
                score=case.rate_hz / limit_hz, numbers=numbers,
            )
        )  # fmt: skip

    def _has_room(self, now_s: float) -> bool:
        return len(self._told_s) < _MOST_TOLD or now_s - self._told_s[0] > _TOLD_WITHIN_S

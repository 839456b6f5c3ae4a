"""What the guard knows of each device between two looks, and what it looks at."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.clock import BoxClock
from gateway.config import DevicesSection
from gateway.devices.rhythm import Rhythm
from gateway.features import Device, FeatureService
from gateway.ingest import Inbox
from gateway.notices import Notices
from gateway.presence import Presence

LATE_MOST = 1_000_000
_AWAY_S = 30.0  # who was silent for so long may bring what it kept meanwhile
_CREDIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What the guard looks at, and whom it tells.

    Attributes:
        gateway: The gateway's name.
        policy: ``[devices]`` of the configuration.
        link: Returns which connection to the device broker this is, None while there is none.
        cameras: Returns the names of cameras, and whether each gives pictures.
        device_of: Returns the device that a topic alone names, if it does.
        path: Where habits are kept.
    """

    gateway: str
    policy: DevicesSection
    store: FeatureService
    inbox: Inbox
    presence: Presence
    notices: Notices
    link: Callable[[], int | None]
    cameras: Callable[[], Mapping[str, bool]]
    device_of: Callable[[str], str | None]
    path: Path
    clock: BoxClock


class Moment(NamedTuple):
    """When is looked.

    Attributes:
        now_s: A clock that only goes forward.
        now_ns: Unix time.
        span_s: Since the last look.
    """

    now_s: float
    now_ns: int
    span_s: float = 1.0


@dataclass(slots=True)
class Known:
    """A device between two looks.

    Attributes:
        rhythm: How it usually speaks.
        messages: Those counted at the last look; -1 before the first.
        seen_ns: When it was heard, as the register had it then.
        heard_s: When it was heard.
        since_s: Since when its silence counts: as ``heard_s``, or when the gateway came back.
        is_live: It was heard at all, not just something that the broker had kept.
        has_returned: It was heard since it was told that it is silent.
        late_left: Messages that it may bring because they say themselves that they are old.
    """

    rhythm: Rhythm
    messages: int = -1
    seen_ns: int = 0
    heard_s: float = 0.0
    since_s: float = 0.0
    is_live: bool = True
    has_returned: bool = False
    late_left: int = LATE_MOST
    _credit: float = 0.0  # messages that it may bring because it was away
    _credit_until_s: float = 0.0
    _away_s: float | None = None  # since when it was away, that time

    def meet(self, device: Device, moment: Moment) -> None:
        """Take up when a device was heard last: the store knows it from before the start."""
        self.messages, self.seen_ns = device.messages, device.last_seen_ns
        self.heard_s = moment.now_s - max(0.0, (moment.now_ns - device.last_seen_ns) / 1e9)
        self.since_s = moment.now_s

    def hear(self, messages: int, now_s: float, *, is_usual: bool) -> None:
        """Note that it spoke, and learn from it unless it or the gateway was away."""
        self._note_return(now_s)
        if is_usual and self.is_live and self.since_s == self.heard_s:
            self.rhythm.learn(messages, now_s - self.heard_s)
        self.heard_s = self.since_s = now_s
        self.is_live = self.has_returned = True

    def excuse(self, excess: float, late: int, now_s: float) -> int:
        """Return how many messages beyond its limit it has kept while it was away.

        Args:
            excess: How many there are.
            late: How many messages say of themselves that they are old.
            now_s: A clock that only goes forward.
        """
        self._note_return(now_s)
        if excess <= 0:
            return 0
        late = min(late, self.late_left)
        self.late_left -= late
        if now_s > self._credit_until_s:
            return late
        credit = math.ceil(min(max(0.0, excess - late), self._credit))
        self._credit -= credit
        return late + credit

    def _note_return(self, now_s: float) -> None:
        if now_s - self.heard_s >= _AWAY_S and self._away_s != self.heard_s:
            self._away_s = self.heard_s
            self._credit = 2 * self.rhythm.usual_hz * (now_s - self.heard_s)
            self._credit_until_s = now_s + _CREDIT_S

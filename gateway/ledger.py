"""The book in which every message that came in ends exactly once.

``received == stored + duplicates + dead_letters + shed + too_old + quarantined + in_hand`` at every
moment; ``in_hand`` is what is queued or being worked on, ``too_old`` what says nothing but readings
from before the time for which the store keeps them, ``quarantined`` what was not looked at because
its device is limited or quarantined. A message of which a part is bad is stored, and its
bad parts are counted beside. Counters are plain ints changed from one thread each, so that
counting costs nothing; `gateway.control` shows them as Prometheus metrics.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Oldest(NamedTuple):
    """The reading that was oldest when it came, of those that were too old to be kept."""

    device: str
    age_s: float


@dataclass(slots=True)
class Ledger:
    """Counts of messages by how they ended, and of what was made of them."""

    received: int = 0
    stored_messages: int = 0
    readings: int = 0
    duplicate_readings: int = 0
    duplicates: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    shed: Counter[str] = field(default_factory=Counter)  # by first topic levels
    too_old: int = 0
    too_old_readings: int = 0
    oldest: Oldest | None = None
    quarantined: Counter[str] = field(default_factory=Counter)  # by device
    bad_parts: Counter[str] = field(default_factory=Counter)  # of stored messages, by profile
    outcomes: int = 0
    outcomes_repeated: int = 0
    outcomes_refused: int = 0
    outcomes_thinned: int = 0  # removed from a queue that was nearly full

    def ended(self) -> int:
        """Return how many messages have ended."""
        lost = self.dead_letters.total() + self.shed.total() + self.too_old
        lost += self.quarantined.total()
        return self.stored_messages + self.duplicates + lost

    def in_hand(self) -> int:
        """Return how many messages are still queued or being worked on."""
        return self.received - self.ended()

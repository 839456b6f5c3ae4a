"""The book in which every message that came in ends exactly once.

``received == stored + duplicates + dead_letters + shed + in_hand`` at every moment; ``in_hand`` is
what is queued or being worked on. Counters are plain ints changed from one thread each, so that
counting costs nothing; `gateway.control` shows them as Prometheus metrics.
"""

from collections import Counter
from dataclasses import dataclass, field


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
    outcomes: int = 0
    outcomes_repeated: int = 0
    outcomes_refused: int = 0

    def ended(self) -> int:
        """Return how many messages have ended."""
        return (
            self.stored_messages + self.duplicates + self.dead_letters.total() + self.shed.total()
        )

    def in_hand(self) -> int:
        """Return how many messages are still queued or being worked on."""
        return self.received - self.ended()

"""What keeps forwarding and thinning out of each other's way; both run on one event loop."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Hold:
    """Shared by the forwarder and the thinner.

    A packet must either be at the hub or be counted as removed, never both. So the thinner leaves
    alone what was, or may have been, sent; and a session of the forwarder that may have fetched
    what is being removed ends, and begins anew when it is gone.

    Attributes:
        thinning: Held while packets are being removed.
        plans: How many times that was begun.
        sent: Lane to the highest sequence of it that was given to the hub, answered or not. A lane
            is sent in order, so all before that was given too.
    """

    thinning: asyncio.Lock = field(default_factory=asyncio.Lock)
    plans: int = 0
    sent: dict[str, int] = field(default_factory=dict)

    def note_sent(self, lane: str, sequence: int) -> None:
        """Note that a lane was sent up to here."""
        self.sent[lane] = max(self.sent.get(lane, 0), sequence)

    def is_untouched(self, lane: str, sequence: int) -> bool:
        """Say whether a packet was never given to the hub."""
        return sequence > self.sent.get(lane, 0)

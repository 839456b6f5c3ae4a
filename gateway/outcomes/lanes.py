"""Which of the two lanes of the outgoing queue an outcome is put in.

Each lane is forwarded strictly in order. Across them: while the hub is away everything is put in
the late lane. When it is back, a short backlog is brought over first and what is new queues behind
it, so that order is kept throughout; a long one is overtaken by what is new.

The late lane never overtakes the live one: the forwarder holds a late packet while an older live
one is still queued. The live lane overtakes the late one only when `choose` says so.
"""

from dataclasses import dataclass, field

from gateway.model import Rank
from gateway.outcomes.hold import Hold
from gateway.outcomes.underway import Underway
from gateway.topics import OUTQ_LATE, OUTQ_LIVE

_CAUGHT_UP_S = 5


def in_order(backlog: int, drain_per_s: int) -> int:
    """Return how long a backlog new outcomes may queue behind, in packets.

    Args:
        backlog: As configured.
        drain_per_s: Where a backlog is brought over slowly, no more than what goes in 5 s.
    """
    return min(backlog, _CAUGHT_UP_S * drain_per_s) if drain_per_s else backlog


@dataclass(slots=True)
class Lanes:
    """What outbox and forwarder know together; used from one event loop.

    A sequence is that of the leaf's stream, which numbers both lanes.

    Attributes:
        in_order_backlog: Longest backlog, in packets, that live outcomes queue behind.
        alarms_first: Alarms do not queue behind a backlog, and the backlog's own go first.
        hub_up: The hub takes outcomes; the forwarder says so.
        waiting: Packets in the late lane that the hub does not have.
        newest_late: Sequence of the newest packet that was put in the late lane.
        done_late: Late packets up to this sequence are at the hub.
        is_stale: Packets left the late lane otherwise than in order, or nobody has counted yet:
            `recounted` is needed.
        hold: Shared with whoever removes packets.
        underway: Which packets are in the queue, whichever lane.
    """

    in_order_backlog: int
    alarms_first: bool = False
    hub_up: bool = False
    waiting: int = 0
    newest_late: int = 0
    done_late: int = 0
    is_stale: bool = True
    hold: Hold = field(default_factory=Hold)
    underway: Underway = field(default_factory=Underway)

    def choose(self, rank: Rank = "routine") -> str:
        """Return the lane that the next outcomes are put in.

        To be called with no put under way, or what it puts would not be counted.
        """
        if not self.hub_up:
            return OUTQ_LATE
        if self.done_late >= self.newest_late or (self.alarms_first and rank == "alarm"):
            return OUTQ_LIVE
        return OUTQ_LATE if self.waiting <= self.in_order_backlog else OUTQ_LIVE

    def put_late(self, packets: int, last_sequence: int) -> None:
        """Count packets that the leaf stored in the late lane, the last at this sequence."""
        self.waiting += packets
        self.newest_late = max(self.newest_late, last_sequence)
        self._settle()

    def forwarded_late(self, sequences: list[int]) -> None:
        """Count late packets that are at the hub now, in their order; repeated ones count once."""
        self.waiting = max(0, self.waiting - sum(s > self.done_late for s in sequences))
        self.done_late = max(self.done_late, *sequences)
        self._settle()

    def recounted(self, waiting: int, oldest: int, newest: int) -> None:
        """Take over what the leaf's stream holds: after a start, or a put that was not answered.

        Args:
            waiting: Packets in the late lane.
            oldest: Sequence of the oldest of them; 0 without one.
            newest: Sequence of the newest of them; 0 without one.
        """
        self.waiting = waiting
        self.newest_late = newest
        self.done_late = max(0, oldest - 1)
        self.is_stale = False

    def _settle(self) -> None:
        if self.done_late >= self.newest_late:
            self.waiting = 0

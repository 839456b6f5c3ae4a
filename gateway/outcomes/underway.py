"""Which outcomes are in the leaf's queue, as who put them and who forwards them knows it.

The queue is a store on a disk and may be damaged or wiped. What was put there, never forwarded, and
stands before the oldest or behind the newest that the queue still has, is gone from it. No clock is
needed to tell.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_MOST = 100_000  # as many as the store keeps the packets of
_MOST_EARLY = 10_000


class Span(NamedTuple):
    """What a queue holds: the sequence of its oldest and of its newest message.

    An empty queue has ``first`` above ``last``. What is unreadable stands before ``first``, and
    would stay there for ever.
    """

    first: int
    last: int
    has_unreadable: bool = False


class Underway:
    """Outcomes by id, from the leaf's acknowledgement to the hub's; used from one event loop.

    Attributes:
        now_ns: The clock by which the store notes when they were put.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.now_ns = now_ns
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()  # sequence, put at (ns)
        self._suspects: set[str] = set()
        self._unsure: set[str] = set()
        self._early: OrderedDict[str, None] = OrderedDict()  # gone before they were noted

    def __len__(self) -> int:
        return len(self._known)

    def take_up(self, sent: Sequence[tuple[str, int]], last: int, unsure_until_ns: int = 0) -> None:
        """Expect in the queue what was put there before this start, at ``last`` or before.

        Args:
            sent: Ids, and when they were put (ns).
            last: Sequence of the newest in the queue.
            unsure_until_ns: What was put up to then may be at the hub: a crash took with it what
                was known of that.
        """
        self._unsure = {packet_id for packet_id, at_ns in sent if at_ns <= unsure_until_ns}
        later = dict(self._known)
        self._known.clear()
        for packet_id, at_ns in sent:
            if packet_id not in self._early:
                self._known[packet_id] = (last, at_ns)
        self._known.update(later)

    def put(self, ids: Sequence[str], sequences: Sequence[int]) -> None:
        """Note what the queue has taken, each at which sequence; of very many the newest."""
        at_ns = self.now_ns()
        for packet_id, sequence in zip(ids, sequences, strict=True):
            if packet_id not in self._early:
                self._known[packet_id] = (sequence, at_ns)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def gone(self, ids: Iterable[str]) -> None:
        """Note what has left the queue as it should: the hub has it, or it was thinned.

        Of several that are put at once the first may leave before the last is there, and all are
        noted: what leaves before it is noted is not to be expected any more.
        """
        for packet_id in ids:
            if self._known.pop(packet_id, None) is None:
                self._early[packet_id] = None
        while len(self._early) > _MOST_EARLY:
            self._early.popitem(last=False)

    def is_unsure(self, packet_id: str) -> bool:
        """Say whether what is missing in the queue may as well be at the hub since before."""
        return packet_id in self._unsure

    def since_ns(self) -> int:
        """Return up to when all that was put has left the queue as it should."""
        now_ns = self.now_ns()
        for _, at_ns in self._known.values():
            return min(at_ns, now_ns) - 1
        return now_ns

    def snapshot(self) -> list[tuple[str, int]]:
        """Return ids and sequences, to be compared with what the queue is asked then."""
        return [(packet_id, sequence) for packet_id, (sequence, _) in self._known.items()]

    def missing(self, before: Sequence[tuple[str, int]], span: Span) -> list[str]:
        """Return what the queue lost.

        Args:
            before: A snapshot of before the queue was asked.
            span: What it answered.

        Returns:
            What was missing the last time too: the first time it may be on its way to the hub.
        """
        absent = {
            packet_id
            for packet_id, sequence in before
            if packet_id in self._known and not span.first <= sequence <= span.last
        }
        again = absent & self._suspects
        lost = [packet_id for packet_id, _ in before if packet_id in again]
        self._suspects = absent
        return lost

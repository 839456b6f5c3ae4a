"""An outbox in memory, for tests of what stands before it."""

import time
from collections.abc import Sequence

from gateway.errors import OutboxError
from gateway.model import Packet
from gateway.outcomes.outbox import Depth, PutResult


class MemoryOutbox:
    """Keeps packets in a dict; refuses when full or when told to be away.

    Attributes:
        stored: Packets by id, in the order in which they came.
        away: While True every call raises `OutboxError`.
    """

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.stored: dict[str, Packet] = {}
        self.away = False
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._since_s = 0.0

    async def put(self, packets: Sequence[Packet]) -> list[PutResult]:
        self._check()
        new = {p.id: p for p in packets if p.id not in self.stored}
        size_bytes = sum(_size_bytes(p) for p in new.values())
        if self._size_bytes + size_bytes > self._max_bytes:
            raise OutboxError("the queue is full", 0.01)
        results = [PutResult(p.id, duplicate=p.id in self.stored) for p in packets]
        self._since_s = self._since_s or time.monotonic()
        self.stored |= new
        self._size_bytes += size_bytes
        return results

    async def depth(self) -> Depth:
        self._check()
        age_s = time.monotonic() - self._since_s if self.stored else 0.0
        return Depth(len(self.stored), self._size_bytes, age_s)

    def _check(self) -> None:
        if self.away:
            raise OutboxError("the leaf is away", 0.01)


def _size_bytes(packet: Packet) -> int:
    return len(packet.payload) + len(packet.subject) + len(packet.id)

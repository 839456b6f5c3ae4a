"""The queue when it is nearly full: routine packets are thinned, evenly over time; alarms stay."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nats.aio.client import Client

from gateway.errors import OutboxError
from gateway.ledger import Ledger
from gateway.model import Packet
from gateway.outcomes.direct import Queued, QueueReader, reading
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.levelling import surplus, water_level
from gateway.outcomes.link import LinkError, connection
from gateway.outcomes.outbox import LeafOutbox
from gateway.outcomes.packet import PacketError, decode, named
from gateway.outcomes.plan import carry_out_plans, plan_letter

log = logging.getLogger(__name__)

HIGH = 0.98
LOW = 0.90
_ROUTINE = "outq.*.routine.>"
_PARTS = (128, 32, 8, 1)  # fewer where there are so many sources that their newest ones fill them
_MOST_REMOVED = 1000  # by one plan: what follows waits half a second for it
_PAGE = 200  # a live outcome waits while one is taken apart
_LOOK_S = 1.0
_IN_VAIN_S = 60.0
_AGAIN_S = 0.5
_MOST_TRIES = 60
_MOST_TOLD = 999_999  # a number in a packet has six digits
_NS = 1_000_000_000


class Thinned(NamedTuple):
    """What was removed.

    Attributes:
        removed: How many packets, with those of earlier notices that this one stands for.
        kept: How many routine ones wait still.
        start_ns: The oldest of them was stored then.
        end_ns: When it was done.
    """

    removed: int
    kept: int
    start_ns: int
    end_ns: int


class Thinner:
    """Looks at the queue's room, and thins it when it is nearly used up.

    Args:
        url: ``nats://user:password@host:port`` of the leaf's account ``UP``.
        gateway: The gateway's name.
        lanes: Shared with outbox and forwarder.
        outbox: Where the packet that tells of it is put.
        max_bytes: The queue's room.
        tell: Makes that packet.
        ledger: Where it is counted.
    """

    def __init__(
        self,
        url: str,
        gateway: str,
        lanes: Lanes,
        outbox: LeafOutbox,
        *,
        max_bytes: int,
        tell: Callable[[Thinned], Packet],
        ledger: Ledger,
    ) -> None:
        self._url = url
        self._gateway = gateway
        self._lanes = lanes
        self._outbox = outbox
        self._max_bytes = max_bytes
        self._tell = tell
        self._ledger = ledger
        self._last_ns = 0

    async def run(self) -> None:
        """Watch and thin until cancelled."""
        while True:
            pause_s = _LOOK_S
            try:
                depth = await self._outbox.depth()
                if depth.size_bytes > HIGH * self._max_bytes:
                    removed = await self.thin(depth.size_bytes / depth.packets, depth.size_bytes)
                    pause_s = _LOOK_S if removed else _IN_VAIN_S
            except (OutboxError, LinkError) as exc:
                log.warning("the queue is not thinned: %s", exc)
            await asyncio.sleep(pause_s)

    async def thin(self, packet_bytes: float, size_bytes: int) -> int:
        """Remove routine packets until the queue is down to `LOW`; return how many went.

        Args:
            packet_bytes: Size of a packet, about.
            size_bytes: Of the queue.

        Raises:
            LinkError: The leaf is away.
            OutboxError: It does not store what tells of it.
        """
        wanted = int((size_bytes - LOW * self._max_bytes) / packet_bytes)
        removed = 0
        async with (
            connection(self._url, self._gateway, "weir thinning") as client,
            reading(client) as reader,
        ):
            for parts in _PARTS:
                removed += await self._level(client, reader, parts, wanted - removed)
                if removed >= wanted // 2:
                    break
        log.warning("the queue is nearly full: %d routine outcomes were removed", removed)
        return removed

    async def _level(self, client: Client, reader: QueueReader, parts: int, wanted: int) -> int:
        begins, counts = await _parts(reader, parts)
        total = sum(counts)
        if not total:
            return 0
        level = water_level(counts, total - wanted)
        removed = 0
        for first, count in sorted(zip(begins, counts, strict=True), key=lambda part: -part[1]):
            if count <= level:
                break
            found = await _read(reader, first, count)
            own = [q for q in found if self._lanes.hold.is_untouched(q.lane, q.sequence)]
            going = [own[n] for n in surplus([named(q.payload)[1] for q in own], level)]
            for begin in range(0, len(going), _MOST_REMOVED):
                removed += await self._remove(
                    client, reader, going[begin : begin + _MOST_REMOVED], total - removed
                )
        return removed

    async def _remove(
        self, client: Client, reader: QueueReader, going: Sequence[Queued], total: int
    ) -> int:
        """Remove packets, and have that told; return how many."""
        hold = self._lanes.hold
        async with hold.thinning:
            hold.plans += 1  # from here on the forwarder sends nothing that it fetched before
            going = [q for q in going if hold.is_untouched(q.lane, q.sequence)]
            if not going:
                return 0
            self._last_ns = max(time.time_ns(), self._last_ns + _NS // 1000)
            thinned = Thinned(len(going), total - len(going), going[0].time_ns, self._last_ns)
            earlier = await self._earlier(reader, self._tell(thinned).subject, len(going))
            packet = self._tell(
                thinned._replace(
                    removed=thinned.removed + sum(count for _, count, _ in earlier),
                    start_ns=min([thinned.start_ns, *(since for _, _, since in earlier)]),
                )
            )
            gone = [*(q.sequence for q in going), *(sequence for sequence, _, _ in earlier)]
            self._lanes.underway.gone(named(q.payload)[0] for q in going)
            try:
                await self._outbox.put_with(packet, plan_letter(packet.id, gone))
            finally:
                await self._carry_out(client)
        self._lanes.is_stale = True
        self._ledger.outcomes_thinned += len(going)
        self._ledger.outcomes += 1 - len(earlier)  # it takes the place of those
        return len(going)

    async def _earlier(
        self, reader: QueueReader, subject: str, removed: int
    ) -> list[tuple[int, int, int]]:
        """Return what earlier packets that wait still tell: sequence, removed and since when."""
        found, _ = await reader.read(f"outq.*.alarm.{subject}", 1)
        earlier = []
        for queued in found:
            if not self._lanes.hold.is_untouched(queued.lane, queued.sequence):
                continue
            try:
                content = decode(queued.payload)
            except PacketError as exc:
                log.warning("message %d of the queue is passed over: %s", queued.sequence, exc)
                continue
            told = int(content.numbers.get("removed", 0))
            if removed + told > _MOST_TOLD:
                continue
            removed += told
            earlier.append((queued.sequence, told, content.start_ms * 1_000_000))
        return earlier

    async def _carry_out(self, client: Client) -> None:
        """Carry the plan out. While it is half done nothing is forwarded, but not for ever."""
        for _ in range(_MOST_TRIES):
            try:
                return await carry_out_plans(client)
            except LinkError as exc:
                log.warning("thinning waits: %s", exc)
                await asyncio.sleep(_AGAIN_S)
        return await carry_out_plans(client)


async def _parts(reader: QueueReader, parts: int) -> tuple[list[int], list[int]]:
    """Cut the time of the waiting routine packets; return where each part begins, and its count.

    The times are those at which the leaf stored them.
    """
    found, pending = await reader.read(_ROUTINE, 1, 1)
    newest = await reader.last(_ROUTINE)
    if not found or newest is None:
        return [], []
    begin_ns = found[0].time_ns
    span_ns = max(1, newest.time_ns - begin_ns)
    begins, from_there = [found[0].sequence], [pending + 1]
    for n in range(1, parts):
        first, count = await reader.count_since(_ROUTINE, begin_ns + span_ns * n // parts)
        begins.append(first)
        from_there.append(min(count, from_there[-1]))  # after a step of the clock it may be more
    following = [*from_there[1:], 0]
    return begins, [a - b for a, b in zip(from_there, following, strict=True)]


async def _read(reader: QueueReader, first: int, count: int) -> list[Queued]:
    """Return ``count`` routine packets from a sequence on."""
    found: list[Queued] = []
    while len(found) < count:
        page, _ = await reader.read(_ROUTINE, first, min(_PAGE, count - len(found)))
        if not page:
            break
        found += page
        first = page[-1].sequence + 1
    return found

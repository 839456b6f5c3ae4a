"""The queue on the leaf: an outcome that is put here survives a power cut.

``OUTQ`` is a work queue that refuses what is new when it is full and never drops what it has. The
subject is ``outq.<lane>.<rank>.<subject at the hub>``, so that no subject stands at both ends of
the link. Packets of an older version have no rank there, and are never thinned.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from nats.aio.client import Client

from gateway.errors import OutboxError
from gateway.model import Packet
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import LinkError, NoListenerError, ask, connection
from gateway.outcomes.plan import carry_out_plans
from gateway.outcomes.publishing import MAX_BATCH, Letter, Publisher, Stored
from gateway.outcomes.underway import Span
from gateway.topics import OUTQ_LATE, OUTQ_STREAM

log = logging.getLogger(__name__)

DUPLICATE_WINDOW_S = 120
_STORE_FAILED = 10077  # above all "maximum bytes exceeded": the queue is full
_NO_STREAM = 10059
_NOT_FOUND = 10037
_ID = 16  # 80 bits of a packet's id tell it from all others of two minutes
_PLAN_BYTES = 1_000_000  # of what the account may store besides the queue
_FULL_RETRY_S = 2.0
_RETRY_S = 0.2  # the leaf is on this machine: asking costs nothing, and it is back in a second
_NS = 1_000_000_000


class PutResult(NamedTuple):
    """A packet is in the queue, or was put there before and has perhaps left it since."""

    id: str
    duplicate: bool


class Depth(NamedTuple):
    """What waits for the hub.

    Attributes:
        packets: How many, in both lanes.
        size_bytes: Their room in the store.
        oldest_age_s: Age of the oldest; 0 without any.
    """

    packets: int
    size_bytes: int
    oldest_age_s: float


class Outbox(Protocol):
    """Where outcomes are handed over; from then on they are not lost."""

    async def put(self, packets: Sequence[Packet]) -> list[PutResult]:
        """Store packets; return one result for each, in their order.

        Raises:
            OutboxError: Not all are stored. Put the same ones again after ``retry_after_s``: those
                that are stored already come back as duplicates.
        """
        ...

    async def depth(self) -> Depth:
        """Say what waits.

        Raises:
            OutboxError: The leaf is away.
        """
        ...


class LeafOutbox:
    """The outbox on the leaf; made by `leaf_outbox`.

    Args:
        client: A connection to the leaf.
        lanes: Shared with the forwarder.
        max_bytes: The queue's room.
        timeout_s: Longest wait for one acknowledgement.
    """

    def __init__(self, client: Client, lanes: Lanes, max_bytes: int, timeout_s: float) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._lanes = lanes
        self._publisher = Publisher(client, OUTQ_STREAM, timeout_s, near=True)
        self._putting = asyncio.Lock()  # the choice of a lane must see every put before it

    async def put(self, packets: Sequence[Packet]) -> list[PutResult]:
        """See `Outbox.put`."""
        results: list[PutResult] = []
        async with self._putting:
            try:
                for begin in range(0, len(packets), MAX_BATCH):
                    results += await self._put(packets[begin : begin + MAX_BATCH])
            except LinkError as exc:
                self._lanes.is_stale = True  # what was not answered may be stored
                if isinstance(exc, NoListenerError) or exc.err_code == _NO_STREAM:
                    await self._make_anew()
                full = exc.err_code == _STORE_FAILED
                text = f"no room in the queue, evaluation waits ({exc})" if full else str(exc)
                raise OutboxError(text, _FULL_RETRY_S if full else _RETRY_S) from exc
        return results

    async def put_with(self, packet: Packet, plan: Letter) -> None:
        """Store a packet and a plan, both or none; where there is no room left, room is made.

        Raises:
            OutboxError: Not stored, or nobody knows.
        """
        async with self._putting:
            try:
                try:
                    await self._put_with(packet, plan)
                except LinkError as exc:
                    if exc.err_code != _STORE_FAILED:
                        raise
                    await ensure_queue(self._client, self._max_bytes + _PLAN_BYTES)
                    try:
                        await self._put_with(packet, plan)
                    finally:
                        await ensure_queue(self._client, self._max_bytes)
            except LinkError as exc:
                self._lanes.is_stale = True
                raise OutboxError(str(exc)) from exc

    async def depth(self) -> Depth:
        """See `Outbox.depth`."""
        try:
            info = await ask(self._client, f"$JS.API.STREAM.INFO.{OUTQ_STREAM}")
        except LinkError as exc:
            raise OutboxError(str(exc)) from exc
        state = info["state"]
        age_s = 0.0
        if state["messages"]:
            age_s = max(0.0, time.time() - datetime.fromisoformat(state["first_ts"]).timestamp())
        return Depth(int(state["messages"]), int(state["bytes"]), age_s)

    async def span(self) -> Span:
        """Say from which to which sequence the queue has packets.

        Raises:
            OutboxError: The leaf is away.
        """
        try:
            info = await ask(self._client, f"$JS.API.STREAM.INFO.{OUTQ_STREAM}")
        except LinkError as exc:
            raise OutboxError(str(exc)) from exc
        state = info["state"]
        last = int(state["last_seq"])
        if not state["messages"]:
            return Span(last + 1, last)
        try:
            first = await sequence_of(self._client, {"seq": 1, "next_by_subj": "outq.>"})
        except LinkError as exc:
            raise OutboxError(str(exc)) from exc
        first = first or last + 1
        return Span(first, last, has_unreadable=int(state["first_seq"]) < first)

    async def drop_before(self, sequence: int) -> None:
        """Delete what lies before a sequence: messages that the leaf cannot read any more.

        Raises:
            OutboxError: The leaf is away.
        """
        try:
            await ask(self._client, f"$JS.API.STREAM.PURGE.{OUTQ_STREAM}", {"seq": sequence})
        except LinkError as exc:
            raise OutboxError(str(exc)) from exc

    async def _make_anew(self) -> None:
        """Make the queue that the leaf does not have any more, if it answers at all."""
        try:
            await ensure_queue(self._client, self._max_bytes)
        except LinkError as exc:
            log.debug("the queue is not there: %s", exc)

    async def _put(self, packets: Sequence[Packet]) -> list[PutResult]:
        if self._lanes.is_stale:
            await self._recount()
        letters = [self._letter(packet) for packet in packets]
        stored = await self._publisher.publish(letters)
        self._count(letters, stored)
        new = [(p.id, s.sequence) for p, s in zip(packets, stored, strict=True) if not s.duplicate]
        self._lanes.underway.put([i for i, _ in new], [s for _, s in new])
        return [
            PutResult(packet.id, s.duplicate) for packet, s in zip(packets, stored, strict=True)
        ]

    async def _put_with(self, packet: Packet, plan: Letter) -> None:
        if self._lanes.is_stale:
            await self._recount()
        letters = [self._letter(packet), plan]
        self._count(letters, await self._publisher.publish_together(letters))

    def _letter(self, packet: Packet) -> Letter:
        lane = self._lanes.choose(packet.rank)
        subject = f"{lane}.{packet.rank}.{packet.subject}"
        return Letter(packet.id[:_ID], packet.source, subject, packet.payload, {})

    def _count(self, letters: list[Letter], stored: list[Stored]) -> None:
        new = [
            s.sequence
            for letter, s in zip(letters, stored, strict=True)
            if letter.subject.startswith(f"{OUTQ_LATE}.") and not s.duplicate
        ]
        if new:
            self._lanes.put_late(len(new), max(new))

    async def _recount(self) -> None:
        late = f"{OUTQ_LATE}.>"
        info = await ask(
            self._client, f"$JS.API.STREAM.INFO.{OUTQ_STREAM}", {"subjects_filter": late}
        )
        self._lanes.hold.note_newest(int(info["state"]["last_seq"]))
        waiting = sum((info["state"].get("subjects") or {}).values())
        oldest = await sequence_of(self._client, {"seq": 1, "next_by_subj": late})
        newest = await sequence_of(self._client, {"last_by_subj": late})
        self._lanes.recounted(waiting, oldest, newest)


@asynccontextmanager
async def leaf_outbox(
    url: str, gateway: str, lanes: Lanes, *, max_bytes: int, timeout_s: float = 5.0
) -> AsyncIterator[LeafOutbox]:
    """Connect to the leaf and see to it that the queue is there.

    Args:
        url: ``nats://user:password@host:port`` of the leaf's account ``UP``.
        gateway: The gateway's name.
        lanes: Shared with the forwarder.
        max_bytes: Room for what waits; when it is full `LeafOutbox.put` refuses.
        timeout_s: Longest wait for one acknowledgement.

    Raises:
        OutboxError: The leaf is away, or does not make the queue.
    """
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connection(url, gateway, "weir outbox"))
            await ensure_queue(client, max_bytes)
            await _finish_plans(client)
        except LinkError as exc:
            raise OutboxError(str(exc)) from exc
        yield LeafOutbox(client, lanes, max_bytes, timeout_s)


async def _finish_plans(client: Client) -> None:
    try:
        await carry_out_plans(client)
    except LinkError as exc:
        if not exc.err_code:
            raise
        log.error("a plan of thinning is not carried out: %s", exc)  # noqa: TRY400 - says it all


async def ensure_queue(client: Client, max_bytes: int) -> None:
    """Bring the stream OUTQ to this configuration, or create it.

    In this order: nats-server counts what a CREATE asks for against what is free before it looks
    whether the stream is there, so creating it again after a restart is refused for want of room.

    Raises:
        LinkError: Refused, for one because the account has less room than ``max_bytes``.
    """
    config: dict[str, Any] = {
        "name": OUTQ_STREAM,
        "subjects": ["outq.>"],
        "retention": "workqueue",
        "discard": "new",
        "max_bytes": max_bytes,
        "storage": "file",
        "num_replicas": 1,
        "duplicate_window": DUPLICATE_WINDOW_S * _NS,
        "allow_direct": True,
        "allow_atomic": True,
    }
    try:
        await ask(client, f"$JS.API.STREAM.UPDATE.{OUTQ_STREAM}", config)
    except LinkError as exc:
        if exc.err_code != _NO_STREAM:
            raise
        await ask(client, f"$JS.API.STREAM.CREATE.{OUTQ_STREAM}", config)


async def sequence_of(client: Client, which: dict[str, Any]) -> int:
    """Return the sequence of the message in OUTQ that is asked for, or 0 where there is none.

    Args:
        client: A connection to the leaf.
        which: ``STREAM.MSG.GET``'s request: ``last_by_subj``, or ``next_by_subj`` with ``seq``.

    Raises:
        LinkError: The leaf is away.
    """
    try:
        found = await ask(client, f"$JS.API.STREAM.MSG.GET.{OUTQ_STREAM}", which)
    except LinkError as exc:
        if exc.err_code == _NOT_FOUND:
            return 0
        raise
    return int(found["message"]["seq"])

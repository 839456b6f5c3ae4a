"""A queue that is nearly full: routine packets go, alarms stay, and the books add up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.errors import OutboxError
from gateway.ledger import Ledger
from gateway.model import Outcome, OutcomeContext, Packet, PluginIdentity, Result
from gateway.outcomes.direct import Queued, reading
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import connection
from gateway.outcomes.outbox import LeafOutbox, leaf_outbox
from gateway.outcomes.packet import PacketContent, decode, encode
from gateway.outcomes.plan import plan_letter
from gateway.outcomes.thinning import HIGH, LOW, Thinned, Thinner
from tests.nats_servers import GATEWAY, Site, at_hub, packet, packets, site

ROOM = 1_000_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def _tell(thinned: Thinned) -> Packet:
    return encode(
        Outcome(
            gateway=GATEWAY,
            source=GATEWAY,
            context=OutcomeContext("gateway", "box", "gateway-thinned"),
            plugin=PluginIdentity("weir-gateway-thinned", "1", ""),
            quantities=(),
            start_ns=thinned.start_ns,
            end_ns=thinned.end_ns,
            result=Result("thinned", 1.0, numbers={"removed": thinned.removed}),
            received_ns=thinned.end_ns,
            rank="alarm",
        )
    )


class Parts(NamedTuple):
    outbox: LeafOutbox
    thinner: Thinner
    ledger: Ledger
    lanes: Lanes

    async def thin(self) -> int:
        depth = await self.outbox.depth()
        return await self.thinner.thin(depth.size_bytes / depth.packets, depth.size_bytes)

    async def fill(self, make: Callable[[int], Packet], first: int = 0) -> int:
        """Put packets until no more than `HIGH` of the room is left; return the next number."""
        number = first
        while (await self.outbox.depth()).size_bytes < HIGH * ROOM:
            await self.outbox.put([make(n) for n in range(number, number + 50)])
            number += 50
        return number


@asynccontextmanager
async def running(place: Site, lanes: Lanes | None = None) -> AsyncIterator[Parts]:
    lanes = lanes or Lanes(100)
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(
            leaf_outbox(place.leaf_url, GATEWAY, lanes, max_bytes=ROOM)
        )
        thinner = Thinner(
            place.leaf_url, GATEWAY, lanes, outbox, max_bytes=ROOM, tell=_tell, ledger=ledger
        )
        yield Parts(outbox, thinner, ledger, lanes)


async def _queued(place: Site) -> list[Queued]:
    found: list[Queued] = []
    async with connection(place.leaf_url, GATEWAY, "test") as client, reading(client) as reader:
        while True:
            page, _ = await reader.read("outq.>", found[-1].sequence + 1 if found else 1)
            if not page:
                return found
            found += page


def _content(queued: list[Queued]) -> list[PacketContent]:
    return [decode(q.payload) for q in queued]


def _routine(number: int) -> Packet:
    return packet(number, f"pump-{number % 5}")


def _every_tenth_an_alarm(number: int) -> Packet:
    return packet(number, f"pump-{number % 5}", "routine" if number % 10 else "alarm")


async def test_alarms_stay_and_the_removed_are_told_when_the_queue_is_nearly_full(
    place: Site,
) -> None:
    async with running(place) as parts:
        put = await parts.fill(_every_tenth_an_alarm)
        removed = await parts.thin()
        assert removed > 0.05 * put
        depth = await parts.outbox.depth()
        assert depth.size_bytes <= (LOW + 0.02) * ROOM
        there = _content(await _queued(place))
        assert parts.ledger.outcomes_thinned == removed
    (told,) = [c for c in there if c.kind == "gateway-thinned"]
    assert told.numbers["removed"] == removed
    assert len(there) - 1 + removed == put
    numbers = [int(c.score) for c in there if c.kind != "gateway-thinned"]
    assert [n for n in numbers if n % 10 == 0] == list(range(0, put, 10))
    assert max(b - a for a, b in pairwise(numbers)) <= 10, numbers


async def test_density_is_even_when_it_is_thinned_again_and_again(place: Site) -> None:
    async with running(place) as parts:
        put = first = await parts.fill(_routine)
        for _ in range(12):
            await parts.thin()
            put = await parts.fill(_routine, put)
        await parts.thin()
        there = _content(await _queued(place))
    told = [c for c in there if c.kind == "gateway-thinned"]
    assert len(told) == 1  # it stands for the earlier ones
    numbers = [int(c.score) for c in there if c.kind != "gateway-thinned"]
    assert (
        told[0].numbers["removed"] + len(numbers)
        == put
        == parts.ledger.outcomes_thinned + len(numbers)
    )
    assert parts.ledger.outcomes == 1
    oldest = [n for n in numbers if n < first]  # put within a moment, now a long time ago
    assert len(oldest) < 0.5 * first
    assert max(b - a for a, b in pairwise(oldest)) < 0.1 * first
    assert {c.source for c in there[-20:]} >= {f"pump-{n}" for n in range(5)}


async def test_newest_of_each_source_stays_when_there_are_very_many(place: Site) -> None:
    async with running(place) as parts:
        put = await parts.fill(lambda n: packet(n, f"device-{n % 700}"))
        assert await parts.thin() > 0
        there = _content(await _queued(place))
    numbers = {int(c.score) for c in there if c.kind != "gateway-thinned"}
    assert set(range(put - 700, put)) <= numbers


async def test_put_refuses_when_only_alarms_are_left(place: Site) -> None:
    async with running(place) as parts:
        put = await parts.fill(lambda n: packet(n, "pump-1", "alarm"))
        assert await parts.thin() == 0
        more = [packet(n, "p", "alarm") for n in range(put, 2 * put)]
        with pytest.raises(OutboxError):
            await parts.outbox.put(more)
        assert len(await _queued(place)) >= put


async def test_room_is_made_when_the_queue_is_full_to_the_brim(place: Site) -> None:
    async with running(place) as parts:
        put = 0
        with suppress(OutboxError):
            while True:
                await parts.outbox.put([_routine(put)])
                put += 1
        removed = await parts.thin()
        assert removed > 0.1 * put
        await parts.outbox.put([_routine(put)])
        there = _content(await _queued(place))
    assert len(there) - 1 + removed == put + 1


async def test_plan_is_carried_out_at_the_next_start(place: Site) -> None:
    async with running(place) as parts:
        await parts.outbox.put(packets(10))
        notice = _tell(Thinned(3, 7, 1, 2))
        await parts.outbox.put_with(notice, plan_letter(notice.id, [2, 4, 6, 4711]))
    async with running(place) as parts:
        there = _content(await _queued(place))
        assert (await parts.outbox.depth()).packets == 8
    assert [int(c.score) for c in there] == [0, 2, 4, 6, 7, 8, 9, 1]


async def test_packet_of_an_older_version_stays(place: Site) -> None:
    async with running(place) as parts:
        async with connection(place.leaf_url, GATEWAY, "test") as client:
            for p in packets(20):
                await client.jetstream().publish(f"outq.late.{p.subject}", p.payload)
        await parts.fill(_routine, 20)
        await parts.thin()
        there = _content(await _queued(place))
    assert set(range(20)) <= {int(c.score) for c in there}


async def test_no_packet_is_both_at_the_hub_and_removed_when_it_is_thinned_while_draining(
    place: Site,
) -> None:
    lanes = Lanes(100)
    async with running(place, lanes) as parts:
        put = await parts.fill(_routine)
        await place.start_hub()
        forwarder = Forwarder(place.leaf_url, GATEWAY, lanes, drain_per_s=200)
        task = asyncio.create_task(forwarder.run())
        try:
            for _ in range(4):
                await asyncio.sleep(0.3)
                await parts.thinner.thin(500, ROOM)
                await parts.outbox.put([_routine(n) for n in range(put, put + 50)])
                put += 50
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert 0 < forwarder.state().forwarded < put
        assert parts.ledger.outcomes_thinned > 0
        whole = asyncio.create_task(Forwarder(place.leaf_url, GATEWAY, lanes).run())
        async with asyncio.timeout(20):
            while (await parts.outbox.depth()).packets:  # noqa: ASYNC110 - the leaf tells nobody
                await asyncio.sleep(0.05)
        whole.cancel()
        with suppress(asyncio.CancelledError):
            await whole
    found = await at_hub(place.hub_url)
    outcomes = {i for i, source, _ in found if source != GATEWAY}
    assert len(found) == len({i for i, _, _ in found})
    assert len(outcomes) + parts.ledger.outcomes_thinned == put

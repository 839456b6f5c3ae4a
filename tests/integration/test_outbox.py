"""The outbox when its leaf goes away, comes back, or is set up differently."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import OutboxError
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import ask, connection
from gateway.outcomes.outbox import Outbox, PutResult, leaf_outbox
from gateway.outcomes.reader import outcomes_on_leaf
from gateway.topics import OUTQ_LATE
from tests.nats_servers import GATEWAY, WAIT_S, Site, packet, packets, site

ROOM = 10_000_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


async def test_outbox_says_so_when_there_is_no_leaf(place: Site) -> None:
    place.edge.kill()
    with pytest.raises(OutboxError):
        async with leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM):
            pass


async def test_put_fails_at_once_and_works_again_when_the_leaf_restarts(place: Site) -> None:
    async with leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM) as outbox:
        await outbox.put(packets(20))
        place.edge.kill()
        await asyncio.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(OutboxError):
            await outbox.put(packets(30))
        assert time.monotonic() - began < 1
        place.edge.start()
        results = await _put_until_taken(outbox, 30)
        assert [r.duplicate for r in results] == [n < 20 for n in range(30)]
        assert (await outbox.depth()).packets == 30


async def test_put_that_is_under_way_fails_at_once_when_the_leaf_dies(place: Site) -> None:
    async with leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM) as outbox:
        await outbox.put([packet(0)])
        assert place.edge.process
        place.edge.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.2)
        putting = asyncio.create_task(outbox.put([packet(1)]))
        await asyncio.sleep(0.2)
        assert not putting.done()
        began = time.monotonic()
        place.edge.kill()
        with pytest.raises(OutboxError):
            await putting
        assert time.monotonic() - began < 2


async def test_acknowledged_packets_are_there_when_the_leaf_was_killed(place: Site) -> None:
    acknowledged = 0

    async def load() -> None:
        nonlocal acknowledged
        async with leaf_outbox(
            place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM, timeout_s=1.0
        ) as outbox:
            while True:
                acknowledged += len(await outbox.put(packets(7, first=acknowledged)))

    loading = asyncio.create_task(load())
    await asyncio.sleep(0.7)
    place.edge.kill()
    with pytest.raises(OutboxError):
        await loading
    place.edge.start()
    numbers = [int(t.content.score) async for t in outcomes_on_leaf(place.leaf_url, GATEWAY, 10**6)]
    assert acknowledged > 50
    assert numbers[:acknowledged] == list(range(acknowledged))


async def test_room_is_changed_when_configured_otherwise(place: Site) -> None:
    for room in (ROOM, 2 * ROOM):
        async with leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=room) as outbox:
            await outbox.put([packet(room)])
    async with connection(place.leaf_url, GATEWAY, "test") as client:
        info = await ask(client, "$JS.API.STREAM.INFO.OUTQ")
    assert info["config"]["max_bytes"] == 2 * ROOM
    assert info["state"]["messages"] == 2


async def test_lanes_know_what_waits_when_the_gateway_restarts(place: Site) -> None:
    async with leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM) as outbox:
        await outbox.put(packets(5))
    lanes = Lanes(10, hub_up=True)
    async with leaf_outbox(place.leaf_url, GATEWAY, lanes, max_bytes=ROOM) as outbox:
        await outbox.put([packet(99)])
    assert lanes.waiting == 6
    assert lanes.choose() == OUTQ_LATE


async def test_order_is_kept_when_put_is_called_at_once_by_many(place: Site) -> None:
    async with (
        leaf_outbox(place.leaf_url, GATEWAY, Lanes(10), max_bytes=ROOM) as outbox,
        asyncio.TaskGroup() as tasks,
    ):
        for n in range(0, 60, 3):
            tasks.create_task(outbox.put(packets(3, first=n)))
    numbers = [t.content.score async for t in outcomes_on_leaf(place.leaf_url, GATEWAY, 100)]
    assert numbers == list(range(60))


async def _put_until_taken(outbox: Outbox, count: int) -> list[PutResult]:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return await outbox.put(packets(count))
        except OutboxError:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)

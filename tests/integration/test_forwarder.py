"""Outcomes on their way to the hub: none lost, none twice, in order, whatever is killed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from nats.aio.msg import Msg

from gateway.errors import OutboxError
from gateway.model import Packet
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.hub import NO_LINK, NO_STREAM
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import connection
from gateway.outcomes.outbox import LeafOutbox, leaf_outbox
from tests.nats_servers import GATEWAY, WAIT_S, Site, at_hub, packet, packets, site

ROOM = 50_000_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


class Parts(NamedTuple):
    """The outbox and the forwarder of one gateway, running."""

    outbox: LeafOutbox
    forwarder: Forwarder
    lanes: Lanes

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, self.forwarder.state()
            await asyncio.sleep(0.005)

    async def until_empty(self) -> None:
        end = time.monotonic() + 2 * WAIT_S
        while True:
            with suppress(OutboxError):
                if not (await self.outbox.depth()).packets:
                    return
            assert time.monotonic() < end, self.forwarder.state()
            await asyncio.sleep(0.02)

    async def until_up(self) -> None:
        await self.until(lambda: self.forwarder.state().up)

    async def put(self, batch: list[Packet]) -> None:
        """Put as the pipeline does: the same ones again until they are taken."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                await self.outbox.put(batch)
            except OutboxError:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            else:
                return


@asynccontextmanager
async def running(place: Site, in_order_backlog: int = 5000) -> AsyncIterator[Parts]:
    lanes = Lanes(in_order_backlog)
    forwarder = Forwarder(place.leaf_url, GATEWAY, lanes, timeout_s=2.0)
    async with leaf_outbox(place.leaf_url, GATEWAY, lanes, max_bytes=ROOM, timeout_s=2.0) as outbox:
        task = asyncio.create_task(forwarder.run())
        try:
            yield Parts(outbox, forwarder, lanes)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _assert_all_once_in_order(place: Site, count: int) -> None:
    found = await at_hub(place.hub_url)
    by_source: dict[str, list[int]] = defaultdict(list)
    for _, source, number in found:
        by_source[source].append(number)
    assert len(found) == len({packet_id for packet_id, _, _ in found}) == count
    for source, numbers in by_source.items():
        assert numbers == sorted(numbers), source


async def test_packet_is_at_the_hub_at_once_when_the_hub_is_up(place: Site) -> None:
    await place.start_hub()
    async with running(place) as parts:
        await parts.until_up()
        for n in range(20):
            await parts.outbox.put([packet(n)])
            await parts.until(lambda n=n: parts.forwarder.state().forwarded == n + 1)  # type: ignore[misc]
        await parts.until_empty()
        state = parts.forwarder.state()
    assert (state.forwarded, state.forwarded_late, state.duplicates) == (20, 0, 0)
    assert (state.reason, state.last_error) == ("", "")
    assert time.time_ns() - state.last_forward_ns < 10 * 10**9
    await _assert_all_once_in_order(place, 20)


async def test_backlog_is_brought_over_in_order_when_the_hub_comes(place: Site) -> None:
    async with running(place) as parts:
        await parts.until(lambda: parts.forwarder.state().reason == NO_LINK)
        for n in range(0, 1000, 100):
            await parts.outbox.put(packets(100, first=n))
        assert parts.forwarder.state().late_waiting == 1000
        await place.start_hub()
        began = time.monotonic()
        await parts.until(lambda: parts.forwarder.state().forwarded > 0)
        assert time.monotonic() - began < 5
        await parts.until_empty()
        assert parts.forwarder.state().forwarded_late == 1000
    await _assert_all_once_in_order(place, 1000)


async def test_order_is_strict_when_live_outcomes_come_while_a_short_backlog_drains(
    place: Site,
) -> None:
    async with running(place) as parts:
        await parts.outbox.put(packets(400))
        starting = asyncio.create_task(place.start_hub())
        for n in range(400, 1200):
            await parts.outbox.put(packets(1, first=n))
        await starting
        await parts.until_empty()
        assert parts.lanes.waiting == 0
        await parts.outbox.put(packets(1, first=1200))
        await parts.until_empty()
        assert parts.forwarder.state().forwarded_late < 1201
    await _assert_all_once_in_order(place, 1201)


async def test_live_outcome_overtakes_when_the_backlog_is_long(place: Site) -> None:
    async with running(place, in_order_backlog=100) as parts:
        for n in range(0, 5000, 500):
            await parts.outbox.put(packets(500, first=n))
        await place.start_hub()
        await parts.until_up()
        await parts.outbox.put([packet(10**6, "alarm")])
        await parts.until_empty()
    found = [number for _, _, number in await at_hub(place.hub_url)]
    assert len(found) == 5001
    assert found.index(10**6) < 4000
    del found[found.index(10**6)]
    assert found == list(range(5000))


async def test_late_packets_wait_for_older_live_ones_when_the_hub_was_lost(place: Site) -> None:
    await place.start_hub()
    async with running(place) as parts:
        await parts.until_up()
        await parts.outbox.put(packets(100))
        await parts.until_empty()
        place.hub.kill()
        for n in range(100, 300):  # the first ones still go into the live lane
            await parts.outbox.put(packets(1, first=n))
        await parts.until(lambda: not parts.forwarder.state().up)
        await place.start_hub()
        await parts.until_empty()
        assert 0 < parts.forwarder.state().forwarded_late < 200
    await _assert_all_once_in_order(place, 300)


async def test_late_packets_are_marked(place: Site) -> None:
    async with running(place) as parts:
        await parts.outbox.put(packets(3))
        await place.start_hub()
        async with connection(place.hub_url, "", "test") as client:
            stream = client.jetstream()
            await parts.until_empty()
            await parts.outbox.put([packet(3)])
            await parts.until_empty()
            marks = [(await stream.get_msg("OUTCOMES", n)).headers or {} for n in range(1, 5)]
    assert [m.get("Weir-Late") for m in marks] == ["1", "1", "1", None]


@pytest.mark.parametrize("victim", ["hub", "edge"])
async def test_nothing_is_lost_or_twice_when_a_server_is_killed_while_draining(
    place: Site, victim: str
) -> None:
    count = 3000
    async with running(place) as parts:
        for n in range(0, count, 250):
            await parts.outbox.put(packets(250, first=n))
        await place.start_hub()
        await parts.until(lambda: parts.forwarder.state().forwarded >= 400)
        server = place.hub if victim == "hub" else place.edge
        server.kill()
        await asyncio.sleep(0.3)
        server.start()
        await parts.put(packets(250, first=count))
        await parts.until_empty()
    await _assert_all_once_in_order(place, count + 250)


async def test_queue_goes_on_at_once_when_the_forwarder_was_killed(place: Site) -> None:
    count = 2000
    async with running(place) as parts:
        for n in range(0, count, 250):
            await parts.outbox.put(packets(250, first=n))
        await place.start_hub()
        await parts.until(lambda: parts.forwarder.state().forwarded >= 400)
    async with running(place) as parts:  # cancelled in the midst: messages are delivered, unacked
        began = time.monotonic()
        await parts.until(lambda: parts.forwarder.state().forwarded > 0)
        assert time.monotonic() - began < 5
        await parts.until_empty()
    await _assert_all_once_in_order(place, count)


async def test_forwarder_ends_at_once_when_it_is_cancelled(place: Site) -> None:
    await place.start_hub()
    for first in range(0, 400, 40):
        async with running(place) as parts:
            await parts.until_up()
            for n in range(first, first + 40):
                await parts.outbox.put(packets(1, first=n))
            began = time.monotonic()
        assert time.monotonic() - began < 1
    async with running(place) as parts:
        await parts.until_empty()
    await _assert_all_once_in_order(place, 400)


async def test_packet_is_stored_once_when_the_hub_has_it_already(place: Site) -> None:
    await place.start_hub()
    async with connection(place.hub_url, "", "test") as client:
        for p in packets(10, first=10):
            await client.jetstream().publish(p.subject, p.payload, headers={"Nats-Msg-Id": p.id})
    async with running(place) as parts:
        await parts.outbox.put(packets(50))
        await parts.until_empty()
        assert parts.forwarder.state().duplicates == 10
    assert len(await at_hub(place.hub_url)) == 50


async def test_packets_arrive_when_the_hub_takes_no_batches(place: Site) -> None:
    await place.start_hub(atomic=False)
    async with running(place) as parts:
        await parts.outbox.put(packets(50))
        await parts.until_empty()
    await _assert_all_once_in_order(place, 50)


async def test_state_says_so_when_the_link_is_lost_while_nothing_is_sent(place: Site) -> None:
    await place.start_hub()
    async with running(place) as parts:
        await parts.until_up()
        place.hub.kill()
        await parts.until(lambda: parts.forwarder.state().reason == NO_LINK)


async def test_nothing_but_outcomes_is_kept_or_seen_at_the_hub(place: Site) -> None:
    await place.start_hub()
    seen: list[str] = []

    async def spy(message: Msg) -> None:
        seen.append(message.subject)

    async with connection(place.hub_url, "", "test") as client:
        await client.subscribe(">", cb=spy)
        async with running(place) as parts:
            await parts.until_up()
            await parts.outbox.put(packets(30))
            await parts.until_empty()
        await client.flush()
    assert {s for s in seen if not s.startswith(f"_INBOX.{GATEWAY}.")} <= {
        packet(0).subject, f"outcomes.{GATEWAY}.probe",
    }  # fmt: skip
    assert len(await at_hub(place.hub_url)) == 30


async def test_state_says_so_when_the_hub_has_no_stream(place: Site) -> None:
    place.hub.start()
    async with running(place) as parts:
        await parts.outbox.put(packets(3))
        await parts.until(lambda: parts.forwarder.state().reason == NO_STREAM)
        await place.make_stream()
        await parts.until_empty()
        assert parts.forwarder.state().up

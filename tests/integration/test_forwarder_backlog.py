"""A backlog that is brought over slowly, alarms first, or past packets that the hub refuses."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.model import Packet
from gateway.outcomes.direct import reading
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import ask, connection
from gateway.outcomes.outbox import LeafOutbox, leaf_outbox
from tests.nats_servers import GATEWAY, WAIT_S, Site, at_hub, packet, packets, site

ROOM = 50_000_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


class Parts(NamedTuple):
    outbox: LeafOutbox
    forwarder: Forwarder
    lanes: Lanes

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 2 * WAIT_S
        while not condition():
            assert time.monotonic() < end, self.forwarder.state()
            await asyncio.sleep(0.005)

    async def until_left(self, packets_left: int) -> None:
        end = time.monotonic() + 2 * WAIT_S
        while (await self.outbox.depth()).packets != packets_left:
            assert time.monotonic() < end, self.forwarder.state()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(place: Site, lanes: Lanes, drain_per_s: int = 0) -> AsyncIterator[Parts]:
    forwarder = Forwarder(place.leaf_url, GATEWAY, lanes, drain_per_s=drain_per_s, timeout_s=1.0)
    async with leaf_outbox(place.leaf_url, GATEWAY, lanes, max_bytes=ROOM) as outbox:
        task = asyncio.create_task(forwarder.run())
        try:
            yield Parts(outbox, forwarder, lanes)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _numbers(place: Site) -> list[int]:
    return [int(number) for _, _, number in await at_hub(place.hub_url)]


def _mixed(count: int, every: int) -> list[Packet]:
    return [packet(n, rank="routine" if n % every else "alarm") for n in range(count)]


async def test_newest_alarms_go_first_when_configured_so(place: Site) -> None:
    async with running(place, Lanes(10, alarms_first=True)) as parts:
        await parts.outbox.put(_mixed(3000, 10))
        await place.start_hub()
        await parts.until_left(0)
        assert parts.forwarder.state().forwarded_late == 3000
        assert parts.forwarder.state().duplicates == 0
        await parts.outbox.put([packet(5000)])
        await parts.until_left(0)
        assert parts.forwarder.state().forwarded_late == 3000
    found = await _numbers(place)
    assert found[:300] == list(range(2990, -1, -10))
    assert found[300:] == [n for n in range(3000) if n % 10] + [5000]


async def test_new_alarm_does_not_queue_behind_a_short_backlog_when_alarms_go_first(
    place: Site,
) -> None:
    async with running(place, Lanes(5000, alarms_first=True), drain_per_s=50) as parts:
        await parts.outbox.put(_mixed(300, 1000))
        await place.start_hub()
        await parts.until(lambda: parts.forwarder.state().forwarded > 0)
        await parts.outbox.put([packet(1000, rank="alarm"), packet(1001)])
        await parts.until(
            lambda: parts.forwarder.state().forwarded_late < parts.forwarder.state().forwarded
        )
        assert parts.lanes.waiting > 100
    found = await _numbers(place)
    assert 1000 in found
    assert 1001 not in found


async def test_alarms_are_marked_at_the_hub(place: Site) -> None:
    async with running(place, Lanes(10)) as parts:
        await parts.outbox.put(_mixed(2, 2))
        await place.start_hub()
        await parts.until_left(0)
        async with connection(place.hub_url, "", "test") as client:
            stream = client.jetstream()
            marks = [(await stream.get_msg("OUTCOMES", n)).headers or {} for n in (1, 2)]
    assert [m.get("Weir-Rank") for m in marks] == ["alarm", None]


async def test_backlog_is_brought_over_slowly_when_the_rate_is_limited(place: Site) -> None:
    async with running(place, Lanes(10), drain_per_s=100) as parts:
        await parts.outbox.put(packets(150))
        await place.start_hub()
        await parts.until(lambda: parts.forwarder.state().forwarded > 0)
        began = time.monotonic()
        await parts.outbox.put([packet(1000)])
        await parts.until(
            lambda: parts.forwarder.state().forwarded > parts.forwarder.state().forwarded_late
        )
        live_s = time.monotonic() - began
        await parts.until_left(0)
        assert time.monotonic() - began > 1.0
        assert live_s < 0.9
        assert parts.forwarder.state().forwarded_late == 150
    found = await _numbers(place)
    assert found.index(1000) < 150
    assert sorted(found) == [*range(150), 1000]


async def _make_narrow_stream(place: Site, **settings: object) -> None:
    place.hub.start()
    async with connection(place.hub_url, "", "test") as client:
        config = {
            "name": "OUTCOMES",
            "subjects": ["outcomes.>"],
            "duplicate_window": 120_000_000_000,
            "allow_atomic": True,
            "allow_direct": True,
            **settings,
        }
        await ask(client, "$JS.API.STREAM.CREATE.OUTCOMES", config, 5.0)


def _elsewhere(number: int) -> Packet:
    return packet(number, "pump-9")._replace(subject=f"outcomes.{GATEWAY}.other.x.y.z")


@pytest.mark.parametrize("alone", [False, True])
async def test_others_pass_when_the_stream_has_not_the_subject_of_one(
    place: Site, alone: bool
) -> None:
    subjects = [f"outcomes.{GATEWAY}.machine.>", f"outcomes.{GATEWAY}.probe"]
    await _make_narrow_stream(place, subjects=subjects)
    lanes = Lanes(10)
    async with running(place, lanes) as parts:
        batch = [_elsewhere(0)] if alone else [*packets(20), _elsewhere(20), *packets(20, first=21)]
        await parts.outbox.put(batch)
        await parts.until(lambda: parts.forwarder.state().refused == 1)
        assert parts.forwarder.state().refused_reason
        await parts.outbox.put(packets(5, first=50))
        await parts.until_left(1)
        async with connection(place.leaf_url, GATEWAY, "test") as client, reading(client) as reader:
            ((aside,), _) = await reader.read("outq.refused.>", 1)
        assert aside.payload == _elsewhere(0 if alone else 20).payload
        assert "nobody listens" in aside.headers["Weir-Reason"]
    expected = [*range(50, 55)] if alone else [*range(20), *range(21, 41), *range(50, 55)]
    assert sorted(await _numbers(place)) == expected
    async with connection(place.hub_url, "", "test") as client:
        wider = {"name": "OUTCOMES", "subjects": ["outcomes.>"], "allow_atomic": True,
                 "duplicate_window": 120_000_000_000, "allow_direct": True}  # fmt: skip
        await ask(client, "$JS.API.STREAM.UPDATE.OUTCOMES", wider)
    async with running(place, lanes) as parts:  # the next start tries it again
        await parts.until_left(0)
    assert len(await _numbers(place)) == len(expected) + 1


async def test_others_pass_when_one_is_too_large_for_the_stream(place: Site) -> None:
    size = len(packet(1).payload) + 200
    await _make_narrow_stream(place, max_msg_size=size)
    big = packet(3)._replace(payload=packet(3).payload + b" " * 300)
    async with running(place, Lanes(10)) as parts:
        await parts.outbox.put([packet(1), packet(2), big, packet(4)])
        await parts.until(lambda: parts.forwarder.state().refused == 1)
        await parts.until_left(1)
        assert "maximum" in parts.forwarder.state().refused_reason
    assert sorted(await _numbers(place)) == [1, 2, 4]


async def test_nothing_is_moved_aside_when_the_hub_is_full(place: Site) -> None:
    await _make_narrow_stream(place, max_msgs=10, discard="new")
    async with running(place, Lanes(10)) as parts:
        await parts.outbox.put(packets(30))
        await asyncio.sleep(2.0)
        assert parts.forwarder.state().refused == 0
        assert (await parts.outbox.depth()).packets >= 20


@pytest.mark.parametrize("alone", [False, True])
async def test_others_pass_when_the_hub_does_not_permit_the_subject_of_one(
    place: Site, alone: bool
) -> None:
    text = place.hub.config.read_text()
    permitted = (
        "users: [ { user: admin, password: a }, { user: gw, password: g, permissions: {"
        f' publish: {{ allow: ["outcomes.{GATEWAY}.>"] }},'
        f' subscribe: {{ allow: ["_INBOX.{GATEWAY}.>", "outcomes.>"] }} }} }} ]'
    )
    text = text.replace("users: [ { user: admin, password: a } ]", permitted)
    place.hub.config.write_text(
        text.replace("authorization { user: gw, password: g, account: FLEET }", "")
    )
    await place.start_hub()
    foreign = packet(0)._replace(subject="outcomes.gw-02.machine.pump.anomaly.x")
    async with running(place, Lanes(10)) as parts:
        await parts.outbox.put([foreign] if alone else [*packets(20, first=1), foreign])
        await parts.until(lambda: parts.forwarder.state().refused == 1)
        await parts.outbox.put(packets(5, first=50))
        await parts.until_left(1)
    expected = [*range(50, 55)] if alone else [*range(1, 21), *range(50, 55)]
    assert sorted(await _numbers(place)) == expected


async def test_packets_that_an_older_version_queued_are_brought_over(place: Site) -> None:
    older = {
        "name": "OUTQ", "subjects": ["outq.>"], "retention": "workqueue", "discard": "new",
        "max_bytes": 512_000, "duplicate_window": 120_000_000_000, "allow_direct": True,
        "allow_atomic": True,
    }  # fmt: skip
    async with connection(place.leaf_url, GATEWAY, "test") as client:
        await ask(client, "$JS.API.STREAM.CREATE.OUTQ", older)
        for lane, p in zip(("live", "late", "late"), packets(3), strict=True):
            await client.jetstream().publish(
                f"outq.{lane}.{p.subject}", p.payload, headers={"Nats-Msg-Id": p.id}
            )
    await place.start_hub()
    async with running(place, Lanes(10)) as parts:
        await parts.outbox.put(packets(2, first=3))
        await parts.until_left(0)
    assert await _numbers(place) == [0, 1, 2, 3, 4]

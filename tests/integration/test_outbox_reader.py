"""Outcomes read at a hub and on the leaf, without taking them away."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import LinkError, ask, connection
from gateway.outcomes.outbox import leaf_outbox
from gateway.outcomes.reader import Told, count_at_hub, outcomes_at_hub, outcomes_on_leaf
from tests.nats_servers import GATEWAY, WAIT_S, Site, packet, packets, site


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


async def _publish(place: Site, first: int, count: int) -> None:
    async with connection(place.hub_url, "", "test") as client:
        for p in packets(count, first=first):
            await client.jetstream().publish(p.subject, p.payload, headers={"Weir-Late": "1"})


async def _numbers(told: AsyncGenerator[Told, None]) -> list[int]:
    return [int(t.content.score) async for t in told]


async def _next(told: AsyncGenerator[Told, None]) -> Told:
    return await asyncio.wait_for(anext(told), WAIT_S)


async def test_newest_are_read_in_order_at_the_hub(place: Site) -> None:
    await place.start_hub()
    assert await _numbers(outcomes_at_hub(place.hub_url)) == []
    await _publish(place, 0, 250)
    assert await count_at_hub(place.hub_url) == 250
    assert await _numbers(outcomes_at_hub(place.hub_url, 3)) == [247, 248, 249]
    assert await _numbers(outcomes_at_hub(place.hub_url, 1000)) == list(range(250))
    first = await anext(outcomes_at_hub(place.hub_url, 1))
    assert first.late
    assert first.size_bytes == len(packet(249, "pump-4").payload)
    async with connection(place.hub_url, "", "test") as client:
        assert (await ask(client, "$JS.API.STREAM.INFO.OUTCOMES"))["state"]["messages"] == 250


async def test_following_goes_on_when_the_hub_restarts(place: Site) -> None:
    await place.start_hub()
    await _publish(place, 0, 5)
    async with aclosing(outcomes_at_hub(place.hub_url, 2, follow=True)) as told:
        assert [(await _next(told)).content.score for _ in range(2)] == [3, 4]
        await _publish(place, 5, 1)
        assert (await _next(told)).content.score == 5
        place.hub.kill()
        place.hub.start()
        await _publish(place, 6, 1)
        assert (await _next(told)).content.score == 6


async def test_message_is_skipped_when_it_is_no_packet(place: Site) -> None:
    await place.start_hub()
    await _publish(place, 0, 1)
    async with connection(place.hub_url, "", "test") as client:
        await client.jetstream().publish("outcomes.other", b"hello")
    await _publish(place, 1, 1)
    assert await _numbers(outcomes_at_hub(place.hub_url)) == [0, 1]


async def test_reading_says_so_when_there_is_no_hub_or_no_stream(place: Site) -> None:
    with pytest.raises(LinkError):
        await count_at_hub(place.hub_url)
    place.hub.start()
    with pytest.raises(LinkError, match="stream not found"):
        await _numbers(outcomes_at_hub(place.hub_url))


async def test_waiting_outcomes_are_read_on_the_leaf_and_stay(place: Site) -> None:
    lanes = Lanes(10)
    async with leaf_outbox(place.leaf_url, GATEWAY, lanes, max_bytes=10_000_000) as outbox:
        assert await _numbers(outcomes_on_leaf(place.leaf_url, GATEWAY)) == []
        await outbox.put(packets(300))
        await _leave(place, range(101, 301))  # as if forwarded, but for the oldest 100
        await outbox.put(packets(2, first=300))
        read = outcomes_on_leaf(place.leaf_url, GATEWAY, 5)
        assert await _numbers(read) == [97, 98, 99, 300, 301]
        async with aclosing(outcomes_on_leaf(place.leaf_url, GATEWAY, 1, follow=True)) as told:
            assert (await _next(told)).content.score == 301
            await outbox.put(packets(1, first=302))
            following = await _next(told)
        assert (following.content.score, following.late) == (302, True)
        assert (await outbox.depth()).packets == 103


async def _leave(place: Site, sequences: range) -> None:
    async with connection(place.leaf_url, GATEWAY, "test") as client:
        for sequence in sequences:
            await ask(client, "$JS.API.STREAM.MSG.DELETE.OUTQ", {"seq": sequence})

"""What every outbox does: the one in memory that pipeline tests use, and the one on the leaf."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.errors import OutboxError
from gateway.model import Packet
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.outbox import Depth, Outbox, PutResult, leaf_outbox
from tests.memory_outbox import MemoryOutbox
from tests.nats_servers import GATEWAY, packet, packets, site

Begin = Callable[[int], Awaitable[Outbox]]
"""Makes an outbox with room for so many bytes."""


@pytest.fixture(params=["memory", "leaf"])
async def begin(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Begin]:
    if request.param == "memory":

        async def in_memory(max_bytes: int) -> Outbox:
            return MemoryOutbox(max_bytes)

        yield in_memory
        return
    with site(tmp_path) as made:
        async with AsyncExitStack() as stack:

            async def on_leaf(max_bytes: int) -> Outbox:
                opened = leaf_outbox(made.leaf_url, GATEWAY, Lanes(100), max_bytes=max_bytes)
                return await stack.enter_async_context(opened)

            yield on_leaf


def _new(batch: Sequence[Packet]) -> list[PutResult]:
    return [PutResult(p.id, duplicate=False) for p in batch]


@pytest.mark.parametrize("count", [0, 1, 5, 50, 700])
async def test_every_packet_is_stored_once_when_put(begin: Begin, count: int) -> None:
    outbox = await begin(10_000_000)
    batch = packets(count)
    assert await outbox.put(batch) == _new(batch)
    assert (await outbox.depth()).packets == count


@pytest.mark.parametrize("count", [1, 5, 50])
async def test_packets_are_duplicates_when_put_again(begin: Begin, count: int) -> None:
    outbox = await begin(10_000_000)
    batch = packets(count)
    await outbox.put(batch)
    assert await outbox.put(batch) == [PutResult(p.id, duplicate=True) for p in batch]
    assert (await outbox.depth()).packets == count


async def test_only_new_ones_are_stored_when_some_are_duplicates(begin: Begin) -> None:
    outbox = await begin(10_000_000)
    batch = packets(60)
    await outbox.put(batch[10:30])
    assert [r.duplicate for r in await outbox.put(batch)] == [10 <= n < 30 for n in range(60)]
    assert (await outbox.depth()).packets == 60


@pytest.mark.parametrize("step", [1, 100])
async def test_put_refuses_when_full_and_keeps_what_it_has(begin: Begin, step: int) -> None:
    outbox = await begin(100_000)
    stored = await _put_until_refused(outbox, step)
    assert stored >= 100
    with pytest.raises(OutboxError) as refused:
        await outbox.put(packets(step, first=stored))
    assert 0 < refused.value.retry_after_s <= 5
    depth = await outbox.depth()
    assert depth.packets == stored
    assert depth.size_bytes <= 100_000
    assert await outbox.put([packet(0, "pump-0")]) == [
        PutResult(packet(0, "pump-0").id, duplicate=True)
    ]


async def _put_until_refused(outbox: Outbox, step: int) -> int:
    stored = 0
    while stored < 10_000:
        try:
            stored += len(await outbox.put(packets(step, first=stored)))
        except OutboxError:
            break
    return stored


async def test_depth_tells_age_of_the_oldest(begin: Begin) -> None:
    outbox = await begin(1_000_000)
    assert await outbox.depth() == Depth(0, 0, 0.0)
    await outbox.put(packets(1))
    depth = await outbox.depth()
    assert depth.size_bytes > len(packet(0).payload)
    assert 0 <= depth.oldest_age_s < 10

"""What the gateway itself tells, against a real store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.features import Bounds, FeatureService
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import Packet
from gateway.notices import NAME, Notice, Notices
from gateway.outcomes.outbox import PutResult
from gateway.outcomes.packet import decode
from gateway.telling import Site, Surroundings
from tests.memory_outbox import MemoryOutbox

SILENT = Notice("device-silent", "pump-1", "silent", 5_000_000_000, asset="device")


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    store = FeatureService(tmp_path / "weir.duckdb", {}, Bounds(3600, 1000, 10**9))
    await store.open()
    yield Surroundings(
        site=Site("gw-1"),
        store=store,
        outbox=MemoryOutbox(10**6),
        panel=lambda _topic, _payload: None,
        ledger=Ledger(),
        latencies=Latencies(CollectorRegistry()),
    )
    await store.close()


async def _told(notices: Notices) -> None:
    """Let what is to be told reach the queue, and its watermarks the store."""
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(notices.run())
        while not notices.telling.is_idle:  # noqa: ASYNC110 - plain state
            await asyncio.sleep(0.01)
        running.cancel()


async def test_a_notice_is_an_outcome_when_it_is_told(around: Surroundings) -> None:
    notices = Notices(around)
    assert notices.tell(SILENT)
    await _told(notices)
    assert isinstance(around.outbox, MemoryOutbox)
    (packet,) = around.outbox.stored.values()
    content = decode(packet.payload)
    assert (content.source, content.kind, content.label) == ("pump-1", "device-silent", "silent")
    assert packet.subject.startswith("outcomes.gw-1.gateway.device.device-silent.")


async def test_a_notice_is_told_once_when_the_gateway_starts_again(around: Surroundings) -> None:
    notices = Notices(around)
    notices.tell(SILENT)
    await _told(notices)
    moved, sent = notices.telling.settled()
    await around.store.write_marks({NAME: moved}, sent)

    again = Notices(around)
    last = again.last("device-silent", "pump-1")
    assert last is not None
    assert last.label == "silent"
    assert not again.tell(SILENT)
    assert again.tell(Notice("device-silent", "pump-1", "back", 1))
    await _told(again)
    assert isinstance(around.outbox, MemoryOutbox)
    silent, back = (decode(packet.payload) for packet in around.outbox.stored.values())
    assert back.end_ms > silent.end_ms, "two moments, or two notices would have one id"
    assert back.id != silent.id


class SlowOutbox(MemoryOutbox):
    """One whose answer comes late, or never."""

    async def put(self, packets: Sequence[Packet]) -> list[PutResult]:
        results = await super().put(packets)
        await asyncio.sleep(0.3)
        return results


async def test_a_notice_is_told_once_when_its_telling_is_broken_off_and_begun_again(
    around: Surroundings,
) -> None:
    slow = SlowOutbox()
    notices = Notices(replace(around, outbox=slow))
    notices.tell(SILENT)
    running = asyncio.create_task(notices.run())
    while not slow.stored:  # noqa: ASYNC110 - plain state
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert not notices.telling.is_idle
    assert notices.telling.settled() == ({}, [])
    await _told(notices)
    assert len(slow.stored) == 1
    marks, sent = notices.telling.settled()
    assert (len(marks), len(sent)) == (1, 1)

"""The disk full under load, and space coming back: no outcome and nothing acknowledged is lost."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import stand as benches
from benchmarks.kill import GATEWAY, config, start_load
from benchmarks.stand import Stand, stand
from benchmarks.truth import PLUGIN, at_hub, compare, expected, readings
from gateway.config import load_settings
from gateway.errors import OutboxError
from gateway.leaf.leaf import Leaf
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.outbox import LeafOutbox, leaf_outbox
from tests.nats_servers import packets
from tests.small_disk import fill, mounted

SMALL = {
    "[leaf]": "[leaf]\nstore_bytes = 20000000\nballast_bytes = 4000000",
    "[hub]": "[store]\nreserve_bytes = 16000000\n[hub]",
}
RECOVERY_S = 10.0


def until(holds: Callable[[], bool], limit_s: float) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < limit_s
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def here(tmp_path: Path, mosquitto_url: str) -> Iterator[Stand]:
    """Give a gateway whose state lies on 96 MB, and a hub that is away."""
    text = config(mosquitto_url)
    for table, small in SMALL.items():
        text = text.replace(table, small)
    with mounted(tmp_path / "state", 96), stand(tmp_path) as made:
        made.start_hub()
        made.write_config(text)
        made.start_gateway()
        made.stop("hub")
        yield made


@pytest.fixture
def mosquitto_url(tmp_path: Path, mosquitto: str) -> Iterator[str]:
    with benches.mosquitto(tmp_path, mosquitto) as url:
        yield url


def status(here: Stand) -> dict[str, Any]:
    found: dict[str, Any] = here.ask("/status")
    return found


async def test_nothing_is_lost_when_the_disk_is_full_for_a_while(here: Stand) -> None:
    load = start_load(here.broker(), rate_hz=300, devices=30, seconds=10)
    await asyncio.sleep(2)
    hog = fill(here.state_dir)
    until(lambda: status(here)["disk"]["level"] == "full", 5)
    await asyncio.sleep(4)
    full = status(here)
    assert "the disk is full" in full["disk"]["holds"]
    assert full["messages"]["in_hand"] > 0, "what is not stored is not acknowledged"
    assert full["messages"]["shed"] == 0, "and at QoS 1 stays with the broker"
    stored = full["messages"]["stored"]
    hog.unlink()
    took_s = until(lambda: status(here)["messages"]["stored"] > stored, RECOVERY_S)
    report = json.loads(load.communicate()[0])
    assert report["acked"] == report["sent"]
    here.start_hub()
    until(lambda: not status(here)["messages"]["in_hand"], 20)
    here.settle(20)
    told = await at_hub(here.hub_url)
    here.stop("gateway")
    found = readings(here.state_dir)
    assert (found.rows, found.distinct, found.gaps) == (report["sent"], report["sent"], 0)
    by_plugin = [each for each in told if each.plugin == PLUGIN]
    outcomes = compare(expected(here.state_dir), by_plugin, GATEWAY)
    assert outcomes.exact, (outcomes, took_s)
    labels = [json.loads(each.payload)["label"] for each in told if each.plugin != PLUGIN]
    assert "disk-full" in labels
    assert labels[-1] == "disk-ok"


async def test_the_leaf_takes_outcomes_all_the_time_when_the_disk_is_full(tmp_path: Path) -> None:
    with mounted(tmp_path / "state", 48) as folder:
        leaf = Leaf(
            load_settings(
                None,
                gateway={"name": "gw-01", "state_dir": str(folder)},
                mqtt={"port": 0},
                leaf={"store_bytes": 16_000_000, "mqtt_store_bytes": 8_000_000,
                      "ballast_bytes": 4_000_000},
            )
        )  # fmt: skip
        await leaf.start()
        watch = asyncio.create_task(leaf.watch())
        room = 16_000_000
        async with leaf_outbox(leaf.uplink_url, "gw-01", Lanes(10), max_bytes=room) as outbox:
            await put(outbox, 0)
            hog = await asyncio.to_thread(fill, folder)
            assert await put(outbox, 1) < 15
            for number in range(2, 10):
                assert await put(outbox, number) < 1
            hog.unlink()
            assert await put(outbox, 10) < 1
            assert (await outbox.depth()).packets == 11 * 50
            ballast = folder / "leaf/ballast"
            async with asyncio.timeout(5):
                while not ballast.exists():  # noqa: ASYNC110 - a file
                    await asyncio.sleep(0.05)
            assert ballast.stat().st_blocks * 512 == 4_000_000 // 4096 * 4096 + 4096
        assert leaf.restarts <= 1
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await leaf.stop()


async def put(outbox: LeafOutbox, number: int) -> float:
    """Put 50 packets as the pipeline does, however often it takes; return how long it took."""
    began = time.monotonic()
    while True:
        try:
            await outbox.put(packets(50, first=50 * number))
        except OutboxError:
            assert time.monotonic() - began < 30
            await asyncio.sleep(0.2)
        else:
            return time.monotonic() - began

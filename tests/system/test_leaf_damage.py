"""The leaf's store damaged or wiped while outcomes wait in it: all of them reach the hub."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kill import GATEWAY, config, start_load
from benchmarks.stand import stand
from benchmarks.truth import at_hub, compare, expected

STREAM = "leaf/jetstream/UP/streams/OUTQ"


def flip(file: Path, share: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 0x10
    file.write_bytes(content)


def block(stream: Path) -> None:
    """Make nats-server read its blocks, of which one has a bit that is wrong."""
    (stream / "msgs/index.db").unlink(missing_ok=True)
    flip(min((stream / "msgs").glob("*.blk")), 0.5)


def block_unnoticed(stream: Path) -> None:
    """Leave the index as it is, so that it shows only when the message is read."""
    flip(min((stream / "msgs").glob("*.blk")), 0.5)


def configuration(stream: Path) -> None:
    """Keep nats-server from recovering the stream, and thereby from becoming ready."""
    flip(stream / "meta.inf", 0.1)


def wiped(stream: Path) -> None:
    shutil.rmtree(stream.parents[2])


def all_there(status: dict[str, Any], waiting: int) -> bool:
    """Say whether so many were brought over, and some put again for it."""
    return bool(status["hub"]["forwarded"] >= waiting and status["outcomes"]["put_again"])


@pytest.mark.parametrize("damage", [block, block_unnoticed, configuration, wiped])
def test_every_outcome_reaches_the_hub_when_the_queue_is_damaged(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with stand(tmp_path) as here:
        here.start_hub()
        here.write_config(config("embedded"))
        here.start_gateway()
        here.stop("hub")
        load = start_load(here.broker(), rate_hz=200, devices=40, seconds=4)
        report = json.loads(load.communicate()[0])
        while here.ask("/status")["messages"]["in_hand"]:
            time.sleep(0.1)
        time.sleep(2.5)  # the last marks are written each second
        waiting = here.ask("/status")["outcomes"]["queued"]
        assert waiting > 100
        here.stop("gateway", signal.SIGKILL)
        damage(here.state_dir / STREAM)
        here.start_gateway()
        here.start_hub()
        until = time.monotonic() + 60
        while not all_there(status := here.ask("/status"), waiting):
            assert time.monotonic() < until, (status["outcomes"], status["hub"])
            time.sleep(0.2)
        time.sleep(3)  # the notice of it, too
        told = asyncio.run(at_hub(here.hub_url))
        here.stop("gateway")
    outcomes = compare(expected(here.state_dir), told, GATEWAY)
    assert not outcomes.missing, (status["outcomes"], outcomes)
    assert not outcomes.extra
    assert status["outcomes"]["put_again"] > 0
    assert "leaf-queue-lost" in {json.loads(t.payload)["label"] for t in told}
    assert report["sent"] == 800

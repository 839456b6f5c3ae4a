"""A week without a hub: what waits, its room and memory; then the hub, and live outcomes.

python -m benchmarks.week --packets 1800000

The leaf with its shipped configuration and the real outbox and forwarder; the outcomes are made
here, as fast as the disk takes them, so what nats-server remembers of ids for two minutes is much
more than in a real week: "rested" is its memory when that is over.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import orjson
import psutil

from gateway.config import load_settings
from gateway.errors import GatewayError
from gateway.leaf.hub import Hub, HubOptions
from gateway.leaf.leaf import Leaf
from gateway.model import Outcome, OutcomeContext, Packet, PluginIdentity, Result
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.lane import LATE_HEADER
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import ask, connection
from gateway.outcomes.outbox import LeafOutbox, leaf_outbox
from gateway.outcomes.packet import encode
from gateway.outcomes.pull import pulling

GATEWAY = "gw-01"
PACKETS = 1_800_000  # 3 a second for 7 days
_BEGIN_MS = 1_760_000_000_000
_STEP_MS = 1000
_TOGETHER = 100
_SOURCES = 50
_REST_S = 130.0
_LIMIT_S = 3600.0
_HUB_BYTES = 8_000_000_000


@dataclass(slots=True)
class Week:
    """What came of it.

    Attributes:
        steps: At each tenth: packets, MB of the queue by its own count and on the disk, and RSS in
            MB of the leaf's nats-server and of this process (outbox and forwarder).
        packet_bytes: Room for one in the queue's own count.
        fill_per_s: Put in a second.
        rested_mb: RSS of the leaf when it has forgotten the ids.
        restart_s: From SIGKILL of the leaf until the outbox stores again.
        first_s: From the hub's start to the first outcome there.
        drain_s, drain_per_s: Until the last of the backlog was there.
        live_ms: p50, p95, p99 and most of a live outcome from its put to the hub's commit.
        lost, twice: Of all; late_disordered: late ones that came before an older one of theirs.
    """

    steps: list[list[float]] = field(default_factory=list)
    packet_bytes: float = 0.0
    fill_per_s: float = 0.0
    rested_mb: float = 0.0
    restart_s: float = 0.0
    first_s: float = 0.0
    drain_s: float = 0.0
    drain_per_s: float = 0.0
    live: int = 0
    live_ms: list[float] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    late_disordered: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """How much of it."""

    packets: int
    together: int = _TOGETHER
    live_hz: float = 3.0
    rest_s: float = _REST_S


def outcome(number: int) -> Packet:
    """Return a packet of a usual size; its end tells its number."""
    end_ns = (_BEGIN_MS + number * _STEP_MS) * 1_000_000
    return encode(
        Outcome(
            gateway=GATEWAY,
            source=f"pump-{number % _SOURCES:02}",
            context=OutcomeContext("industrial", "machine", "anomaly"),
            plugin=PluginIdentity("machine-anomaly", "1.0.0", "ab" * 32),
            quantities=(("power", "W"), ("temperature", "°C")),
            start_ns=end_ns - 30 * 10**9,
            end_ns=end_ns,
            result=Result(
                "normal", (number * 7919 % 100_000) / 7, 0.97, {"vibration_rms": number % 977 / 9.7}
            ),
            received_ns=end_ns,
            rank="routine" if number % 100 else "alarm",
        )
    )


async def run(folder: Path, case: Case) -> Week:
    """Fill the queue, then drain it while live outcomes come."""
    week = Week()
    hub = Hub(HubOptions(folder / "hub", client_port=0, leaf_port=0, mqtt_port=0,
                         max_bytes=_HUB_BYTES))  # fmt: skip
    await hub.start()
    await hub.stop()  # its address is known now
    settings = load_settings(
        None,
        gateway={"name": GATEWAY, "state_dir": str(folder / "state")},
        mqtt={"port": 0},
        hub={"url": hub.leaf_url},
    )
    leaf = Leaf(settings)
    await leaf.start()
    lanes = Lanes(settings.leaf.in_order_backlog)
    room = settings.leaf.store_bytes
    try:
        async with leaf_outbox(leaf.uplink_url, GATEWAY, lanes, max_bytes=room) as outbox:
            await _fill(week, case, outbox, leaf, folder)
            await asyncio.sleep(case.rest_s)
            week.rested_mb = _mb(leaf.state().rss_bytes)
            week.restart_s = await _restart(leaf, outbox, case)
            print(f"rested {week.rested_mb} MB; back {week.restart_s} s after SIGKILL", flush=True)
            forwarder = Forwarder(leaf.uplink_url, GATEWAY, lanes)
            async with _background(forwarder.run()):
                put_ns = await _drain(week, case, outbox, forwarder, hub)
        await _compare(week, case, hub, put_ns)
    finally:
        await leaf.stop()
        await hub.stop()
    return week


async def _fill(week: Week, case: Case, outbox: LeafOutbox, leaf: Leaf, folder: Path) -> None:
    began, together = time.perf_counter(), case.together
    step = max(together, case.packets // 10 // together * together)
    print("packets   queue MB  disk MB  leaf RSS MB  gateway RSS MB", flush=True)
    for first in range(0, case.packets, together):
        last = min(first + together, case.packets)
        await outbox.put([outcome(n) for n in range(first, last)])
        if last % step == 0 or last == case.packets:
            queued = (await outbox.depth()).size_bytes
            row = [last, _mb(queued), _mb(_disk_bytes(folder / "state" / "leaf")),
                   _mb(leaf.state().rss_bytes),
                   _mb(psutil.Process().memory_info().rss)]  # fmt: skip
            week.steps.append(row)
            week.packet_bytes = round(queued / last, 1)
            print("  ".join(f"{value:>9}" for value in row), flush=True)
    week.fill_per_s = round(case.packets / (time.perf_counter() - began))


async def _restart(leaf: Leaf, outbox: LeafOutbox, case: Case) -> float:
    """Kill the leaf and say how long it takes until the outbox stores again."""
    pid = leaf._server.pid if leaf._server else None  # noqa: SLF001 - whom to kill
    assert pid
    async with _background(leaf.watch()):
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        while True:
            with contextlib.suppress(GatewayError):
                await outbox.put([outcome(case.packets)])
                break
            await asyncio.sleep(0.02)
        return round(time.perf_counter() - began, 2)


async def _drain(
    week: Week, case: Case, outbox: LeafOutbox, forwarder: Forwarder, hub: Hub
) -> dict[int, int]:
    """Bring the hub; return when each live outcome was put, by its number."""
    began = time.perf_counter()
    await hub.start()
    while not forwarder.state().forwarded:  # noqa: ASYNC110 - a plain counter
        await asyncio.sleep(0.01)
    week.first_s = round(time.perf_counter() - began, 2)
    put_ns: dict[int, int] = {}
    number, tenth = case.packets + 1, case.packets // 10
    due = time.perf_counter()
    while forwarder.state().late_waiting and time.perf_counter() - began < _LIMIT_S:
        put_ns[number] = time.time_ns()
        await outbox.put([outcome(number)])
        number += 1
        if forwarder.state().forwarded_late >= tenth:
            print(f"{tenth} at the hub after {time.perf_counter() - began:.0f} s", flush=True)
            tenth += case.packets // 10
        due = max(due + 1 / case.live_hz, time.perf_counter())
        await asyncio.sleep(due - time.perf_counter())
    week.drain_s = round(time.perf_counter() - began, 1)
    week.drain_per_s = round(case.packets / week.drain_s)
    while (await outbox.depth()).packets:  # noqa: ASYNC110 - the leaf tells nobody
        await asyncio.sleep(0.1)
    return put_ns


async def _compare(week: Week, case: Case, hub: Hub, put_ns: dict[int, int]) -> None:
    """Read all that the hub holds, and look for what is missing, twice or late."""
    seen = np.zeros(case.packets + 1 + len(put_ns), np.uint8)
    newest: dict[int, int] = {}
    delays_ms = []
    config = {"filter_subject": "outcomes.>", "ack_policy": "none", "deliver_policy": "all"}
    async with connection(hub.url, "", "week") as client:
        left = (await ask(client, "$JS.API.STREAM.INFO.OUTCOMES"))["state"]["messages"]
        async with pulling(client, "OUTCOMES", "week", config, 5000) as pull:
            while left:
                messages = await pull.take(1000)
                left -= len(messages)
                for message in messages:
                    number = (orjson.loads(message.data)["end"] - _BEGIN_MS) // _STEP_MS
                    seen[number] += 1
                    if (message.headers or {}).get(LATE_HEADER):
                        source = number % _SOURCES
                        week.late_disordered += number < newest.get(source, -1)
                        newest[source] = number
                    if number in put_ns:
                        stored_ns = message.metadata.timestamp.timestamp() * 1e9
                        delays_ms.append((stored_ns - put_ns[number]) / 1e6)
    week.live = len(put_ns)
    week.lost, week.twice = int((seen == 0).sum()), int((seen > 1).sum())
    week.live_ms = [round(float(v), 1) for v in np.percentile(delays_ms, (50, 95, 99, 100))]


@contextlib.asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _disk_bytes(folder: Path) -> int:
    return sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())


def _mb(size_bytes: float) -> float:
    return round(size_bytes / 1e6, 1)


def measure(arguments: list[str]) -> int:
    """Run it and print what came of it; return 0 if nothing is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.week", description=__doc__)
    parser.add_argument("--packets", type=int, default=PACKETS)
    parser.add_argument(
        "--together", type=int, default=_TOGETHER, help="put at once; from 12 on 44 bytes more each"
    )
    parser.add_argument("--live", type=float, default=3.0, help="live outcomes per second")
    parser.add_argument("--rest", type=float, default=_REST_S, help="seconds before the hub comes")
    options = parser.parse_args(arguments)
    case = Case(options.packets, options.together, options.live, options.rest)
    with tempfile.TemporaryDirectory(prefix="weir-week-") as folder:
        week = asyncio.run(run(Path(folder), case))
    print(json.dumps(asdict(week)))
    return 0 if week.lost == 0 else 1


def main() -> None:
    """Run it as it is meant, as ``python -m benchmarks week`` does."""
    measure([])


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))

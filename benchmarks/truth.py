"""What must be in the store and at the hub, from the readings alone, and what is there.

For a load with running numbers (`benchmarks.load --sequence`) and a plugin that reports every
window (`bench-mean`). Nothing here asks the gateway: the store's file is read once it has stopped.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import nats
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from gateway.features.planner import first_delay_ns
from gateway.outcomes.packet import packet_id

PLUGIN = "bench-mean"
HOP_S = 1.0
EARLY = 0.1
"""Share of a hop by which a reading may come early and still end a window."""

_FETCH = 500
_METRIC = "current"  # each message has one, and the plugin wants it


@dataclass(frozen=True, slots=True)
class Told:
    """One message in the hub's stream.

    Attributes:
        end_ms: End of the window that it speaks of.
        stored_ns: When the hub stored it.
        late: It was queued while the hub was away, or behind such.
    """

    id: str
    source: str
    plugin: str
    version: str
    end_ms: int
    stored_ns: int
    late: bool
    payload: bytes

    @property
    def delay_ms(self) -> float:
        """Return the time from the device's publish to the hub's commit."""
        return self.stored_ns / 1e6 - self.end_ms


@dataclass(frozen=True, slots=True)
class Readings:
    """What the store holds of a load.

    Attributes:
        rows: Of the running numbers.
        distinct: Different pairs of device and running number.
        gaps: Devices in whose numbers one is missing.
    """

    rows: int
    distinct: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcomes expected, and those at the hub.

    Attributes:
        missing: Expected and not there.
        extra: There and not expected.
        twice: There more than once.
        disordered: Sources whose windows do not stand in the order of their ends.
        first_wrong: Of up to five sources the first ends (ms), expected and told, that differ.
    """

    expected: int
    at_hub: int
    missing: int
    extra: int
    twice: int
    disordered: int
    first_wrong: dict[str, tuple[int, int]]

    @property
    def exact(self) -> bool:
        """Say whether each expected outcome is there once, and none besides."""
        return self.expected > 0 and not (self.missing or self.extra or self.twice)


def readings(state_dir: Path) -> Readings:
    """Count the running numbers in the store of a gateway that has stopped."""
    with duckdb.connect(str(state_dir / "weir.duckdb"), read_only=True) as store:
        found = store.execute(
            "SELECT sum(n), sum(d), count(*) FILTER (d != newest + 1 OR oldest != 0) FROM ("
            " SELECT count(*) AS n, count(DISTINCT value) AS d, max(value) AS newest,"
            " min(value) AS oldest FROM readings WHERE metric = 'seq' GROUP BY device)"
        ).fetchone()
    rows, distinct, gaps = found or (0, 0, 0)
    return Readings(int(rows or 0), int(distinct or 0), int(gaps))


def expected(state_dir: Path, plugin: str = PLUGIN) -> list[tuple[str, int]]:
    """Return (source, end in us) of every window that is due, by the readings in the store."""
    with duckdb.connect(str(state_dir / "weir.duckdb"), read_only=True) as store:
        rows = store.execute(
            "SELECT source, epoch_us(time) FROM reading JOIN series ON series = id"
            " WHERE metric = ? ORDER BY reading.rowid",
            [_METRIC],
        ).fetchall()
        floor = store.execute(
            "SELECT epoch_us(min(window_end)) FROM watermark WHERE plugin = ? AND source = ''",
            [plugin],
        ).fetchone()
    return due(rows, floor[0] if floor and floor[0] else 0)


def acknowledged(state_dir: Path) -> dict[str, int]:
    """Return when the leaf acknowledged each outcome (Unix ns), by id."""
    with duckdb.connect(str(state_dir / "weir.duckdb"), read_only=True) as store:
        rows = store.execute("SELECT id, epoch_us(min(time)) FROM outcome GROUP BY id").fetchall()
    return {name: time_us * 1000 for name, time_us in rows}


def due(rows: Iterable[tuple[str, int]], floor_us: int = 0) -> list[tuple[str, int]]:
    """Return which rows (source, time in us), in the order of arrival, end a window.

    The first of each source behind ``floor_us`` that lies the source's own delay after its first,
    and then each first one that lies a hop later.
    """
    hop_us = int(HOP_S * 1e6 * (1 - EARLY))
    following: dict[str, int] = {}
    ends: list[tuple[str, int]] = []
    for source, time_us in rows:
        if source not in following and time_us > floor_us:
            following[source] = time_us + first_delay_ns(source, HOP_S) // 1000
        if time_us >= following.get(source, time_us + 1):
            following[source] = time_us + hop_us
            ends.append((source, time_us))
    return ends


async def at_hub(url: str) -> list[Told]:
    """Return every message in the hub's stream, in its order."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        count = (await stream.stream_info("OUTCOMES")).state.messages
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        pull = await stream.pull_subscribe("outcomes.>", stream="OUTCOMES", config=config)
        told: list[Told] = []
        while len(told) < count:
            for message in await pull.fetch(min(_FETCH, count - len(told)), 5.0):
                told.append(told_of(message))
        return told
    finally:
        await client.close()


def told_of(message: Msg) -> Told:
    """Return what a message of the hub's stream says."""
    content = orjson.loads(message.data)
    return Told(
        id=content["id"],
        source=content["src"],
        plugin=content["plugin"],
        version=content["ver"],
        end_ms=content["end"],
        stored_ns=int(message.metadata.timestamp.timestamp() * 1e9),
        late=(message.headers or {}).get("Weir-Late") == "1",
        payload=message.data,
    )


def compare(
    ends: list[tuple[str, int]], told: list[Told], gateway: str, plugin: str = PLUGIN
) -> Comparison:
    """Compare the windows that were due with what is at the hub of one plugin."""
    ours = [t for t in told if t.plugin == plugin]
    wanted = {packet_id(gateway, plugin, source, end_us * 1000) for source, end_us in ends}
    named = {(source, end_us // 1000) for source, end_us in ends}
    there = Counter(t.id for t in ours)
    wrong = sum((t.source, t.end_ms) not in named for t in ours)
    return Comparison(
        expected=len(wanted),
        at_hub=len(ours),
        missing=len(wanted - there.keys()),
        extra=max(len(there.keys() - wanted), wrong),
        twice=sum(count - 1 for count in there.values()),
        disordered=disordered(ours),
        first_wrong=_first_wrong(named, {(t.source, t.end_ms) for t in ours}),
    )


def _first_wrong(
    wanted: set[tuple[str, int]], there: set[tuple[str, int]]
) -> dict[str, tuple[int, int]]:
    first: dict[str, tuple[int, int]] = {}
    for source in sorted({source for source, _ in wanted ^ there})[:5]:
        ends = (
            min((end for name, end in ours - others if name == source), default=0)
            for ours, others in ((wanted, there), (there, wanted))
        )
        first[source] = (next(ends), next(ends))
    return first


def disordered(told: Iterable[Told]) -> int:
    """Return how many sources have a window before one that ended earlier."""
    newest: dict[str, int] = {}
    wrong = set()
    for each in told:
        if each.end_ms < newest.get(each.source, 0):
            wrong.add(each.source)
        newest[each.source] = each.end_ms
    return len(wrong)

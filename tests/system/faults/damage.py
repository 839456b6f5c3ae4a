"""Damaged files: what a box does that finds its store, its log or its queue broken.

The last round of a box, for what is lost with a file leaves books that cannot be compared any more.
What is looked at instead: the outcomes that were queued arrive, what was lost is said by an
outcome, and everything after it is whole.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import duckdb

from benchmarks.truth import PLUGIN, Told
from gateway.errors import GatewayError
from tests.system.faults.books import Books, Round
from tests.system.faults.kinds import STOP
from tests.system.faults.world import World, WorldError

NOTICE = "weir-gateway-fault"
_BEFORE_S, _AFTER_S = 1.5, 4.0
_SAID_S = 20.0
_MOST_GAP_S = 2.5
"""Each source has a window each second."""
_BITS = 4

Harm = Callable[[World, Random], None]


@dataclass(frozen=True, slots=True)
class Damage:
    """A kind of damage.

    Attributes:
        harm: Does it; nobody has the files open.
        is_seen: Whether what is lost is always said. A log cut in its last entry looks as a power
            cut leaves it.
    """

    name: str
    harm: Harm
    is_seen: bool = True


def _store(world: World) -> Path:
    return world.here.state_dir / "weir.duckdb"


def _log(world: World) -> Path:
    return world.here.state_dir / "weir.duckdb.wal"


def _truncate(of: Callable[[World], Path]) -> Harm:
    def harm(world: World, rng: Random) -> None:
        file = of(world)
        if file.exists():
            with file.open("r+b") as stream:
                stream.truncate(int(file.stat().st_size * rng.uniform(0.0, 0.95)))

    return harm


def _flip(of: Callable[[World], Path]) -> Harm:
    def harm(world: World, rng: Random) -> None:
        file = of(world)
        size = file.stat().st_size if file.exists() else 0
        for _ in range(_BITS if size else 0):
            at = rng.randrange(size)
            with file.open("r+b") as stream:
                stream.seek(at)
                byte = stream.read(1)[0]
                stream.seek(at)
                stream.write(bytes([byte ^ 1 << rng.randrange(8)]))

    return harm


def _blocks(world: World) -> list[Path]:
    """Return the blocks in which the leaf's queue keeps outcomes."""
    streams = world.here.state_dir / "leaf" / "jetstream" / "UP" / "streams"
    return sorted((streams / "OUTQ" / "msgs").glob("*.blk"))


def _some_block(rng: Random) -> Callable[[World], Path]:
    return lambda world: rng.choice(_blocks(world))


def _truncate_block(world: World, rng: Random) -> None:
    _truncate(_some_block(rng))(world, rng)


def _flip_block(world: World, rng: Random) -> None:
    _flip(_some_block(rng))(world, rng)


DAMAGES = (
    Damage("leaf's queue truncated", _truncate_block),
    Damage("leaf's queue bit-flipped", _flip_block),
    Damage("store truncated", _truncate(_store)),
    Damage("store bit-flipped", _flip(_store)),
    Damage("store's log truncated", _truncate(_log), is_seen=False),
    Damage("store's log bit-flipped", _flip(_log)),
)


def play(world: World, books: Books, damage: Damage, number: int, rng: Random) -> Round:
    """Play the round; the books are even, and the gateway is stopped."""
    began = time.monotonic()
    one = Round(number, world.layout.name, [damage.name], time.time_ns())
    books.begin(one)
    sent = world.fleet.sent
    try:
        queued = _queue_some(world)
        hurt_ns = time.time_ns()
        damage.harm(world, rng)
        _go_on(world, one, hurt_ns)
        _look(world, books, one, damage, queued=queued, hurt_ns=hurt_ns)
    except (WorldError, TimeoutError, RuntimeError, GatewayError) as exc:
        one.problems.append(str(exc))
    one.ended_ns = time.time_ns()
    one.sent = world.fleet.sent - sent
    one.took_s = time.monotonic() - began
    return one


def _queue_some(world: World) -> int:
    """Start, let outcomes queue behind a cut link, kill; return how many there are for certain."""
    world.link.cut()
    STOP.end(world, Random(0))  # noqa: S311 - it draws nothing
    world.await_ready()
    world.fleet.speak()
    time.sleep(_BEFORE_S)
    queued = int(world.ask("/status")["outcomes"]["sent"])
    world.kill_box(all_of_it=False)
    return queued


def _go_on(world: World, one: Round, hurt_ns: int) -> None:
    world.start_box()
    world.link.restore()
    world.await_ready()
    first = world.witness.first(ended_ns=hurt_ns, stored_ns=hurt_ns, limit_s=30.0)
    if first is None:
        raise WorldError("no outcome at the hub within 30 s")
    one.recovery_s = (first.stored_ns - hurt_ns) / 1e9


def _look(
    world: World, books: Books, one: Round, damage: Damage, *, queued: int, hurt_ns: int
) -> None:
    """Stop in order after a while, and look at what is there."""
    from_ns = time.time_ns()
    time.sleep(_AFTER_S)
    world.fleet.speak(on=False)
    until_ns = time.time_ns()
    world.wait("acknowledgements", lambda: not world.fleet.open)
    world.wait("what is in hand", lambda: _is_idle(world))
    world.witness.catch_up()
    lost = one.lost_with_file = _lost(world, books, one, hurt_ns, from_ns)
    told = world.witness.told
    arrived = {t.id for t in told if t.plugin == PLUGIN and one.began_ns < t.end_ms * 1e6}
    before = sum(1 for t in _once(told) if one.began_ns / 1e6 < t.end_ms < hurt_ns / 1e6)
    one.outcomes = len(arrived)
    one.lost_outcomes = max(0, queued - before)
    if lost and damage.is_seen and not _is_said(world, hurt_ns):
        one.problems.append(f"{lost} readings are lost with the file, and nothing says so")
    gaps = _gaps(_once(told), from_ns, until_ns)
    if gaps:
        one.problems.append(f"windows are missing afterwards: {gaps}")
    one.is_settled = True


def _is_idle(world: World) -> bool:
    status = world.ask("/status")
    due = sum(plugin["due"] for plugin in status["plugins"])
    return not (status["messages"]["in_hand"] or due or status["outcomes"]["queued"])


def _once(told: list[Told]) -> list[Told]:
    return list({t.id: t for t in told if t.plugin == PLUGIN}.values())


def _lost(world: World, books: Books, one: Round, hurt_ns: int, from_ns: int) -> int:
    """Return how many readings went with the file; note those that were lost besides."""
    STOP.begin(world, Random(0))  # noqa: S311 - it draws nothing
    with duckdb.connect(str(_store(world)), read_only=True) as db:
        rows = db.execute(
            "SELECT device, value, count(*) FROM readings WHERE metric = 'seq' GROUP BY ALL"
        ).fetchall()
    STOP.end(world, Random(0))  # noqa: S311 - it draws nothing
    stored = {(device, int(value)): count for device, value, count in rows}
    gone = 0
    for device in world.fleet.devices:
        for number, acked_ns in enumerate(device.acked_ns):
            if books.is_written_off(device.name, number):
                continue
            count = stored.get((device.name, number), 0)
            if acked_ns and acked_ns < hurt_ns:
                gone += not count
            elif device.sent_ns[number] > from_ns:
                one.lost_readings += not count
            one.twice_readings += max(0, count - 1)
    return gone


def _is_said(world: World, hurt_ns: int) -> bool:
    until = time.monotonic() + _SAID_S
    while time.monotonic() < until:
        if any(t.plugin == NOTICE and t.stored_ns > hurt_ns for t in world.witness.told):
            return True
        world.keep_running()
        time.sleep(0.1)
    return False


def _gaps(told: list[Told], from_ns: int, until_ns: int) -> dict[str, float]:
    """Return sources, up to five, with the longest time without a window if that is too long."""
    ends: dict[str, list[float]] = defaultdict(list)
    for each in told:
        if from_ns / 1e6 <= each.end_ms <= until_ns / 1e6:
            ends[each.source].append(each.end_ms / 1e3)
    found: dict[str, float] = {}
    for source, some in ends.items():
        edges = sorted([from_ns / 1e9, *some, until_ns / 1e9])
        longest = max(b - a for a, b in pairwise(edges))
        if longest > _MOST_GAP_S:
            found[source] = round(longest, 2)
    return dict(list(found.items())[:5])

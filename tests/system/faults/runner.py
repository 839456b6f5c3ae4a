"""Plays rounds: load, a fault or two, recovery, and a look into the books."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import duckdb

from tests.system.faults.books import Books, Round
from tests.system.faults.damage import Damage
from tests.system.faults.damage import play as play_damage
from tests.system.faults.kinds import STOP, Kind, choose
from tests.system.faults.world import Layout, World, WorldError, world

ROUNDS_A_BOX = 40
"""After so many rounds the box is given up, and a new one begun."""
_LAST = ROUNDS_A_BOX - 1
PAIR_SHARE = 0.12
"""Share of rounds with two faults at once, where the first allows for it."""
_LOAD_S = (0.2, 0.8)
_RECOVERY_S = 60.0


@dataclass(slots=True)
class Plan:
    """What is played.

    Attributes:
        kinds: Of each layout, those to choose from.
        layouts: Of the boxes in turn.
        damages: One comes in the last round of each full box; with none it is as the others.
        each_once: Play the kinds in their order.
    """

    seed: int
    rounds: int
    folder: Path
    layouts: list[Layout]
    kinds: dict[str, list[Kind]]
    from_round: int = 0
    limit_s: float = float("inf")
    pair_share: float = PAIR_SHARE
    damages: tuple[Damage, ...] = ()
    each_once: bool = False


@dataclass(slots=True)
class Played:
    """What came of it.

    Attributes:
        evidence: Folders that were kept.
    """

    seed: int
    rounds: list[Round] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    took_s: float = 0.0


def play(plan: Plan, tell: Callable[[Round], None]) -> Played:
    """Play the rounds of a plan.

    Args:
        plan: What to play.
        tell: Called after each round.
    """
    began = time.monotonic()
    played = Played(plan.seed)
    numbers = list(range(plan.from_round, plan.from_round + plan.rounds))
    for box, some in enumerate(_boxes(numbers)):
        if time.monotonic() - began > plan.limit_s:
            break
        layout = plan.layouts[(some[0] // ROUNDS_A_BOX) % len(plan.layouts)]
        folder = plan.folder / f"box-{box}"
        ended_s = began + plan.limit_s
        try:
            with world(folder, layout) as made:
                _live(plan, played, Books(made), some, ended_s=ended_s, tell=tell)
                if not all(one.is_good for one in played.rounds[-len(some) :]):
                    made.keep_evidence(folder / "evidence")
                    played.evidence.append(str(folder))
        except (WorldError, OSError, subprocess.SubprocessError, duckdb.Error) as exc:
            # A box that cannot even be mended or looked into is a fault; the next one begins.
            now_ns = time.time_ns()
            played.rounds.append(Round(some[-1], layout.name, ["box given up"], now_ns, now_ns))
            played.rounds[-1].problems.append(repr(exc))
            played.evidence.append(str(folder))
            tell(played.rounds[-1])
    played.took_s = time.monotonic() - began
    return played


def _live(
    plan: Plan,
    played: Played,
    books: Books,
    numbers: list[int],
    *,
    ended_s: float,
    tell: Callable[[Round], None],
) -> None:
    """Play the rounds of one box."""
    made = books.world
    last = None
    if plan.damages and numbers[-1] % ROUNDS_A_BOX == _LAST:
        *numbers, last = numbers
    for number, kinds in _faults(plan, made.layout, numbers):
        if time.monotonic() > ended_s:
            break
        played.rounds.append(_round(made, books, number, kinds, plan.seed))
        tell(played.rounds[-1])
    _finish(made, books)
    if last is not None:
        rng = Random(f"{plan.seed}/{last}")  # noqa: S311 - a test's choice
        played.rounds.append(play_damage(made, books, rng.choice(plan.damages), last, rng))
        tell(played.rounds[-1])


def _boxes(numbers: list[int]) -> Iterator[list[int]]:
    some: list[int] = []
    for number in numbers:
        if some and number % ROUNDS_A_BOX == 0:
            yield some
            some = []
        some.append(number)
    if some:
        yield some


def _faults(plan: Plan, layout: Layout, numbers: list[int]) -> Iterator[tuple[int, list[Kind]]]:
    kinds = plan.kinds[layout.name]
    for at, number in enumerate(numbers):
        rng = Random(f"{plan.seed}/{number}/kind")  # noqa: S311 - a test's choice
        yield (
            number,
            [kinds[at % len(kinds)]] if plan.each_once else choose(rng, kinds, plan.pair_share),
        )


def _round(world: World, books: Books, number: int, kinds: list[Kind], seed: int) -> Round:
    rng = Random(f"{seed}/{number}")  # noqa: S311 - moments of a test
    began, sent = time.monotonic(), world.fleet.sent
    names = [kind.name for kind in kinds]
    one = Round(number, world.layout.name, names, time.time_ns())
    one.goal_s = kinds[0].goal_s if len(kinds) == 1 else 0.0
    books.begin(one)
    world.fleet.speak()
    try:
        time.sleep(rng.uniform(*_LOAD_S))
        if STOP in kinds:
            _audited(world, books, one)
            world.fleet.speak()
        else:
            _strike(world, books, one, kinds, rng)
        world.fleet.speak(on=False)
        books.close(one)
    except (WorldError, TimeoutError, RuntimeError) as exc:
        one.problems.append(str(exc))
        mending_ns = time.time_ns()
        _mend(world)
        if world.broker:
            books.forgive(one, mending_ns, time.time_ns())
    one.ended_ns = time.time_ns()
    one.sent = world.fleet.sent - sent
    one.took_s = time.monotonic() - began
    return one


def _strike(world: World, books: Books, one: Round, kinds: list[Kind], rng: Random) -> None:
    """Do harm, undo it, and wait for the next outcome at the hub."""
    fault_ns = time.time_ns()
    for kind in kinds:
        kind.begin(world, rng)
    fault_ns = max(fault_ns, world.hurt_ns)
    time.sleep(max(rng.uniform(*kind.hold_s) for kind in kinds))
    end_ns = time.time_ns()
    for kind in rng.sample(kinds, len(kinds)):
        kind.end(world, rng)
    _recover(world, one, kinds, fault_ns, end_ns)
    if any(kind.mosquitto_loses for kind in kinds) and world.broker:
        # Until the gateway is back: a session that was not on the disk yet is gone as well.
        books.forgive(one, fault_ns, time.time_ns())


def _recover(world: World, one: Round, kinds: list[Kind], fault_ns: int, end_ns: int) -> None:
    since = {kind.since for kind in kinds}
    from_ns = fault_ns if since == {"fault"} else end_ns
    until = time.monotonic() + _RECOVERY_S
    first = None
    while first is None and time.monotonic() < until:
        world.keep_running()
        if since == {"backlog"}:
            first = world.witness.first(stored_ns=from_ns, limit_s=0.2)
        else:
            first = world.witness.first(ended_ns=from_ns, stored_ns=from_ns, limit_s=0.2)
    if first is None:
        raise WorldError(f"no outcome at the hub within {_RECOVERY_S:.0f} s")
    one.recovery_s = (first.stored_ns - from_ns) / 1e9
    world.await_ready()


def _audited(world: World, books: Books, one: Round) -> None:
    """Stop in order and look through everything, then go on."""
    world.fleet.speak(on=False)
    books.await_all(one)
    STOP.begin(world, Random(0))  # noqa: S311 - it draws nothing
    books.audit(one)
    world.fleet.speak()
    end_ns = time.time_ns()
    STOP.end(world, Random(0))  # noqa: S311 - it draws nothing
    _recover(world, one, [STOP], end_ns, end_ns)


def _finish(world: World, books: Books) -> None:
    """Settle and look through everything of a box."""
    world.fleet.speak(on=False)
    if books.rounds:
        books.await_all(books.rounds[-1])
    STOP.begin(world, Random(0))  # noqa: S311 - it draws nothing
    if books.rounds:
        books.audit(books.rounds[-1])


def _mend(world: World) -> None:
    """Undo all that a round which failed may have left."""
    world.fleet.speak(on=False)
    world.link.restore()
    for volume in world.volumes:
        volume.empty()
    if "hub" not in world.here.processes:
        world.here.start_hub()
    world.kill_box()
    world.remount()
    world.start_box()
    world.await_ready()
    world.fleet.move(world.here.broker())

"""The faults: how each begins and ends, how often it comes, and from when its recovery counts."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import duckdb
import psutil

from gateway.features.schema import VERSION
from tests.system.faults.world import World

_PLUGINS = Path(__file__).parents[2] / "plugins"
Act = Callable[[World, Random], None]


def _nothing(_: World, __: Random) -> None:
    """There is nothing to do: the box helps itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        weight: How often it comes, beside the others'.
        begin: Does harm.
        end: Undoes what the box cannot undo itself.
        hold_s: Shortest and longest time between the two.
        since: Recovery counts from the fault, or from its end, until the next outcome at the hub:
            of readings made since ("fault", "end"), or any that had waited ("backlog").
        goal_s: Longest recovery that is wished for; 0: none.
        mosquitto_loses: It may take what Mosquitto had acknowledged and nobody had stored yet.
        layouts: Where it can be.
        disk: It needs file systems of the box's own.
        slow: It takes long, and does not belong to a short run.
        pairs: It can come with another one at once.
    """

    name: str
    weight: float
    begin: Act
    end: Act = _nothing
    hold_s: tuple[float, float] = (0.0, 0.0)
    since: Literal["fault", "end", "backlog"] = "fault"
    goal_s: float = 0.0
    mosquitto_loses: bool = False
    layouts: tuple[str, ...] = ("embedded", "mosquitto")
    disk: bool = False
    slow: bool = False
    pairs: bool = True


def _kill_gateway(world: World, _: Random) -> None:
    world.kill("gateway")


def _start_gateway(world: World, _: Random) -> None:
    if "gateway" not in world.here.processes:
        world.start_gateway()


def _kill_at_start(world: World, rng: Random) -> None:
    world.kill("gateway")
    world.start_gateway()
    time.sleep(rng.uniform(0.05, 2.0))
    world.kill("gateway")


def _stop_gateway(world: World, _: Random) -> None:
    with suppress(KeyError):
        world.here.stop("gateway", limit_s=20.0)


def _kill_leaf(world: World, _: Random) -> None:
    _signal(world, "leaf nats-server", signal.SIGKILL)


def _kill_leaf_unit(world: World, _: Random) -> None:
    world.kill("leaf")


def _start_leaf_unit(world: World, _: Random) -> None:
    if "leaf" not in world.here.processes:
        world.here.start_leaf()


def _kill_worker(world: World, _: Random) -> None:
    _signal(world, "worker", signal.SIGKILL)


def _signal(world: World, name: str, number: int) -> psutil.Process | None:
    process = world.process(name)
    if process:
        world.hurt_ns = time.time_ns()
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
    return process


def _kill_mosquitto(world: World, _: Random) -> None:
    assert world.broker
    world.broker.stop(signal.SIGKILL)


def _stop_mosquitto(world: World, _: Random) -> None:
    assert world.broker
    world.broker.stop()


def _start_mosquitto(world: World, _: Random) -> None:
    assert world.broker
    world.broker.start()


def _kill_box(world: World, _: Random) -> None:
    world.kill_box()


def _start_box(world: World, _: Random) -> None:
    world.start_box()


def _kill_hub(world: World, _: Random) -> None:
    world.kill_hub()


def _stop_hub(world: World, _: Random) -> None:
    with suppress(KeyError):
        world.here.stop("hub")


def _start_hub(world: World, _: Random) -> None:
    if "hub" not in world.here.processes:
        world.here.start_hub()


def _kill_all(world: World, _: Random) -> None:
    world.kill_box()
    world.kill_hub()


def _start_all(world: World, _: Random) -> None:
    world.here.start_hub()
    world.start_box()


def _wipe_hub(world: World, _: Random) -> None:
    # Without the link nothing more is acknowledged, so that the witness has read what is lost.
    world.link.cut()
    world.witness.catch_up()
    world.kill_hub()
    shutil.rmtree(world.here.hub_dir / "jetstream")


def _restore_wiped(world: World, _: Random) -> None:
    world.here.start_hub()
    world.link.restore()


def _hang(name: str) -> Act:
    def act(world: World, _: Random) -> None:
        hung = _signal(world, name, signal.SIGSTOP)
        world.stopped += [hung] if hung else []

    return act


def _await_restart(world: World, _: Random) -> None:
    """Wait until whoever watches the hung process has ended it."""
    hung = world.stopped.pop()
    world.wait("a hung process to be restarted", lambda: not hung.is_running(), 40.0)


def _resume(world: World, _: Random) -> None:
    hung = world.stopped.pop()
    with suppress(psutil.NoSuchProcess):
        hung.resume()


def _eat_memory(world: World, _: Random) -> None:
    """Drop a plugin in that takes more memory than it may, and wait until it has been ended."""
    folder = world.here.state_dir / "plugins" / "memory-eating"
    shutil.copytree(_PLUGINS / "memory-eating", folder)
    code = folder / "plugin.py"
    code.write_text(code.read_text().replace('"greedy" in windows.sources', "True"))

    def ended() -> bool:
        plugins = world.ask("/status")["plugins"]
        return any(p["name"] == "memory-eating" and p["restarts"] for p in plugins)

    world.hurt_ns = time.time_ns()
    world.wait("the plugin that eats memory to be ended", ended, 40.0)


def _take_plugin_away(world: World, _: Random) -> None:
    shutil.rmtree(world.here.state_dir / "plugins" / "memory-eating")


def _put_older(world: World, _: Random) -> None:
    """Leave the state directory as the version before the clock's eras would have left it."""
    world.kill_box()
    assert VERSION == 3, "say here how a store of the version before looks"
    with duckdb.connect(str(world.here.state_dir / "weir.duckdb")) as store:
        store.execute(_STORE_OF_VERSION_2)


_STORE_OF_VERSION_2 = """
DROP VIEW IF EXISTS readings;
ALTER TABLE reading DROP COLUMN era;
ALTER TABLE text_reading DROP COLUMN era;
ALTER TABLE waveform DROP COLUMN era;
DROP TABLE clock;
UPDATE meta SET version = 2;
"""


def _cut_link(world: World, _: Random) -> None:
    world.link.cut()


def _restore_link(world: World, _: Random) -> None:
    world.link.restore()


def _half_open(world: World, _: Random) -> None:
    world.link.vanish(gone=True)


def _end_half_open(world: World, rng: Random) -> None:
    if rng.random() < 0.5:  # the way comes back, or only a new connection helps
        world.link.cut()
    world.link.restore()


def _slow_link(world: World, rng: Random) -> None:
    world.link.slow(rng.uniform(0.02, 0.3))


def _flap_link(world: World, rng: Random) -> None:
    for _ in range(rng.randint(3, 6)):
        world.link.cut()
        time.sleep(rng.uniform(0.02, 0.3))
        world.link.restore()
        time.sleep(rng.uniform(0.02, 0.6))
    world.link.cut()


def _cut_power(world: World, _: Random) -> None:
    world.cut_power()


def _fill(*numbers: int) -> Act:
    def act(world: World, _: Random) -> None:
        for number in numbers:
            world.volumes[number].fill()

    return act


def _empty(world: World, _: Random) -> None:
    for volume in world.volumes:
        volume.empty()


def _fail_disks(world: World, _: Random) -> None:
    for volume in world.volumes:
        volume.fail()


def _reboot(world: World, _: Random) -> None:
    world.kill_box()
    world.remount()
    world.start_box()


STOP = Kind("gateway stopped in order", 2, _stop_gateway, _start_gateway, since="end", pairs=False)
"""Its rounds are those in which the whole store is looked through."""

_BOX = ("mosquitto",)
KINDS = (
    STOP,
    Kind("gateway killed", 12, _kill_gateway, _start_gateway, goal_s=3.0),
    Kind("gateway killed while starting", 4, _kill_at_start, _start_gateway),
    Kind("leaf killed", 14, _kill_leaf, goal_s=2.0),
    Kind("leaf's unit killed", 14, _kill_leaf_unit, _start_leaf_unit, goal_s=2.0, layouts=_BOX),
    Kind("worker killed", 14, _kill_worker, goal_s=2.0),
    Kind("hub killed", 8, _kill_hub, _start_hub, (0.0, 1.0), "backlog"),
    Kind("hub restarted", 5, _stop_hub, _start_hub, (0.0, 1.5), "backlog"),
    Kind("hub wiped", 3, _wipe_hub, _restore_wiped, (0.0, 0.5), "backlog", pairs=False),
    Kind("Mosquitto killed", 10, _kill_mosquitto, _start_mosquitto, (0.0, 0.3), "end",
         mosquitto_loses=True, layouts=_BOX),
    Kind("Mosquitto restarted", 6, _stop_mosquitto, _start_mosquitto, (0.0, 0.3), "end",
         mosquitto_loses=True, layouts=_BOX),
    Kind("whole box killed", 8, _kill_box, _start_box, mosquitto_loses=True, pairs=False),
    Kind("everything killed", 4, _kill_all, _start_all, mosquitto_loses=True, pairs=False),
    Kind("link cut", 10, _cut_link, _restore_link, (0.2, 3.0), "backlog", goal_s=5.0),
    Kind("link half-open", 4, _half_open, _end_half_open, (0.5, 6.0), "backlog", pairs=False),
    Kind("link slow", 5, _slow_link, _restore_link, (0.5, 2.0), "backlog", pairs=False),
    Kind("link flapping", 4, _flap_link, _restore_link, (0.0, 0.5), "backlog", goal_s=5.0,
         pairs=False),
    Kind("worker hung", 3, _hang("worker"), _await_restart, slow=True, pairs=False),
    Kind("leaf hung", 1, _hang("leaf nats-server"), _await_restart, slow=True, pairs=False),
    Kind("gateway hung", 3, _hang("gateway"), _resume, (1.0, 4.0), "end", pairs=False),
    Kind("gateway hung for 30 s", 0.2, _hang("gateway"), _resume, (30.0, 30.0), "end", slow=True,
         pairs=False),
    Kind("power cut", 10, _cut_power, _start_box, since="end", mosquitto_loses=True, disk=True,
         pairs=False),
    Kind("worker out of memory", 1, _eat_memory, _take_plugin_away, slow=True, pairs=False),
    Kind("box killed, store of the version before", 1, _put_older, _start_box, since="end",
         mosquitto_loses=True, pairs=False),
    Kind("disk full: store", 1, _fill(0), _empty, (1.0, 3.0), "end", disk=True, slow=True,
         pairs=False),
    Kind("disk full: leaf", 1, _fill(1), _empty, (1.0, 3.0), "end", disk=True, slow=True,
         pairs=False),
    Kind("disk full: both", 1, _fill(0, 1), _empty, (1.0, 3.0), "end", disk=True, slow=True,
         pairs=False),
    Kind("disk read-only, then a reboot", 1, _fail_disks, _reboot, (0.5, 3.0), "end",
         mosquitto_loses=True, disk=True, slow=True, pairs=False),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}


def possible(layout: str, *, disks: bool, short: bool) -> list[Kind]:
    """Return the kinds that can come in a layout."""
    return [
        kind
        for kind in KINDS
        if layout in kind.layouts and (disks or not kind.disk) and not (short and kind.slow)
    ]


def choose(rng: Random, kinds: list[Kind], pair_share: float) -> list[Kind]:
    """Return one kind by its weight, or two that come at once."""
    (first,) = rng.choices(kinds, [kind.weight for kind in kinds])
    others = [kind for kind in kinds if kind.pairs and kind is not first]
    if first.pairs and others and rng.random() < pair_share:
        return [first, *rng.choices(others, [kind.weight for kind in others])]
    return [first]

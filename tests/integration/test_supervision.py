"""Leaf and gateway as systemd runs them: what it hears, and what they do when a part hangs."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.client import ask
from gateway.config import Settings, load_settings
from gateway.errors import LeafError, StoreError
from gateway.journal import MOST_CHARS, JournalHandler
from gateway.leaf import claim
from gateway.leaf.leaf import Leaf
from gateway.leaf.unit import LeafUnit
from gateway.notify import Notifier
from gateway.watchdog import keep_alive


class Ear:
    """Hears what is told, as systemd would."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(str(tmp_path / "notify"))
    yield made
    made.close()


def notifier(ear: Ear, watchdog_s: float = 0.2) -> Notifier:
    return Notifier(ear.socket.getsockname(), watchdog_s)


def test_states_are_lines_of_one_datagram_when_told(ear: Ear) -> None:
    notifier(ear).ready("serves\nWATCHDOG=1")
    assert ear.heard() == ["READY=1", "STATUS=serves WATCHDOG=1"]  # no line of a status is a state
    notifier(ear).stopping()
    assert ear.heard() == ["STOPPING=1", "STATUS=stopping"]


def test_an_abstract_socket_is_told_when_its_name_begins_with_an_at() -> None:
    name = f"weir-test-{os.getpid()}"
    ear = Ear(f"\0{name}")
    Notifier(f"@{name}").alive()
    assert ear.heard() == ["WATCHDOG=1"]
    ear.close()


def test_nothing_fails_when_nobody_listens(tmp_path: Path) -> None:
    Notifier().alive()
    Notifier(str(tmp_path / "gone")).alive()
    assert not Notifier().is_asked


async def works() -> bool:
    return True


async def hangs() -> bool:
    await asyncio.Event().wait()
    return True


async def refuses() -> bool:
    raise StoreError("disk full")


async def test_the_watchdog_is_told_while_every_part_works(ear: Ear) -> None:
    telling = asyncio.create_task(
        keep_alive(notifier(ear), {"store": works, "leaf": works}, lambda: "serves")
    )
    await asyncio.sleep(0.5)
    telling.cancel()
    heard = ear.heard()
    assert heard.count("WATCHDOG=1") >= 5
    assert heard.count("STATUS=serves") >= 5


@pytest.mark.parametrize("broken", [hangs, refuses])
async def test_the_watchdog_is_not_told_any_more_when_a_part_does_not_work(
    ear: Ear, broken: object
) -> None:
    checks = {"store": broken, "leaf": works}
    telling = asyncio.create_task(
        keep_alive(notifier(ear), checks, lambda: "serves")  # type: ignore[arg-type] # parametrized
    )
    await asyncio.sleep(0.25)
    ear.heard()
    await asyncio.sleep(0.3)
    telling.cancel()
    heard = ear.heard()
    assert "WATCHDOG=1" not in heard
    assert "STATUS=store does not work: the watchdog is not told" in heard


async def test_the_watchdog_is_not_told_while_the_event_loop_is_blocked(ear: Ear) -> None:
    telling = asyncio.create_task(keep_alive(notifier(ear), {"store": works}, lambda: ""))
    await asyncio.sleep(0.1)
    ear.heard()
    time.sleep(0.4)  # noqa: ASYNC251 - what is tried
    assert ear.heard() == []
    await asyncio.sleep(0.15)
    assert "WATCHDOG=1" in ear.heard()
    telling.cancel()


def test_records_arrive_at_the_socket_when_the_journal_is_there(tmp_path: Path) -> None:
    address = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(address)
        journal.settimeout(1)
        handler = JournalHandler(address, "weir", logging.NullHandler())
        text = "x" * (MOST_CHARS + 1000)
        handler.emit(logging.LogRecord("a", 40, "/x", 1, text, (), None))
        sent = journal.recv(200_000)
        handler.close()
    assert b"MESSAGE=" + b"x" * MOST_CHARS + b"\n" in sent
    assert b"\nSYSLOG_IDENTIFIER=weir\n" in sent


def settings(state_dir: Path, **tables: dict[str, Any]) -> Settings:
    gateway = {"name": "gw-01", "state_dir": str(state_dir)}
    merged: dict[str, dict[str, Any]] = {"gateway": gateway, "mqtt": {"port": 0}}
    return load_settings(None, **(merged | tables))


@asynccontextmanager
async def leaf_alone(state_dir: Path) -> AsyncIterator[Leaf]:
    """Run a leaf as `weir leaf run` does, with short waits."""
    leaf = Leaf(settings(state_dir), role=claim.ALONE, check_every_s=0.1, patience=2)
    await leaf.start()
    watch = asyncio.create_task(leaf.watch())
    try:
        yield leaf
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await leaf.stop()


async def eventually(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], limit_s: float = 20.0
) -> float:
    started = time.monotonic()
    while time.monotonic() < started + limit_s:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


def nats_pid(state_dir: Path) -> int:
    return int(json.loads((state_dir / "leaf/server.json").read_text())["server"][0])


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, ear: Ear) -> Iterator[Start]:
    """Return a function that runs a command of `weir` as systemd would."""
    config = tmp_path / "gateway.toml"
    made: list[subprocess.Popen[str]] = []

    def run(
        *command: str, watchdog_s: float = 2.0, run_leaf: str = "unit"
    ) -> "subprocess.Popen[str]":
        config.write_text(
            f'[gateway]\nname = "gw-01"\nstate_dir = "{tmp_path}/state"\n[mqtt]\nport = 0\n'
            f'[leaf]\nrun = "{run_leaf}"\n[metrics]\nport = 0\n[plugins]\nshipped = false\n'
        )
        asked = {
            "NOTIFY_SOCKET": ear.socket.getsockname(),
            "WATCHDOG_USEC": f"{watchdog_s * 1e6:.0f}",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *command, "-c", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **asked},
        )
        made.append(process)
        return process

    yield run
    for process in made:
        process.kill()
        process.communicate()


class Told:
    """All that was told since it was made, and whether something was."""

    def __init__(self, ear: Ear) -> None:
        self.lines: list[str] = []
        self._ear = ear

    def has(self, line: str) -> Callable[[], bool]:
        def look() -> bool:
            self.lines += self._ear.heard()
            return any(line in each for each in self.lines)

        return look


async def test_the_leaf_alone_restarts_a_server_that_hangs_and_stops_in_order_when_told(
    tmp_path: Path, ear: Ear, start: Start
) -> None:
    process = start("leaf", "run")
    await eventually(Told(ear).has("READY=1"))
    hung = nats_pid(tmp_path / "state")
    os.kill(hung, signal.SIGSTOP)
    await eventually(lambda: nats_pid(tmp_path / "state") != hung)
    await eventually(Told(ear).has("nats-server answers; no hub; 1 restarts"))
    ear.heard()
    await eventually(Told(ear).has("WATCHDOG=1"))
    last = nats_pid(tmp_path / "state")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert time.monotonic() - asked < 3.0
    assert not psutil.pid_exists(last)
    assert Told(ear).has("STOPPING=1")()


async def test_the_watchdog_is_not_told_when_the_server_cannot_be_brought_back(
    tmp_path: Path, ear: Ear, start: Start
) -> None:
    process = start("leaf", "run", watchdog_s=1.0)
    await eventually(Told(ear).has("READY=1"))
    silent = Told(ear).has("nats-server does not work: the watchdog is not told")
    until = time.monotonic() + 10.0
    while not silent():  # whatever is started hangs at once
        assert time.monotonic() < until
        os.kill(nats_pid(tmp_path / "state"), signal.SIGSTOP)
        await asyncio.sleep(0.02)
    ear.heard()
    await asyncio.sleep(0.5)
    assert "WATCHDOG=1" not in ear.heard()
    process.kill()
    await asyncio.to_thread(process.wait, 10)
    os.kill(nats_pid(tmp_path / "state"), signal.SIGKILL)  # stopped, it would outlive the tests


async def test_the_gateway_waits_for_its_leaf_and_goes_on_when_that_is_restarted(
    tmp_path: Path, ear: Ear, start: Start
) -> None:
    gateway = start("run")
    assert gateway.stderr
    line = await asyncio.to_thread(gateway.stderr.readline)
    assert "waiting for the leaf (weir leaf run, weir-leaf.service)" in line
    assert not Told(ear).has("READY=1")()
    told = Told(ear)
    leaf = tmp_path / "state/weir.sock"
    async with leaf_alone(tmp_path / "state"):
        await eventually(told.has("READY=1"))
        assert told.has("broker connected; 0 devices; no hub")()
        found = await asyncio.to_thread(ask, leaf, "/status")
        assert found["leaf"]["running"]
        assert found["leaf"]["rss_bytes"] > 1_000_000
    told = Told(ear)
    await eventually(told.has("leaf does not answer"))
    ear.heard()
    await eventually(Told(ear).has("WATCHDOG=1"))  # not for the gateway's own watchdog to mend
    async with leaf_alone(tmp_path / "state"):
        await eventually(Told(ear).has("STATUS=broker connected; 0 devices"))
        found = await asyncio.to_thread(ask, leaf, "/status")
        assert found["leaf"]["ready"]
        assert found["leaf"]["restarts"] == 1
        gateway.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait, 10) == 0
        assert Told(ear).has("STOPPING=1")()
        assert psutil.pid_exists(nats_pid(tmp_path / "state"))  # the leaf is not the gateway's


async def test_the_gateway_ends_at_once_when_told_to_stop_while_it_waits(start: Start) -> None:
    gateway = start("run")
    assert gateway.stderr
    await asyncio.to_thread(gateway.stderr.readline)
    gateway.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.wait, 5) == 0


async def test_a_gateway_with_its_own_leaf_says_how_it_is_when_the_server_hangs(
    tmp_path: Path, ear: Ear, start: Start
) -> None:
    start("run", run_leaf="here", watchdog_s=1.0)
    await eventually(Told(ear).has("READY=1"))
    os.kill(nats_pid(tmp_path / "state"), signal.SIGSTOP)
    await eventually(Told(ear).has("leaf does not work: the watchdog is not told"))
    ear.heard()
    await asyncio.sleep(0.5)
    assert "WATCHDOG=1" not in ear.heard()
    await eventually(Told(ear).has("WATCHDOG=1"))  # the gateway itself has restarted it


async def test_only_one_runs_the_server_when_gateway_and_leaf_share_a_directory(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    async with leaf_alone(state):
        with pytest.raises(LeafError, match=rf"weir leaf run.*{os.getpid()}.*\[leaf\] run = .unit"):
            await Leaf(settings(state)).start()
    here = Leaf(settings(state))
    await here.start()
    with pytest.raises(LeafError, match=r"a running gateway.*stop that gateway, or give it"):
        await Leaf(settings(state), role=claim.ALONE).start()
    await here.stop()


async def test_a_leaf_that_moved_ends_the_gateway_when_it_comes_back(tmp_path: Path) -> None:
    state = tmp_path / "state"
    unit = LeafUnit(settings(state), check_every_s=0.1)
    async with leaf_alone(state):
        await unit.start()
        watch = asyncio.create_task(unit.watch())
    (state / "leaf/passwords.json").unlink()
    async with leaf_alone(state):
        with pytest.raises(LeafError, match="other ports, or with new passwords"):
            await asyncio.wait_for(watch, 10)


async def test_a_start_says_what_is_missing_when_the_leaf_has_no_broker(tmp_path: Path) -> None:
    state = tmp_path / "state"
    other = Leaf(settings(state, mqtt={"broker": "mqtt://127.0.0.1:1"}), role=claim.ALONE)
    await other.start()
    with pytest.raises(LeafError, match="runs with another configuration; restart it"):
        await LeafUnit(settings(state), wait_s=0.1).start()
    await other.stop()


def test_the_leaf_alone_loads_none_of_the_large_libraries() -> None:
    large = "duckdb, cv2, openvino, onnxruntime, numpy"
    code = f"import sys, gateway.cli.leaf; print({{*'{large}'.split(', ')}} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"

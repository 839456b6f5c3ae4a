"""The load generator and the demo's devices, over a real MQTT listener."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.load import Load, LoadError, Report, run
from gateway.demo.devices import names, run_devices
from gateway.demo.plant import Plant

_ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await(done: Callable[[], bool], limit_s: float = 10.0) -> None:
    end_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.01)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A nats-server with an MQTT listener, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._config = folder / "server.conf"
        self._config.write_text(
            f"server_name: test\nlisten: 127.0.0.1:{_free_port()}\n"
            f'jetstream {{ store_dir: "{folder}" }}\nmqtt {{ listen: 127.0.0.1:{self.port} }}\n'
        )
        scripts = Path(sysconfig.get_path("scripts")) / "nats-server"
        self._binary = str(scripts) if scripts.exists() else shutil.which("nats-server")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._binary is None:
            pytest.skip("nats-server is not installed")
        self._process = subprocess.Popen(
            [self._binary, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _await(lambda: _listens(self.port))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    running.start()
    yield running
    running.stop()


class Listener:
    """A subscriber that keeps what comes."""

    def __init__(self, port: int, topic_filter: str, qos: int) -> None:
        self.messages: list[MQTTMessage] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(topic_filter, qos)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(5)

    def json(self) -> dict[str, list[dict[str, Any]]]:
        by_topic = defaultdict(list)
        for message in self.messages:
            by_topic[message.topic].append(json.loads(message.payload))
        return by_topic

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen(server: Server) -> Iterator[Callable[[str, int], Listener]]:
    open_ones: list[Listener] = []

    def listen_to(topic_filter: str, qos: int) -> Listener:
        open_ones.append(Listener(server.port, topic_filter, qos))
        return open_ones[-1]

    yield listen_to
    for listener in open_ones:
        listener.close()


Listen = Callable[[str, int], Listener]


@pytest.mark.parametrize("qos", [0, 1])
def test_every_message_arrives_once_and_in_order_when_numbered(
    server: Server, listen: Listen, qos: int
) -> None:
    listener = listen("sensors/#", qos)
    load = Load(server.port, rate_hz=2000, devices=50, seconds=1, qos=qos, sequence=True)
    report = run(load)
    _await(lambda: len(listener.messages) >= 2000)
    assert (report.sent, report.acked) == (2000, 2000 * qos)
    by_topic = listener.json()
    assert len(by_topic) == 50
    for topic, said in by_topic.items():
        assert [one["seq"] for one in said] == list(range(40)), topic


def test_messages_hold_three_readings_and_the_moment_of_sending(
    server: Server, listen: Listen
) -> None:
    listener = listen("sensors/#", 0)
    before_ns = time.time_ns()
    report = run(Load(server.port, rate_hz=500, devices=5, seconds=0.4, connections=2))
    after_ns = time.time_ns()
    _await(lambda: len(listener.messages) >= 200)
    said = [one for per_topic in listener.json().values() for one in per_topic]
    stamps = [one.pop("ts") for one in said]
    assert before_ns < report.first_ns == min(stamps) < max(stamps) == report.last_ns < after_ns
    assert all(len(one) == 3 for one in said)
    assert all(isinstance(value, float) for one in said for value in one.values())
    assert len({one["temperature"] for one in said}) > 20


def test_rate_is_kept_when_it_runs_as_a_process(server: Server) -> None:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--json"]
    ended = subprocess.run(
        [*command, "--rate", "5000", "--seconds", "1"],
        cwd=_ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    report = Report(**json.loads(ended.stdout))
    assert report.sent == report.wanted == 5000
    assert 4000 < report.rate_hz < 5500
    assert 0 < report.cpu_us_per_message < 100


def test_load_is_refused_when_it_would_leave_the_machine() -> None:
    with pytest.raises(LoadError, match="loopback"):
        run(Load(1883, host="192.0.2.1"))


@pytest.mark.parametrize("wrong", [{"seconds": 601.0}, {"rate_hz": 1e9}, {"devices": 3}])
def test_load_is_refused_when_it_is_out_of_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(LoadError):
        run(Load(1883, **wrong))


def test_load_fails_plainly_when_there_is_no_broker() -> None:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(_free_port())]
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"load: ")


async def test_devices_deliver_what_they_count_when_they_end(
    server: Server, listen: Listen
) -> None:
    listener = listen("#", 1)
    published = await run_devices("127.0.0.1", server.port, Plant(1), seconds=1.5)
    await asyncio.to_thread(_await, lambda: len(listener.messages) >= published.total())
    received: Counter[str] = Counter()
    for message in listener.messages:
        received[next(name for name, _ in names() if name in message.topic)] += 1
    assert received == published
    assert set(published) == {name for name, _ in names()}
    assert min(published.values()) >= 2
    assert b"Offline" not in {message.payload for message in listener.messages}


async def test_devices_stop_when_cancelled(server: Server) -> None:
    published: Counter[str] = Counter()
    running = asyncio.create_task(
        run_devices("127.0.0.1", server.port, Plant(1), published=published)
    )
    await asyncio.sleep(0.6)
    running.cancel()
    start_s = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - start_s < 3
    assert min(published.values()) >= 1
    assert not [t for t in threading.enumerate() if "paho" in t.name and "weir-demo" in t.name]


async def test_devices_go_on_when_the_broker_comes_back(server: Server) -> None:
    published: Counter[str] = Counter()
    running = asyncio.create_task(
        run_devices("127.0.0.1", server.port, Plant(1), published=published)
    )
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.stop)
    before = Counter(published)
    await asyncio.to_thread(server.start)
    wanted = [name for name, _ in names()]
    end_s = time.monotonic() + 15
    while not all(published[name] > before[name] for name in wanted):
        assert time.monotonic() < end_s, "a device did not come back"
        await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_devices_stop_when_there_is_no_broker() -> None:
    published = await run_devices("127.0.0.1", _free_port(), Plant(1), seconds=0.3)
    assert published.total() == 0

"""One suite over both brokers: the embedded one (MQTT 3.1.1) and Mosquitto (MQTT 5)."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.config import Settings, load_settings
from gateway.ingest import Broker, MqttSource, parse_broker
from gateway.leaf.edge import EdgePorts, render_edge
from gateway.leaf.leaf import Leaf
from gateway.model import RawMessage

WAIT_S = 15.0
RECEIVE_MAXIMUM = 10


class Site(Protocol):
    """A broker that can be restarted on its port and store."""

    broker: Broker

    async def restart(self) -> None: ...


class Embedded:
    def __init__(self, leaf: Leaf) -> None:
        address = leaf.mqtt_address
        assert address is not None
        self.leaf = leaf
        self.broker = Broker(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            mqtt5=False,
        )

    async def restart(self) -> None:
        await self.leaf.restart()


class Mosquitto:
    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\n"
        )
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.broker = Broker("127.0.0.1", port)

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220 - a server, started in no time
            [self._program, "-c", self._config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await until(self._listens)

    async def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, WAIT_S)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.broker.host, self.broker.port), 1.0).close()
        except OSError:
            return False
        return True


@pytest.fixture(autouse=True)
def _sends_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nats-server send again what was not acknowledged after 3 s; it is 30 s otherwise."""

    def render(settings: Settings, ports: EdgePorts, passwords: Mapping[str, str]) -> str:
        text = render_edge(settings, ports, passwords)
        assert 'ack_wait: "10s"' in text
        return text.replace('ack_wait: "10s"', 'ack_wait: "3s"')

    monkeypatch.setattr("gateway.leaf.leaf.render_edge", render)


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Embedded]:
    settings = load_settings(
        None,
        gateway={"name": "gw-01", "state_dir": str(folder)},
        mqtt={"port": 0, "receive_maximum": RECEIVE_MAXIMUM},
    )
    leaf = Leaf(settings)
    await leaf.start()
    try:
        yield Embedded(leaf)
    finally:
        await leaf.stop()


@pytest.fixture(params=["embedded", "mosquitto"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    if request.param == "embedded":
        async with embedded(tmp_path) as made:
            yield made
        return
    broker = Mosquitto(request.getfixturevalue("mosquitto"), tmp_path)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Received(list[RawMessage]):
    """What a source put, and the source."""

    source: MqttSource

    def numbers(self) -> list[int]:
        return [int(message.payload) for message in self]


@asynccontextmanager
async def receiving(broker: Broker, filters: list[str] | None = None) -> AsyncIterator[Received]:
    received = Received()
    received.source = source = MqttSource(
        broker,
        client_id="weir-test",
        filters=filters or ["t/#"],
        own_root="outcomes/gw-01",
        receive_maximum=RECEIVE_MAXIMUM,
        put=received.append,
    )
    source.start()
    try:
        await until(lambda: source.connected)
        await asyncio.sleep(0.1)  # the broker's answer to the subscription
        yield received
    finally:
        await asyncio.to_thread(source.stop)


async def publish(broker: Broker, numbers: range, qos: int = 1, topic: str = "t/x") -> None:
    """Publish as a device does, which has no password."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
    await asyncio.to_thread(client.connect, broker.host, broker.port)
    client.loop_start()
    sent = [client.publish(topic, str(n), qos) for n in numbers]
    for info in sent:
        await asyncio.to_thread(info.wait_for_publish, WAIT_S)
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)


def drop_connection(source: MqttSource) -> None:
    client = source._client
    assert client is not None
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)


async def reconnected(source: MqttSource, act: Callable[[], Awaitable[None]]) -> None:
    before = source.connections
    await act()
    await until(lambda: source.connections > before and source.connected)


async def test_messages_come_as_they_were_sent_when_connected(site: Site) -> None:
    async with receiving(site.broker) as received:
        await publish(site.broker, range(2), qos=1, topic="t/a/b")
        await publish(site.broker, range(2, 3), qos=0, topic="t")
        await publish(site.broker, range(3, 4), qos=0, topic="elsewhere")
        await until(lambda: len(received) == 3)
        first, second, third = received
    assert (first.topic, first.payload, first.qos) == ("t/a/b", b"0", 1)
    assert first.message_id != second.message_id
    assert (third.topic, third.qos, third.message_id) == ("t", 0, 0)
    assert abs(first.received_ns - time.time_ns()) < 60e9


async def test_missed_messages_come_when_the_session_was_away(site: Site) -> None:
    async with receiving(site.broker):
        pass
    await publish(site.broker, range(8))
    async with receiving(site.broker) as received:
        await until(lambda: len(received) == 8)
        assert received.numbers() == list(range(8))


async def test_only_the_unacknowledged_come_again_when_connected_anew(site: Site) -> None:
    async with receiving(site.broker) as received:
        await publish(site.broker, range(6))
        await until(lambda: len(received) == 6)
        received.source.acknowledge(received[:4])
        await asyncio.sleep(0.3)  # the acknowledgements are written by the client's thread
    async with receiving(site.broker) as again:
        await until(lambda: len(again) == 2)
        await asyncio.sleep(0.3)
        assert sorted(again.numbers()) == [4, 5]
        assert all(message.redelivered for message in again)


async def test_old_acknowledgement_is_not_sent_when_the_connection_is_another(site: Site) -> None:
    async with receiving(site.broker) as received:
        await publish(site.broker, range(4))
        await until(lambda: len(received) == 4)
        old = list(received)

        async def drop() -> None:
            drop_connection(received.source)

        await reconnected(received.source, drop)
        await until(lambda: len(received) == 8)
        received.source.acknowledge(old)  # these identifiers mean nothing any more
        received.source.acknowledge(received[4:6])
        left = sorted(received.numbers()[6:])
        await asyncio.sleep(0.3)
    async with receiving(site.broker) as again:
        await until(lambda: len(again) == 2)
        await asyncio.sleep(0.3)
        assert sorted(again.numbers()) == left


async def test_no_more_come_than_may_be_unacknowledged_when_many_wait(site: Site) -> None:
    async with receiving(site.broker) as received:
        await publish(site.broker, range(25))
        await until(lambda: len(received) == RECEIVE_MAXIMUM)
        await asyncio.sleep(0.3)
        assert len(received) == RECEIVE_MAXIMUM
        taken = 0
        while taken < 25:
            await until(lambda: len(received) > taken)  # noqa: B023 - awaited at once
            received.source.acknowledge(received[taken:])
            taken = len(received)
        assert received.numbers() == list(range(25))


async def test_own_outcomes_are_not_taken_in_when_everything_is_subscribed(site: Site) -> None:
    async with receiving(site.broker, ["#"]) as received:
        received.source.publish("outcomes/gw-01/machine/pump", b"1")
        await publish(site.broker, range(7, 8))
        await until(lambda: len(received) >= 1)
        await asyncio.sleep(0.3)
        assert received.numbers() == [7]


async def test_it_connects_again_when_the_broker_was_restarted(site: Site) -> None:
    async with receiving(site.broker) as received:
        await publish(site.broker, range(2))
        await until(lambda: len(received) == 2)
        received.source.acknowledge(received)
        await asyncio.sleep(0.3)
        await reconnected(received.source, site.restart)
        assert received.source.reason == ""
        await asyncio.sleep(0.1)
        await publish(site.broker, range(2, 4))
        await until(lambda: len(received) == 4)
        assert received.numbers() == [0, 1, 2, 3]


async def test_other_topics_come_when_the_filters_are_changed(site: Site) -> None:
    async with receiving(site.broker) as received:
        received.source.subscribe(["u/#"])
        await asyncio.sleep(0.2)
        await publish(site.broker, range(1), topic="t/x")
        await publish(site.broker, range(1, 2), topic="u/x")
        await until(lambda: len(received) == 1)
        assert received.numbers() == [1]


async def test_it_falls_back_to_mqtt_3_when_the_broker_has_no_5(tmp_path: Path) -> None:
    async with embedded(tmp_path) as made:
        old = made.broker
        newer = Broker(old.host, old.port, username=old.username, password=old.password)
        async with receiving(newer) as received:
            await publish(newer, range(1))
            await until(lambda: len(received) == 1)


async def test_it_says_why_when_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = MqttSource(
        Broker("127.0.0.1", port, tls=True, ca_file=str(tmp_path / "none.pem")),
        client_id="weir-test",
        filters=["#"],
        own_root="outcomes/gw-01",
        receive_maximum=1,
        put=lambda _: None,
    )
    source.start()
    await until(lambda: "No such file" in source.reason)
    (tmp_path / "none.pem").write_text("no certificate")
    await until(lambda: "No such file" not in source.reason)
    assert not source.connected
    await asyncio.to_thread(source.stop)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtt://10.0.0.1:1999/", "10.0.0.1", 1999, False),
    ],
)
def test_url_names_the_broker_when_parsed(url: str, host: str, port: int, tls: bool) -> None:
    assert parse_broker(url, "u", "p", "") == Broker(host, port, tls, "u", "p")

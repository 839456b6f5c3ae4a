"""What a device without credentials can and cannot do at the embedded broker."""

import asyncio
import json
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config import load_settings
from gateway.errors import LeafError
from gateway.leaf import streams
from gateway.leaf.addresses import MqttAddress
from gateway.leaf.leaf import Leaf

WAIT_S = 5.0
QUIET_S = 0.3

FORBIDDEN = [
    "$JS/API/STREAM/PURGE/$MQTT_msgs",
    "$JS/ACK/OUTQ/x/1/1/1/1/0",
    "$SYS/REQ/USER/INFO",
    "$MQTT/msgs/a/b",
    "$MQTT/sess/x",
    "_INBOX/abc",
    "outcomes/gw-01/machine/pump/anomaly/f00",
    "outcomes",
    "$KV/bucket/key",
    "_weir/probe",
]


@pytest.fixture
async def leaf(tmp_path: Path) -> AsyncIterator[Leaf]:
    leaf = Leaf(
        load_settings(
            None,
            gateway={"name": "gw-01", "state_dir": str(tmp_path)},
            mqtt={"port": 0, "receive_maximum": 100},
        )
    )
    await leaf.start()
    yield leaf
    await leaf.stop()


@pytest.fixture
def address(leaf: Leaf) -> MqttAddress:
    assert leaf.mqtt_address
    return leaf.mqtt_address


class Party:
    """An MQTT 3.1.1 client that notes what it gets."""

    def __init__(
        self, address: MqttAddress, client_id: str, *, clean: bool = True, login: bool = False
    ) -> None:
        self.inbox: queue.Queue[MQTTMessage] = queue.Queue()
        self._granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        self._connected = threading.Event()
        self.gone = threading.Event()
        self.session_present = False
        self.client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=clean)
        self.client.on_message = lambda _c, _u, message: self.inbox.put(message)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.put(codes)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.gone.set()
        if login:
            self.client.username_pw_set(address.username, address.password)
        self._address = address

    def connect(self) -> "Party":
        self.client.connect(self._address.host, self._address.port, keepalive=30)
        self.client.loop_start()
        assert self._connected.wait(WAIT_S), "not connected"
        return self

    def _on_connect(self, *args: Any) -> None:  # noqa: ANN401 - as paho calls it
        self.session_present = args[2].session_present
        self._connected.set()

    def subscribe(self, topic: str, qos: int) -> bool:
        self.client.subscribe(topic, qos)
        return not self._granted.get(timeout=WAIT_S)[0].is_failure

    def publish(
        self, topic: str, payload: bytes = b"x", qos: int = 0, retain: bool = False
    ) -> None:
        self.client.publish(topic, payload, qos, retain).wait_for_publish(WAIT_S)

    def next(self) -> tuple[str, bytes]:
        message = self.inbox.get(timeout=WAIT_S)
        return message.topic, bytes(message.payload)

    def topics_until_quiet(self) -> list[str]:
        topics = []
        with suppress(queue.Empty):
            while True:
                topics.append(self.inbox.get(timeout=QUIET_S).topic)
        return topics

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Drop the connection without a goodbye, so that the last will is due."""
        sock: Any = self.client.socket()
        self.client.reconnect_delay_set(60, 60)
        sock.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()


@pytest.fixture
def party(address: MqttAddress) -> Any:  # noqa: ANN401 - a factory
    made: list[Party] = []

    def make(client_id: str, **options: bool) -> Party:
        made.append(Party(address, client_id, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Party]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_ingest_gets_what_a_device_publishes_when_it_has_no_credentials(
    party: Make, qos: int
) -> None:
    ingest = party("ingest", clean=False, login=True).connect()
    assert ingest.subscribe("#", 2)
    party("plug-1").connect().publish("tele/plug-1/SENSOR", b"{}", qos)
    assert ingest.next() == ("tele/plug-1/SENSOR", b"{}")


def test_a_persistent_session_gets_what_came_meanwhile_in_order_when_it_is_back(
    party: Make,
) -> None:
    ingest = party("ingest", clean=False, login=True).connect()
    assert ingest.subscribe("#", 1)
    ingest.close()
    device = party("plug-1").connect()
    for number in range(50):
        device.publish("t/plug-1", str(number).encode(), qos=1)
    back = party("ingest", clean=False, login=True).connect()
    assert back.session_present
    assert [back.next()[1] for _ in range(50)] == [str(n).encode() for n in range(50)]


async def test_the_session_and_its_messages_are_there_when_the_server_was_killed(
    leaf: Leaf, party: Make
) -> None:
    ingest = party("ingest", clean=False, login=True).connect()
    assert ingest.subscribe("#", 1)
    ingest.close()
    device = party("plug-1").connect()
    device.publish("t/plug-1", b"kept", qos=1)
    device.close()
    assert leaf._server
    await leaf._server.kill()
    await leaf.restart()
    back = party("ingest", clean=False, login=True).connect()
    assert back.session_present
    assert await asyncio.to_thread(back.next) == ("t/plug-1", b"kept")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_device_may_subscribe_when_it_has_no_credentials(party: Make, qos: int) -> None:
    panel = party("panel", clean=False).connect()
    assert panel.subscribe("outcomes/#", qos)
    party("ingest", login=True).connect().publish("outcomes/gw-01/x", b"o", qos)
    assert panel.next() == ("outcomes/gw-01/x", b"o")


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
async def test_forbidden_topics_reach_nobody_when_a_device_publishes_them(
    leaf: Leaf, party: Make, qos: int, retain: bool
) -> None:
    device = party("plug-1").connect()
    async with spy(leaf) as forged:
        for topic in FORBIDDEN:
            await asyncio.to_thread(device.publish, topic, b"forged", qos, retain)
        await asyncio.to_thread(device.publish, "allowed/last", b"forged", qos)
        await asyncio.sleep(QUIET_S)
    # At QoS 2 the server holds the packet back until its release, whatever its topic.
    seen = {s for s in forged if not s.startswith("$MQTT.qos2.in.")}
    assert seen - {"$MQTT.msgs.allowed.last"} == {"allowed.last"}
    late = party("late", login=True).connect()  # nor was one kept for those who come later
    for topic in [t for t in FORBIDDEN if not t.startswith("$MQTT")] + ["#"]:
        assert late.subscribe(topic, qos)
    assert late.topics_until_quiet() == []


@pytest.mark.parametrize("topic", ["outcomes/gw-01/x", "$JS/API/INFO"])
async def test_a_last_will_on_a_forbidden_topic_is_not_sent_when_its_device_vanishes(
    leaf: Leaf, party: Make, topic: str
) -> None:
    async with spy(leaf) as forged:
        for number, will in enumerate((topic, "allowed/will")):
            device = party(f"plug-{number}")
            device.client.will_set(will, b"forged", qos=0, retain=True)
            await asyncio.to_thread(device.connect().vanish)
        await asyncio.sleep(QUIET_S)
    assert set(forged) == {"allowed.will", "$MQTT.rmsgs.allowed.will"}


@asynccontextmanager
async def spy(leaf: Leaf) -> AsyncIterator[list[str]]:
    """Note the subject of every message in LOCAL that carries the mark."""
    seen: list[str] = []

    async def note(message: Msg) -> None:
        if b"forged" in message.data:
            seen.append(message.subject)

    async with streams.connection(leaf.local_url) as client:
        await client.subscribe(">", cb=note)
        await client.flush()
        yield seen


@pytest.mark.parametrize(
    "topic",
    ["$JS/#", "$SYS/#", "$MQTT/#", "$MQTT/msgs/#", "$MQTT/sub/x", "$KV/#", "_INBOX/#", "$JS/API/+"],
)
def test_forbidden_filters_deliver_nothing_when_a_device_subscribes_them(
    leaf: Leaf, party: Make, topic: str
) -> None:
    device = party("plug-1").connect()
    assert not device.subscribe(topic, 1)


async def test_a_device_sees_no_other_traffic_when_it_subscribes_everything(
    leaf: Leaf, party: Make
) -> None:
    device = party("plug-1").connect()
    assert device.subscribe("#", 1)
    assert device.subscribe("+/#", 1)
    async with streams.connection(leaf.local_url) as client:
        await client.jetstream().account_info()  # an answer over an _INBOX, an advisory
        await client.publish("_INBOX.secret.1", b"reply")
        await client.publish("seen", b"")
        await client.flush()
    topics = await asyncio.to_thread(device.topics_until_quiet)
    assert set(topics) == {"seen"}


async def test_a_purge_does_nothing_when_a_device_asks_for_it(leaf: Leaf, party: Make) -> None:
    ingest = party("ingest", clean=False, login=True).connect()
    assert ingest.subscribe("#", 1)
    ingest.close()
    device = party("plug-1").connect()
    device.publish("t/1", b"kept", qos=1)
    device.publish("$JS/API/STREAM/PURGE/$MQTT_msgs", b"", qos=0)
    device.publish("$JS/API/STREAM/DELETE/$MQTT_msgs", b"", qos=1)
    device.publish("t/1", b"after", qos=1)
    async with streams.connection(leaf.local_url) as client:
        info = await client.jsm().stream_info("$MQTT_msgs")
    assert info.state.messages == 2


async def test_every_stream_of_the_broker_is_capped_when_it_has_started(leaf: Leaf) -> None:
    async with streams.connection(leaf.local_url) as client:
        configs = [info.config for info in await client.jsm().streams_info()]
    total = leaf._settings.leaf.mqtt_store_bytes
    caps = {config.name: config.max_bytes for config in configs}
    assert set(caps) == set(streams.MQTT_SHARES)
    assert all(cap and cap > 0 for cap in caps.values())
    assert sum(cap or 0 for cap in caps.values()) < total


async def test_the_caps_stay_when_the_server_restarts(leaf: Leaf) -> None:
    before = await streams.cap_mqtt(leaf.local_url, 100_000_000)
    await leaf.restart()
    async with streams.connection(leaf.local_url) as client:
        info = await client.jsm().stream_info("$MQTT_msgs")
    assert before["$MQTT_msgs"] == 70_000_000
    expected = int(leaf._settings.leaf.mqtt_store_bytes * streams.MQTT_SHARES["$MQTT_msgs"])
    assert info.config.max_bytes == expected  # as the settings say, again


@pytest.mark.parametrize("size", [1_000_000, 1_048_576])
def test_a_payload_of_1_mb_passes_when_published(party: Make, size: int) -> None:
    ingest = party("ingest", login=True).connect()
    assert ingest.subscribe("big/#", 1)
    device = party("plug-1").connect()
    device.publish("big/" + "t" * 1000, bytes(size), qos=1)
    assert len(ingest.next()[1]) == size
    assert not device.gone.is_set()


def test_a_device_is_hung_up_on_when_its_payload_is_over_the_limit(party: Make) -> None:
    ingest = party("ingest", login=True).connect()
    assert ingest.subscribe("#", 1)
    device = party("plug-1").connect()
    device.client.publish("big", bytes(1_200_000), qos=0)
    assert device.gone.wait(WAIT_S)
    party("plug-2").connect().publish("others", b"", qos=1)
    assert ingest.topics_until_quiet() == ["others"]


async def test_device_password_opens_nothing_when_used_over_nats(leaf: Leaf) -> None:
    password = json.loads((leaf._directory / "passwords.json").read_text())["device"]
    url = leaf.uplink_url.replace(f"up:{leaf._chosen.passwords['up']}", f"device:{password}")
    with pytest.raises(LeafError, match="Authorization"):
        async with streams.connection(url):
            pass
    anonymous = f"nats://127.0.0.1:{leaf._chosen.ports.client}"
    with pytest.raises(LeafError, match="Authorization"):
        async with streams.connection(anonymous):
            pass


async def test_accounts_do_not_see_each_other_when_both_have_jetstream(leaf: Leaf) -> None:
    async with streams.connection(leaf.local_url) as client:
        with pytest.raises(NotFoundError):
            await client.jsm().stream_info("WEIR_PROBE")
    async with streams.connection(leaf.uplink_url) as client:
        names = [info.config.name for info in await client.jsm().streams_info()]
    assert names == ["WEIR_PROBE"]

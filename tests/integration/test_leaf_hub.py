"""What passes the link between a leaf and a hub, and what does not."""

import asyncio
import json
import shutil
import ssl
import subprocess
import time
import tomllib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.client import JetStreamContext
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.config import load_settings
from gateway.errors import LeafError
from gateway.leaf import streams
from gateway.leaf.hub import Hub, HubOptions
from gateway.leaf.hub_config import render_hub_config, stream_json
from gateway.leaf.leaf import Leaf
from gateway.leaf.ports import Wanted, choose_ports
from gateway.leaf.relay import Relay
from gateway.leaf.server import NatsServer

MARK = b"raw-and-private"
SUBJECT = "outcomes.gw-01.machine.pump.anomaly.f00"
QUIET_S = 0.3


def new_hub(tmp_path: Path, **options: Any) -> Hub:  # noqa: ANN401 - of several types
    ports = {"client_port": 0, "leaf_port": 0, "mqtt_port": 0}
    return Hub(HubOptions(tmp_path / "hub", **(ports | options)))


def new_leaf(tmp_path: Path, url: str, **hub: str) -> Leaf:
    return Leaf(
        load_settings(
            None,
            gateway={"name": "gw-01", "state_dir": str(tmp_path / "gw")},
            mqtt={"port": 0},
            hub={"url": url, **hub},
        )
    )


async def eventually(holds: Callable[[], Awaitable[bool]], limit_s: float = 15.0) -> float:
    started = time.monotonic()
    while time.monotonic() < started + limit_s:
        if await holds():
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = new_hub(tmp_path)
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def relay(hub: Hub) -> AsyncIterator[Relay]:
    async with Relay(("127.0.0.1", hub.leaf_port)) as relay:
        yield relay


@pytest.fixture
async def leaf(tmp_path: Path, relay: Relay) -> AsyncIterator[Leaf]:
    leaf = new_leaf(tmp_path, f"nats-leaf://127.0.0.1:{relay.port}")
    await leaf.start()
    await eventually(leaf.link_up)
    yield leaf
    await leaf.stop()


@pytest.fixture
async def up(leaf: Leaf) -> AsyncIterator[Client]:
    async with connected(leaf.uplink_url, leaf.inbox_prefix) as client:
        yield client


@pytest.fixture
async def at_hub(hub: Hub) -> AsyncIterator[Client]:
    async with connected(hub.url) as client:
        yield client


@asynccontextmanager
async def connected(url: str, inbox_prefix: str = "_INBOX") -> AsyncIterator[Client]:
    client = await nats.connect(url, inbox_prefix=inbox_prefix, connect_timeout=3)
    try:
        yield client
    finally:
        await client.close()


async def fill_queue(up: Client, count: int = 5) -> JetStreamContext:
    stream = up.jetstream()
    await stream.add_stream(
        StreamConfig(name="OUTQ", subjects=["outq.>"], retention=RetentionPolicy.WORK_QUEUE)
    )
    for number in range(count):
        await stream.publish("outq.live", str(number).encode())
    return stream


async def publish_batch(
    up: Client, payloads: list[bytes], ids: list[str], subject: str = SUBJECT
) -> dict[str, Any]:
    """Publish an atomic batch as a forwarder does; return the answer to its commit."""
    batch = uuid.uuid4().hex
    for number, (payload, packet_id) in enumerate(zip(payloads, ids, strict=True), 1):
        headers = {
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(number),
            "Nats-Msg-Id": packet_id,
            "Nats-Expected-Stream": "OUTCOMES",
        }
        if number == len(payloads):
            headers["Nats-Batch-Commit"] = "1"
            answer = await up.request(subject, payload, timeout=5, headers=headers)
        elif number == 1:
            flow = await up.request(subject, payload, timeout=5, headers=headers)
            assert flow.data == b""
        else:
            await up.publish(subject, payload, headers=headers)
    result: dict[str, Any] = json.loads(answer.data)
    return result


async def test_a_batch_is_acknowledged_and_stored_in_order_when_it_crosses_the_link(
    hub: Hub, up: Client, at_hub: Client
) -> None:
    payloads = [f"outcome {n}".encode() for n in range(200)]
    ack = await publish_batch(up, payloads, [f"id-{n}" for n in range(200)])
    assert ack["stream"] == "OUTCOMES"
    assert ack["domain"] == "hub"
    assert (ack["seq"], ack["count"]) == (200, 200)
    manager = at_hub.jsm()
    stored = [await manager.get_msg("OUTCOMES", seq) for seq in range(1, 201)]
    assert [message.data for message in stored] == payloads
    assert await hub.count() == 200


async def test_nothing_of_a_batch_is_stored_when_an_outcome_in_it_was_there_already(
    hub: Hub, up: Client
) -> None:
    await publish_batch(up, [b"a", b"b"], ["1", "2"])
    refused = await publish_batch(up, [b"c", b"b"], ["3", "2"])
    assert refused["error"]["err_code"] == 10201
    assert await hub.count() == 2
    again = await up.jetstream().publish(SUBJECT, b"b", headers={"Nats-Msg-Id": "2"})
    assert again.duplicate
    assert (await up.jetstream().publish(SUBJECT, b"c", headers={"Nats-Msg-Id": "3"})).seq == 3


async def test_nothing_raw_is_seen_at_the_hub_when_devices_publish(
    leaf: Leaf, hub: Hub, at_hub: Client, up: Client
) -> None:
    seen: list[Msg] = []

    async def note(message: Msg) -> None:
        seen.append(message)

    for subject in (">", "$MQTT.>", "$JS.>", "tele.>"):
        await at_hub.subscribe(subject, cb=note)
    await at_hub.flush()
    await fill_queue(up)
    await asyncio.sleep(QUIET_S)  # until the leaf knows of the spy
    assert leaf.mqtt_address
    await asyncio.to_thread(publish_mqtt, leaf.mqtt_address.port, MARK)
    await streams.probe(leaf.uplink_url)
    await publish_batch(up, [b"outcome"], ["1"])
    await asyncio.sleep(QUIET_S)
    assert not [m.subject for m in seen if MARK in m.data or m.subject.startswith("tele")]
    crossed = {m.subject for m in seen if not m.subject.startswith(("$JS.EVENT.", "_INBOX."))}
    assert crossed == {SUBJECT}  # so the spy does see what may pass


def publish_mqtt(port: int, payload: bytes, topic: str = "tele/plug-1/SENSOR") -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "plug-1")
    client.connect("127.0.0.1", port)
    client.loop_start()
    for qos in (0, 1, 2):
        client.publish(topic, payload, qos, retain=qos == 1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("prefix", ["$JS.gw-01.API", "$JS.API"])
@pytest.mark.parametrize(
    "request_",
    ["INFO", "STREAM.NAMES", "STREAM.INFO.OUTQ", "STREAM.PURGE.OUTQ", "STREAM.MSG.GET.OUTQ"],
)
async def test_the_hub_cannot_ask_the_edges_jetstream_when_it_tries(
    up: Client, at_hub: Client, prefix: str, request_: str
) -> None:
    stream = await fill_queue(up)
    own = request_ in {"INFO", "STREAM.NAMES"} and prefix == "$JS.API"
    try:
        answer = await at_hub.request(f"{prefix}.{request_}", b'{"seq":1}', timeout=0.5)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        assert not own
    else:  # the hub's own JetStream answers, which has no such stream
        told = json.loads(answer.data)
        assert prefix == "$JS.API"
        assert b"OUTQ" not in answer.data
        assert own or "error" in told
    assert (await stream.stream_info("OUTQ")).state.messages == 5


async def test_the_hub_cannot_add_to_the_queue_or_acknowledge_from_it_when_it_tries(
    up: Client, at_hub: Client
) -> None:
    stream = await fill_queue(up)
    await stream.add_consumer(
        "OUTQ", ConsumerConfig(durable_name="fwd", ack_policy=AckPolicy.EXPLICIT)
    )
    pulled = await stream.pull_subscribe_bind("fwd", "OUTQ")
    messages = await pulled.fetch(5)
    for message in messages:
        await at_hub.publish(message.reply, b"+ACK")
    await at_hub.publish("outq.live", b"forged")
    await at_hub.publish("_weir.probe", b"forged")
    await at_hub.flush()
    await asyncio.sleep(QUIET_S)
    assert (await stream.stream_info("OUTQ")).state.messages == 5
    await messages[0].ack_sync()  # while the edge's own ack counts
    assert (await stream.stream_info("OUTQ")).state.messages == 4


async def test_a_peers_outcome_arrives_at_the_edge_when_it_is_subscribed(
    up: Client, at_hub: Client
) -> None:
    peers = await up.subscribe("outcomes.*.machine.pump.anomaly.f00")
    await up.flush()
    await asyncio.sleep(QUIET_S)
    await at_hub.publish("outcomes.gw-02.machine.pump.anomaly.f00", b"peer")
    assert (await peers.next_msg(5)).data == b"peer"


async def test_devices_do_not_see_what_the_hub_publishes_when_they_subscribe_all(
    leaf: Leaf, at_hub: Client
) -> None:
    seen: list[str] = []

    async def note(message: Msg) -> None:
        seen.append(message.subject)

    async with streams.connection(leaf.local_url) as local:
        await local.subscribe(">", cb=note)
        await local.flush()
        await at_hub.publish("outcomes.gw-02.x", b"")
        await at_hub.flush()
        await asyncio.sleep(QUIET_S)
    assert not [subject for subject in seen if subject.startswith("outcomes")]


async def test_the_link_is_down_and_up_again_when_it_is_cut_and_restored(
    leaf: Leaf, hub: Hub, relay: Relay, up: Client
) -> None:
    await relay.cut()

    async def down() -> bool:
        return not await leaf.link_up()

    await eventually(down)
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await up.request(SUBJECT, b"x", timeout=0.5)
    assert await hub.count() == 0  # the hub itself is up
    await relay.restore()
    took_s = await eventually(leaf.link_up)
    assert took_s < 6
    await eventually(lambda: _publishes(up))
    assert await hub.count() == 1


async def _publishes(up: Client) -> bool:
    try:
        await up.jetstream().publish(SUBJECT, b"x", headers={"Nats-Msg-Id": "x"}, timeout=0.5)
    except (nats.errors.Error, TimeoutError):
        return False
    return True


async def test_outcomes_ports_and_link_are_back_when_the_hub_stops_and_starts(
    hub: Hub, leaf: Leaf, up: Client
) -> None:
    await publish_batch(up, [b"a"], ["1"])
    before = (hub.url, hub.leaf_url, hub.mqtt_address)
    await hub.stop()
    with pytest.raises(LeafError):
        await hub.count()
    await hub.start()
    assert (hub.url, hub.leaf_url, hub.mqtt_address) == before
    assert await hub.count() == 1
    await eventually(leaf.link_up)
    await eventually(lambda: _publishes(up))


async def test_an_mqtt_client_at_the_hub_sees_outcomes_when_a_batch_commits(
    hub: Hub, up: Client
) -> None:
    got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    subscribed = asyncio.Event()
    loop = asyncio.get_running_loop()
    client = paho.Client(CallbackAPIVersion.VERSION2, "panel")

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        loop.call_soon_threadsafe(got.put_nowait, (message.topic, bytes(message.payload)))

    def on_subscribe(*_: object) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    client.on_message, client.on_subscribe = on_message, on_subscribe
    client.connect(*hub.mqtt_address)
    client.loop_start()
    client.subscribe("outcomes/#", 1)
    await asyncio.wait_for(subscribed.wait(), 5)
    await asyncio.sleep(QUIET_S)
    await publish_batch(up, [b"a", b"b"], ["1", "2"])
    topic = SUBJECT.replace(".", "/")
    received = [await asyncio.wait_for(got.get(), 5) for _ in range(2)]
    client.disconnect()
    client.loop_stop()
    assert received == [(topic, b"a"), (topic, b"b")]


async def test_the_stream_is_as_a_forwarder_needs_it_when_the_hub_has_started(
    hub: Hub, at_hub: Client
) -> None:
    config = (await at_hub.jsm().stream_info("OUTCOMES")).config
    assert config.allow_atomic
    assert config.allow_direct
    assert config.duplicate_window >= 120
    assert config.max_bytes == 1_000_000_000


async def test_connection_lines_connect_a_gateway_when_put_into_its_file(
    hub: Hub, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("\n".join(hub.connection_lines()))
    settings = load_settings(
        file, gateway={"name": "gw-09", "state_dir": str(tmp_path / "gw9")}, mqtt={"port": 0}
    )
    assert tomllib.loads(file.read_text())["hub"]["url"] == hub.leaf_url
    leaf = Leaf(settings)
    await leaf.start()
    await eventually(leaf.link_up)
    assert await hub.links() == 1
    await leaf.stop()


async def test_nobody_comes_in_without_a_password_when_the_hub_is_open_to_the_network(
    tmp_path: Path,
) -> None:
    hub = new_hub(tmp_path, host="0.0.0.0")
    await hub.start()
    try:
        with pytest.raises(LeafError, match="Authorization"):
            async with streams.connection(f"nats://127.0.0.1:{hub._chosen.client}"):
                pass
        anonymous = new_leaf(tmp_path, f"nats-leaf://127.0.0.1:{hub.leaf_port}")
        await anonymous.start()
        await asyncio.sleep(QUIET_S)
        assert not await anonymous.link_up()
        await anonymous.stop()
        known = new_leaf(tmp_path, hub.leaf_url)
        await known.start()
        await eventually(known.link_up)
        await known.stop()
    finally:
        await hub.stop()


@asynccontextmanager
async def real_hub(tmp_path: Path, passwords: dict[str, str]) -> AsyncIterator[dict[str, int]]:
    """Run what `render_hub_config` writes, with its ports moved to free ones."""
    directory = tmp_path / "real"
    directory.mkdir()
    certificate(directory)
    names = ("client", "monitor", "leaf", "websocket", "mqtt")
    ports = choose_ports(directory / "ports.json", {n: Wanted("127.0.0.1") for n in names})
    config = render_hub_config(
        {"gw-01": passwords["gw-01"], "gw-02": passwords["gw-02"]},
        passwords,
        cert_file=str(directory / "hub.crt"),
        key_file=str(directory / "hub.key"),
        ca_file=str(directory / "hub.crt"),
        store_dir=str(directory),
        max_bytes=50_000_000,
    )
    fixed = ("0.0.0.0:4222", "127.0.0.1:8222", "0.0.0.0:7422", "0.0.0.0:8443", "0.0.0.0:8883")
    for address, name in zip(fixed, names, strict=True):
        assert config.count(f'"{address}"') == 1
        config = config.replace(address, f"127.0.0.1:{ports[name]}")
    server = NatsServer(directory, ports["monitor"])
    await server.start(config)
    try:
        yield ports
    finally:
        await server.stop()


def certificate(directory: Path) -> None:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed: no certificate for a TLS hub")
    wanted = f"""req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
        -keyout {directory}/hub.key -out {directory}/hub.crt"""
    subprocess.run([openssl, *wanted.split()], check=True, capture_output=True)


@pytest.mark.parametrize("scheme", ["tls", "wss", "nats-leaf"])
async def test_a_gateway_speaks_as_itself_only_when_the_hub_runs_the_written_configuration(
    tmp_path: Path, scheme: str
) -> None:
    passwords = {name: f"pw-{name}" for name in ("admin", "reader", "sys", "gw-01", "gw-02")}
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(real_hub(tmp_path, passwords))
        ca_file = tmp_path / "real" / "hub.crt"
        context = ssl.create_default_context(cafile=str(ca_file))
        admin = await nats.connect(f"tls://admin:pw-admin@localhost:{ports['client']}", tls=context)
        stack.push_async_callback(admin.close)
        made = await admin.request(
            "$JS.API.STREAM.CREATE.OUTCOMES", stream_json(10_000_000).encode()
        )
        assert "error" not in json.loads(made.data)
        port = ports["websocket" if scheme == "wss" else "leaf"]
        url = f"{scheme}://gw-01:pw-gw-01@localhost:{port}"
        leaf = new_leaf(tmp_path, url, ca_file=str(ca_file))
        await leaf.start()
        stack.push_async_callback(leaf.stop)
        await eventually(leaf.link_up)
        up = await stack.enter_async_context(connected(leaf.uplink_url, leaf.inbox_prefix))
        ack = await publish_batch(up, [b"a", b"b"], ["1", "2"])
        assert ack["count"] == 2
        peers = await up.subscribe("outcomes.gw-02.>")
        spying = await up.subscribe("_INBOX.gw-02.>")
        await up.flush()
        await up.publish("outcomes.gw-02.machine.pump.anomaly.f00", b"forged")
        await up.flush()
        await asyncio.sleep(QUIET_S)
        assert (await peers.next_msg(1)).data == b"forged"  # on the edge itself
        await admin.publish("_INBOX.gw-02.1", b"for another")
        await admin.publish("outcomes.gw-02.x", b"peer")
        assert (await peers.next_msg(5)).data == b"peer"
        with pytest.raises(nats.errors.TimeoutError):
            await spying.next_msg(QUIET_S)
        info = await admin.jetstream().stream_info("OUTCOMES")
        assert info.state.messages == 3  # a, b and the peer's; not the forged one

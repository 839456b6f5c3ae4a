"""Ten ways into the device broker, each tried, while a good device is measured. `pytest -s` prints.

The broker is a real Mosquitto with the shipped configuration. In the attacks that take time a good
device publishes all along at QoS 1, and a new one connects; how long they wait is part of the row.
"""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.access import packets
from gateway.access.authority import Authority
from gateway.cli.text import value
from tests.access_broker import HOSTS, Box, Client, box, wait

HALF_OPEN = 500
WRONG_PASSWORDS = 1000
MAX_PACKET = 1_114_112
LIMIT_MS = 250.0
"""For the good device, on a machine that runs other tests as well: 2 to 30 ms were measured."""

_REFUSED = "Not authorized"


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, str]]]:
    rows: list[tuple[str, str]] = []
    yield rows
    width = max((len(way) for way, _ in rows), default=0)
    print("\n" + "\n".join(f"{way:{width}}  {got}" for way, got in rows))  # noqa: T201 - the table


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, mosquitto: str) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("ways")
    folder.chmod(0o755)
    with box(folder / "mqtt", mosquitto) as started:
        for name in ("victim", "thief", "good"):
            started.add(name)
        yield started


@pytest.fixture
def victim(running: Box) -> Iterator[Client]:
    client = device(running, "victim")
    yield client
    client.close()


@pytest.fixture
def gateway(running: Box) -> Iterator[Client]:
    client = Client(running, "weir-gateway", running.gateway_password)
    client.hear("#")
    yield client
    client.close()


def device(running: Box, name: str, client_id: str = "") -> Client:
    return Client(running, name, running.passwords[name], client_id)


Rows = list[tuple[str, str]]


def test_connection_is_refused_when_there_is_no_password(running: Box, table: Rows) -> None:
    nobody, unknown = Client(running, "", "", "any"), Client(running, "guest", "guest")
    empty = Client(running, "victim", "")
    assert [c.code for c in (nobody, unknown, empty)] == [_REFUSED] * 3
    table.append(
        ("no password", f"refused: {nobody.code} (unknown user, empty password: the same)")
    )
    for each in (nobody, unknown, empty):
        each.close()


def test_message_reaches_nobody_when_its_topic_is_anothers(
    running: Box, table: Rows, victim: Client, gateway: Client
) -> None:
    thief = device(running, "thief")
    victim.hear("tele/victim/#")
    for topic in ("tele/victim/SENSOR", "outcomes/box/a", "cmnd/victim/POWER", "tele/victim"):
        assert thief.say(topic, b"stolen")
    thief.say("tele/thief/SENSOR", b"own")
    assert wait(lambda: ("tele/thief/SENSOR", b"own") in gateway.got)
    assert b"stolen" not in [payload for _, payload in (*gateway.got, *victim.got)]
    table.append(("another device's topic", "acknowledged and dropped: it reached nobody"))
    thief.close()


def test_will_and_retained_message_reach_nobody_when_they_are_anothers(
    running: Box, gateway: Client
) -> None:
    password = running.passwords["thief"]
    text = b"tele/victim/LWT"
    will = len(text).to_bytes(2, "big") + text + b"\0\7Offline"
    body = b"\0\4MQTT\4\xe6\0\x05\0\1x" + will
    for each in ("thief", password):
        body += len(each).to_bytes(2, "big") + each.encode()
    with socket.create_connection(("127.0.0.1", running.plain), 3) as raw:
        raw.sendall(packets.packet(packets.CONNECT, body))
        raw.recv(4)
    time.sleep(0.3)
    assert "tele/victim/LWT" not in [topic for topic, _ in gateway.got]


@pytest.mark.parametrize("root", ["$SYS", "$JS"])
def test_nothing_is_heard_or_said_when_a_topic_is_a_servers_own(
    running: Box, table: Rows, gateway: Client, root: str
) -> None:
    thief = device(running, "thief")
    for topic_filter in (f"{root}/#", f"{root}/broker/clients/connected", f"{root}/API/>"):
        thief.hear(topic_filter)
    gateway.hear(f"{root}/#")
    thief.say(f"{root}/API/STREAM/LIST", b"stolen")
    thief.say("tele/thief/x", b"after")
    assert wait(lambda: ("tele/thief/x", b"after") in gateway.got)
    assert not thief.got
    assert b"stolen" not in [payload for _, payload in gateway.got]
    table.append((root, "subscribed to, nothing heard; what it published reached nobody"))
    thief.close()


def test_only_own_messages_are_heard_when_all_are_subscribed_to(
    running: Box, table: Rows, victim: Client, gateway: Client
) -> None:
    thief = device(running, "thief")
    for topic_filter in ("#", "+/#", "tele/+/SENSOR", "$share/g/#"):
        thief.hear(topic_filter)
    victim.say("tele/victim/SENSOR", b"secret")
    gateway.say("outcomes/box/a", b"secret")
    thief.say("tele/thief/SENSOR", b"own")
    assert wait(lambda: thief.got)
    time.sleep(0.2)
    assert {topic for topic, _ in thief.got} == {"tele/thief/SENSOR"}
    table.append(("wildcard subscribe #", "granted, and hears its own topics alone"))
    thief.close()


def test_session_stays_its_owners_when_another_says_its_client_id(
    running: Box, table: Rows, victim: Client
) -> None:
    thief = device(running, "thief", client_id="victim")
    assert thief.code == "Success"
    time.sleep(0.3)
    assert victim.ended == 0
    assert victim.say("tele/victim/SENSOR")
    table.append(
        ("a client id already in use", "its own session: the owner stays (user = client id)")
    )
    thief.close()


def test_device_goes_away_when_the_server_has_another_authority(
    running: Box, table: Rows, tmp_path: Path
) -> None:
    Authority(tmp_path).prepare("elsewhere", HOSTS)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", running.ports[8883]), 3) as plain,
        pytest.raises(ssl.SSLCertVerificationError) as caught,
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    own = ssl.create_default_context(cafile=str(running.folder / "ca.pem"))
    own.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with socket.create_connection(("127.0.0.1", running.ports[8883]), 3) as plain:  # noqa: SIM117
        with own.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(packets.connect("x", "", ""))
            assert secure.recv(4)[3:] == b"\5"  # a client's certificate gives no right
    key = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{running.ports[8884]}", "-psk", "00" * 16,
         "-psk_identity", "victim"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert key.returncode
    table.append(
        ("wrong certificate", f"device: {caught.value.verify_message}; a client's certificate, "
         "a wrong key: refused")
    )  # fmt: skip


def test_connection_ends_unread_when_a_packet_is_too_large(
    running: Box, table: Rows, victim: Client, gateway: Client
) -> None:
    thief = device(running, "thief")
    assert thief.say("tele/thief/picture", bytes(MAX_PACKET - 100))
    thief.client.publish("tele/thief/big", bytes(MAX_PACKET + 1), 1)
    assert wait(lambda: thief.ended)
    with socket.create_connection(("127.0.0.1", running.plain), 3) as raw:
        raw.sendall(b"\x10\xff\xff\xff\x7f" + bytes(1000))  # a CONNECT of 256 MB, it says
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(4) == b""
    assert victim.ended == 0
    assert "tele/thief/big" not in [topic for topic, _ in gateway.got]
    table.append(("oversized packet", f"connection ended at once above {MAX_PACKET:,} bytes"))
    thief.close()


def _guess(running: Box, number: int) -> bytes:
    with socket.create_connection(("127.0.0.1", running.plain), 5) as raw:
        raw.sendall(packets.connect("x", "good", f"password-{number}"))
        return raw.recv(4)


class Probe:
    """A good device that publishes all along, and how long each acknowledgement took (ms)."""

    def __init__(self, running: Box) -> None:
        self.waits_ms: list[float] = []
        self.connects_ms: list[float] = []
        self.ended = 0
        self._running = running
        self._client = device(running, "good")
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t) for t in (self._publish, self._connect)]

    def _publish(self) -> None:
        while not self._stop.wait(0.002):
            began = time.perf_counter()
            if self._client.say("tele/good/SENSOR", b"21.5"):
                self.waits_ms.append((time.perf_counter() - began) * 1e3)

    def _connect(self) -> None:
        password = self._running.passwords["victim"]
        while not self._stop.wait(0.005):
            began = time.perf_counter()
            with socket.create_connection(("127.0.0.1", self._running.plain), 5) as raw:
                raw.settimeout(5)
                raw.sendall(packets.connect("v", "victim", password))
                assert raw.recv(4) == packets.connack(4)
            self.connects_ms.append((time.perf_counter() - began) * 1e3)

    @contextmanager
    def measure(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(10)
            self.ended = self._client.ended
            self._client.close()

    def said(self) -> str:
        parts = []
        for name, waits in (("QoS 1 publish", self.waits_ms), ("new connect", self.connects_ms)):
            ranked = sorted(waits)
            p50, p95 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.95)]
            parts.append(f"{name} p50 {p50:.1f}, p95 {p95:.1f}, max {ranked[-1]:.0f} ms")
        return "; ".join(parts)

    def holds(self) -> None:
        assert self.ended == 0
        for waits in (self.waits_ms, self.connects_ms):
            assert len(waits) >= 5
            assert sorted(waits)[int(len(waits) * 0.95)] < LIMIT_MS


def test_others_are_served_when_hundreds_connect_and_say_nothing(running: Box, table: Rows) -> None:
    probe = Probe(running)
    with ExitStack() as stack, probe.measure():
        for i in range(HALF_OPEN):
            port = running.ports[8883] if i % 5 == 0 else running.plain
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), 3))
            if i % 2:
                raw.sendall(b"\x10")  # the first byte of a CONNECT, and no more
        time.sleep(2)
    probe.holds()
    table.append((f"slow connect flood ({HALF_OPEN})", f"others are served: {probe.said()}"))


def test_nobody_is_let_in_and_others_are_served_when_1000_passwords_are_tried(
    running: Box, table: Rows
) -> None:
    probe = Probe(running)
    began = time.monotonic()
    with probe.measure():
        with ThreadPoolExecutor(4) as guessers:
            codes = set(guessers.map(lambda i: _guess(running, i), range(WRONG_PASSWORDS)))
        rate = WRONG_PASSWORDS / (time.monotonic() - began)
    assert codes == {packets.connack(4, 5)}
    probe.holds()
    table.append(
        (f"{WRONG_PASSWORDS:,} wrong passwords",
         f"all refused, {value(rate, '/s')}; meanwhile {probe.said()}")
    )  # fmt: skip
    log = (running.folder / "log").read_text()
    assert "password-" not in log
    for password in running.passwords.values():
        assert password not in log

"""Ten thousand messages that mean harm: each is accounted for, and good devices do not notice."""

import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.kill import config
from benchmarks.load import connect_packet
from benchmarks.stand import Stand, stand
from benchmarks.stand import mosquitto as run_mosquitto
from tests.conftest import Weir

MESSAGES = 10_000
BIG = 36  # of 1 MB
GROWTH_MB = 200.0
"""What the gateway may grow by over the last four fifths: 50 to 103 MB were measured, and no more
over ten such rounds. A part is DuckDB's cache (bounded), most is what the allocator keeps of the
1 MB payloads."""
CLAIMED = [
    "sensors/h{n}", "devices/h{n}/telemetry", "v1/devices/h{n}/telemetry", "generic/h{n}",
    "tele/h{n}/SENSOR", "tele/h{n}/STATE", "stat/h{n}/STATUS8", "tele/h{n}/LWT", "zigbee2mqtt/h{n}",
    "zigbee2mqtt/bridge/event", "zigbee2mqtt/h{n}/availability", "vib/h{n}/acc", "vib/h{n}/acc/x",
    "h{n}/sensor/temp/state", "h{n}/binary_sensor/door/state", "h{n}/light/lamp/state",
    "h{n}/status", "h{n}/events/rpc", "h{n}/status/switch:0", "h{n}/status/sys", "h{n}/online",
]  # fmt: skip
UNCLAIMED = ["nobody/h{n}/wants/this", "a", "x/y", "home/h{n}", "v3/app@ttn/devices/h{n}/up"]
ODD = [
    "/", "//", "///", "sensors/", "sensors//",
    "/sensors/x", "sensors/ ", " ", "  /  ", "sensors/a b",
    "sensors/.", "sensors/..", "sensors/../../etc", "sensors/a.b.c", "sensors/>", "sensors/*", "*",
    ">", "a.>", "sensors/x.*.>", "$SYS/broker", "$JS/API/STREAM/LIST", "$share/g/sensors/x", "$",
    "sensors/$SYS", "sensors/%00",
    "sensors/\\", "sensors/'\"; DROP TABLE reading;--", "sensors/{d}",
    "sensors/${t.d}", "sensors/[red]x[/red]",
    "sensors/\u00e4\u00f6\u00fc", "sensors/\U0001f600", "sensors/\u202e\u2066",
    "sensors/\ufeff", "sensors/e\u0301", "sensors/\u0661",
    "sensors/\x01\x1b[2J", "sensors/\r\n", "sensors/\t",
    "sensors/\x7f", "sensors/\ufffe", "sensors/" + "x" * 5000, "x/" * 2000 + "x", "y" * 60_000,
    "tele//SENSOR", "tele/ /SENSOR", "zigbee2mqtt/", "zigbee2mqtt//a//", "vib//acc", "outcomes/",
    "outcomes", "outcomes/other/a/b/c/d",
    "sensors/x?y~z", "sensors/:", "sensors/;",
]  # fmt: skip
WRONG_BYTES = [
    b"sensors/\xff\xfe",
    b"sensors/\xc0\x80",
    b"sensors/\xed\xa0\x80",
    b"sensors/\x00x",
    b"",
]


def payloads(rng: random.Random) -> Iterator[bytes]:
    """Yield what breaks naive decoders, without an end."""
    good = (
        b'{"ts":1790000000000,"values":{"temperature":21.5,"list":[1,2,{"a":null}]},"s":"\xc3\xa4"}'
    )
    makers: list[Callable[[], bytes]] = [
        lambda: rng.randbytes(rng.randrange(400)),
        lambda: good[: rng.randrange(len(good))],
        lambda: b"[" * rng.randrange(2, 20_000),
        lambda: b'{"a":' * 5000 + b"1" + b"}" * 5000,
        lambda: b"[" * 900 + b"1" + b"]" * 900,
        lambda: b'{"a":"' + rng.randbytes(20) + b'"}',
        lambda: b'{"a":NaN,"b":Infinity,"c":-Infinity}',
        lambda: b'{"a":1e999,"b":-1e-999,"c":%d}' % 10**400,
        lambda: b'{"ts":%d,"a":1}' % rng.choice([0, -1, 2**63, 10**30, 253402300800000000]),
        lambda: b'{"ts":"never","time":{"a":1},"timestamp":[1]}',
        lambda: b'{"a":1,"a":"2","a":[3]}',
        lambda: json.dumps({f"k{n}": n for n in range(rng.choice([10, 6000]))}).encode(),
        lambda: json.dumps([{"ts": n, "v": n} for n in range(rng.choice([3, 5000]))]).encode(),
        lambda: b'"' + b"x" * 20_000 + b'"',
        lambda: rng.choice([b"", b"null", b"true", b"nan", b"-", b"0x1F", b"1e5", b"\0", b"[]"]),
        lambda: b"\xef\xbb\xbf{}",
        lambda: '{"a":1}'.encode("utf-16"),
        lambda: struct.pack("<IIHBB", 1, 2, 3, rng.randrange(256), 5) + rng.randbytes(60),
        lambda: b'{"\\ud800":1,"\\u0000":2,"":3}',
        lambda: b'{"method":"NotifyStatus","params":{"ts":"x","switch:0":[[]]}}',
        lambda: b'{"StatusSNS":{"Time":"2026-13-45T99:99:99","ENERGY":{"Power":["a",{}]}}}',
    ]  # fmt: skip
    while True:
        yield rng.choice(makers)()


def big(rng: random.Random) -> Iterator[bytes]:
    """Yield payloads of about 1 MB."""
    size = 1_000_000
    while True:
        yield rng.randbytes(size)
        yield b"[" + b"1," * (size // 2 - 2) + b"1]"
        yield b'{"a":"' + b"x" * (size - 10) + b'"}'
        yield b"[" * size
        yield b'{"a":' + b"9" * (size - 10) + b"}"


def attack(rng: random.Random) -> list[tuple[bytes, bytes]]:
    """Return the messages (topic, payload), in random order."""
    bad, large = payloads(rng), big(rng)
    found: list[tuple[bytes, bytes]] = []
    for _ in range(BIG):
        found.append((_topic(rng, CLAIMED), next(large)))
    for topic in (*(t.encode("utf-8", "surrogatepass") for t in ODD), *WRONG_BYTES):
        found += [(topic, next(bad)), (topic, b'{"a":1}')]
    while len(found) < MESSAGES:
        found.append((_topic(rng, CLAIMED if rng.random() < 0.8 else UNCLAIMED), next(bad)))
    rng.shuffle(found)
    return found


def _topic(rng: random.Random, patterns: list[str]) -> bytes:
    return rng.choice(patterns).format(n=rng.randrange(20)).encode()


class Attacker:
    """Publishes at QoS 1 by plain sockets; a connection that the broker ends is made anew."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connections = 0
        self.refused: Counter[bytes] = Counter()
        self._connect()

    def _connect(self) -> None:
        self._connections += 1
        self._socket = socket.create_connection(self._address, 10)
        self._socket.sendall(connect_packet(f"attacker-{self._connections}"))
        assert self._socket.recv(4) == b"\x20\x02\x00\x00"

    def publish(self, topic: bytes, payload: bytes) -> bool:
        """Return whether the broker acknowledged the message."""
        body = struct.pack("!H", len(topic)) + topic + b"\x00\x01" + payload
        try:
            self._socket.sendall(b"\x32" + _length(len(body)) + body)
            if self._socket.recv(4, socket.MSG_WAITALL) == b"\x40\x02\x00\x01":
                return True
        except (ConnectionError, TimeoutError):
            pass  # told apart from an acknowledgement by what follows
        self.refused[topic[:40]] += 1
        self.close()
        self._connect()
        return False

    def close(self) -> None:
        self._socket.close()


def _length(count: int) -> bytes:
    out = bytearray()
    while True:
        count, low = divmod(count, 128)
        out.append(low | (0x80 if count else 0))
        if not count:
            return bytes(out)


class Witness:
    """Counts what the broker gives to a subscriber of everything, as the gateway is one."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.messages = 0
        self._client = Client(CallbackAPIVersion.VERSION2, "witness")
        self._client.on_message = self._note
        self._client.connect(*address)
        self._client.subscribe("#")
        self._client.loop_start()

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):
            if message.topic.startswith("outcomes/bench/"):
                return  # the gateway's own copies, which it does not take in
        self.messages += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def _started(folder: Path, broker: str) -> Iterator[Stand]:
    with stand(folder) as made:
        made.start_hub()
        made.write_config(config(broker))
        made.start_gateway()
        yield made


@pytest.fixture(params=["embedded", "mosquitto"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    if request.param == "embedded":
        with _started(tmp_path, "embedded") as made:
            yield made
        return
    program = request.getfixturevalue("mosquitto")
    with run_mosquitto(tmp_path, program) as broker, _started(tmp_path, broker) as made:
        yield made


def good_device_is_served(here: Stand, attacker: Attacker, number: int) -> None:
    """Let a good device speak and see its reading stored and its window told, at once."""
    now_ns = time.time_ns()
    payload = f'{{"ts":{now_ns},"seq":{number},"current":{number}}}'.encode()
    assert attacker.publish(b"sensors/good", payload)
    stored = f"FROM readings WHERE device='good' AND metric='seq' AND value={number}"
    told = f"FROM outcome WHERE source='good' AND epoch_us(window_end)={now_ns // 1000}"
    until = time.monotonic() + 5
    for query in (stored, told):
        while here.ask("/sql", f"SELECT count(*) {query}")["rows"] != [[1]]:
            assert time.monotonic() < until, query
            time.sleep(0.05)


def rss_mb(here: Stand) -> float:
    return float(psutil.Process(here.processes["gateway"].pid).memory_info().rss / 1e6)


def counted(messages: dict[str, Any]) -> int:
    dead = sum(messages["dead_letters"].values())
    ended = ("stored", "duplicates", "shed", "too_old")
    return int(sum(messages[end] for end in ended) + dead)


def test_each_message_is_accounted_for_when_ten_thousand_mean_harm(here: Stand, weir: Weir) -> None:
    rng = random.Random(20)  # noqa: S311 - a test's own dice
    address = here.broker()
    messages = attack(rng)
    pid = here.processes["gateway"].pid
    with closing(Witness(address)) as witness, closing(Attacker(address)) as attacker:
        attacker.publish(b"sensors/good", f'{{"ts":{time.time_ns()},"seq":0,"current":0}}'.encode())
        time.sleep(1.1)  # its first window ends within a second
        good_device_is_served(here, attacker, 1)
        warm = len(messages) // 5
        accepted = sum(attacker.publish(*message) for message in messages[:warm])
        here.settle()
        good_device_is_served(here, attacker, 2)
        before_mb = rss_mb(here)
        accepted += sum(attacker.publish(*message) for message in messages[warm:])
        here.settle()
        good_device_is_served(here, attacker, 3)
        status = here.settle()
        grown_mb = rss_mb(here) - before_mb

    counts = status["messages"]
    assert here.processes["gateway"].pid == pid
    assert here.processes["gateway"].poll() is None
    assert accepted + sum(attacker.refused.values()) == len(messages)
    assert counts["in_hand"] == 0
    assert counts["received"] == counted(counts) == witness.messages
    assert counts["received"] > 0.98 * MESSAGES
    assert sum(counts["dead_letters"].values()) > MESSAGES / 2
    assert grown_mb < GROWTH_MB
    told = json.loads(
        weir("deadletters", "--limit", "1000", "--state-dir", str(here.state_dir), "--json").stdout
    )
    assert {letter["reason"] for letter in told} == set(counts["dead_letters"])
    assert all(letter["reason"] and letter["detail"] and letter["topic"] for letter in told)
    assert weir("deadletters", "--state-dir", str(here.state_dir)).returncode == 0
    assert weir("devices", "--state-dir", str(here.state_dir)).returncode == 0
    unknown = json.loads(
        weir("devices", "--unknown", "--state-dir", str(here.state_dir), "--json").stdout
    )
    assert sum(each["messages"] for each in unknown) == counts["dead_letters"]["unclaimed"]

"""Raw data does not leave: marks in what devices say, and all that can be seen at the hub."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.kill import config, start_load
from benchmarks.stand import Stand, stand

MARK = b"xMARKx7739"
NUMBER = b"8642097531"  # as digits: no outcome has more than six of them
WAVE = bytes(range(200, 232)) * 8
MARKS = (MARK, NUMBER, WAVE[:24])


class Tap:
    """Passes bytes on between the gateway and the hub's leaf port, and keeps them all."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.seen = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self.seen += data
                sink.sendall(data)
        except OSError:
            pass  # the other direction ended
        finally:
            for end in (source, sink):
                end.close()

    def close(self) -> None:
        self._server.close()


class Spies:
    """Everything that is published at the hub: both accounts over NATS, and over MQTT."""

    def __init__(self, here: Stand) -> None:
        self.seen: dict[str, list[bytes]] = {"fleet": [], "sys": [], "mqtt": []}
        self._here = here
        self._clients: list[NatsClient] = []
        self._mqtt = Client(CallbackAPIVersion.VERSION2, "spy")

    async def __aenter__(self) -> "Spies":
        url = urlsplit(self._here.hub_url)
        passwords = json.loads((self._here.folder / "hub/passwords.json").read_text())
        for account in ("fleet", "sys"):
            client = await nats.connect(
                f"nats://{account}:{passwords[account]}@{url.hostname}:{url.port}"
            )

            async def note(message: Msg, account: str = account) -> None:
                headers = repr(message.headers or "").encode()
                said = (message.subject.encode(), message.reply.encode(), headers, message.data)
                self.seen[account].append(b"\0".join(said))

            await client.subscribe(">", cb=note)
            self._clients.append(client)
        self._mqtt.on_message = self._note_mqtt
        ports = json.loads((self._here.folder / "hub/ports.json").read_text())
        self._mqtt.connect("127.0.0.1", ports["mqtt"])
        self._mqtt.subscribe("#")
        self._mqtt.loop_start()
        return self

    def _note_mqtt(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.seen["mqtt"].append(message.topic.encode() + b"\0" + bytes(message.payload))

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


@pytest.fixture
def tapped(tmp_path: Path) -> Iterator[tuple[Stand, Tap]]:
    with stand(tmp_path) as here:
        here.start_hub()
        leaf = urlsplit(here.leaf_url)
        tap = Tap((str(leaf.hostname), int(leaf.port or 0)))
        here.write_config(config("embedded", f"nats-leaf://127.0.0.1:{tap.port}"))
        here.start_gateway()
        yield here, tap
        tap.close()


def speak(client: Client) -> None:
    """Publish marks in every way that a device has."""
    mark, number = MARK.decode(), NUMBER.decode()
    now = time.time_ns()
    for retain in (False, True):
        for topic, payload in (
            ("sensors/marked", json.dumps({"ts": now, "current": f"{number}.5", "note": mark})),
            ("sensors/marked", json.dumps({"ts": now, mark: 1, "vibration": int(number)})),
            ("sensors/marked", f'{{"ts": {now}, "current": 1, "broken": "{mark}'),
            ("tele/marked/SENSOR", json.dumps({"A": {"Name": mark, "Current": number}})),
            ("tele/marked/LWT", mark),
            ("marked/text_sensor/note/state", mark),
            ("vib/marked/acc/x", WAVE),
            ("vib/marked/acc", MARK + WAVE),
            (f"unknown/{mark}/levels", MARK + WAVE),
            (f"{mark}", number),
        ):
            client.publish(topic, payload, qos=1, retain=retain)


def hang_up(client: Client) -> None:
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)


async def _stored(here: Stand, metric: str) -> None:
    """Wait until the gateway has a series; the broker tells a will in its own time."""
    for _ in range(200):
        found = here.ask("/sql", f"SELECT count(*) FROM series WHERE metric = '{metric}'")  # noqa: S608
        if found["rows"] == [[1]]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no series {metric}")


async def test_no_raw_data_is_seen_at_the_hub_when_outcomes_flow(
    tapped: tuple[Stand, Tap],
) -> None:
    here, tap = tapped
    host, port = here.broker()
    load = start_load((host, port), rate_hz=200, devices=20, seconds=6, qos=0)
    async with Spies(here) as spies:
        marked = Client(CallbackAPIVersion.VERSION2, "marked")
        marked.will_set("sensors/marked", json.dumps({"will": MARK.decode()}), qos=1, retain=True)
        marked.connect(host, port)
        marked.loop_start()
        listener = Client(CallbackAPIVersion.VERSION2, "listener", clean_session=False)
        listener.connect(host, port)  # its session holds what it did not fetch
        listener.loop_start()
        listener.subscribe("#", qos=1)
        listener.disconnect()
        listener.loop_stop()
        for _ in range(8):
            speak(marked)
            await asyncio.sleep(0.5)
        hang_up(marked)  # without a word: the broker tells the will
        load.communicate()
        await _stored(here, "will")
        here.settle()
        await asyncio.sleep(0.5)
        seen = {name: list(said) for name, said in spies.seen.items()}

    assert here.ask("/status")["hub"]["forwarded"] > 20
    texts = here.ask("/sql", "SELECT DISTINCT value FROM text_reading")["rows"]
    assert [MARK.decode()] in texts  # the gateway has it
    for name in ("fleet", "mqtt"):
        assert sum(b'"plugin":"bench-mean"' in said for said in seen[name]) > 20, name
    assert seen["sys"]
    assert tap.seen.count(b'"plugin":"bench-mean"') > 20  # the link is readable here
    assert any(b'"src":"marked"' in said for said in seen["fleet"])  # outcomes of it do go
    everything = {name: b"\n".join(said) for name, said in seen.items()}
    everything["link"] = bytes(tap.seen)
    files = [file for file in (here.folder / "hub").rglob("*") if file.is_file()]
    everything["hub's files"] = b"\n".join(file.read_bytes() for file in files)
    for where, said in everything.items():
        for mark in MARKS:
            assert mark not in said, (where, mark, said[max(0, said.find(mark) - 300) :][:400])

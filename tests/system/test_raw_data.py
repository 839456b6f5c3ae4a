"""Raw data does not leave: marks in what devices say, and all that can be seen at the hub."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.kill import config, start_load
from benchmarks.stand import Stand, stand
from tests.hub_spies import Spies, Tap

MARK = b"xMARKx7739"
NUMBER = b"8642097531"  # as digits: no outcome has more than six of them
WAVE = bytes(range(200, 232)) * 8
MARKS = (MARK, NUMBER, WAVE[:24])


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
    assert b'"plugin":"bench-mean"' in tap.seen  # readable, until it is slow and so compressed
    assert any(b'"src":"marked"' in said for said in seen["fleet"])  # outcomes of it do go
    for where, said in spies.everything(tap).items():
        for mark in MARKS:
            assert mark not in said, (where, mark, said[max(0, said.find(mark) - 300) :][:400])

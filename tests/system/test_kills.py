"""The gateway's end at any moment: readings stored once, outcomes told once, none besides."""

import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.kill import GATEWAY, config, run
from benchmarks.stand import Stand, stand
from benchmarks.truth import at_hub, compare, expected, readings

STOP_S = 10.0
REDELIVERED_S = 25.0
"""The embedded broker gives again what was not acknowledged after 10 s (its ack_wait)."""


async def test_everything_is_there_once_when_the_gateway_is_killed(
    tmp_path: Path, mosquitto: str
) -> None:
    kills = await run(tmp_path, mosquitto, [signal.SIGKILL] * 4, seed=7, rate_hz=1000, devices=100)
    assert kills.exact, asdict(kills)
    assert kills.outcomes.disordered == 0
    assert {stop.code for stop in kills.stops} == {-signal.SIGKILL}


async def test_everything_is_there_once_when_the_gateway_is_stopped_in_order(
    tmp_path: Path, mosquitto: str
) -> None:
    signals = [signal.SIGTERM, signal.SIGINT]
    kills = await run(tmp_path, mosquitto, signals, seed=2, rate_hz=1500, devices=100)
    assert [stop.code for stop in kills.stops] == [0, 0], asdict(kills)
    assert max(stop.took_s for stop in kills.stops) < STOP_S
    assert kills.exact, asdict(kills)
    assert kills.repeated == 0  # what was told is known to the one that starts next


class Device:
    """Devices that speak over one session at QoS 1 and send again what was not acknowledged."""

    def __init__(self, here: Stand, devices: int) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._handed = 0
        self._acked = 0
        self._devices = devices
        self._client = Client(CallbackAPIVersion.VERSION2, "devices", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._note
        self._client.connect(*here.broker())
        self._client.loop_start()

    def speak(self, seconds: float, rate_hz: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            number, device = divmod(len(self.sent), self._devices)
            topic = f"sensors/dev-{device}"
            text = f'{{"ts":{time.time_ns()},"seq":{number},"current":{number % 7}}}'
            self.sent.append((topic, text.encode()))
            self.publish(topic, text.encode())
            time.sleep(1 / rate_hz)

    def publish(self, topic: str, payload: bytes) -> None:
        self._handed += 1
        self._client.publish(topic, payload, qos=1)

    def finish(self, limit_s: float = 20.0) -> None:
        until = time.monotonic() + limit_s
        while self._acked < self._handed:
            assert time.monotonic() < until, f"{self._acked} of {self._handed} acknowledged"
            time.sleep(0.05)

    def _note(self, *_: object) -> None:
        self._acked += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def here(tmp_path: Path) -> Any:  # noqa: ANN401 - a generator
    with stand(tmp_path) as made:
        made.start_hub()
        made.write_config(config("embedded"))
        made.start_gateway()
        yield made


def await_stored(here: Stand, count: int) -> None:
    query = "SELECT count(DISTINCT (device, value)) FROM readings WHERE metric = 'seq'"
    until = time.monotonic() + REDELIVERED_S
    while here.ask("/sql", query)["rows"] != [[count]] and time.monotonic() < until:
        time.sleep(0.2)


async def test_everything_is_there_once_when_the_broker_is_killed_too(here: Stand) -> None:
    devices = Device(here, 10)
    for _ in range(2):
        devices.speak(2.0, 100)
        here.stop("gateway", signal.SIGKILL)
        devices.speak(0.5, 100)  # paho keeps it
        here.start_gateway()
    devices.speak(1.5, 100)
    devices.finish()
    await_stored(here, len(devices.sent))
    here.settle()
    before = here.ask("/status")["messages"]["duplicates"]

    again = devices.sent[-50:]
    for topic, payload in again:  # as a device does that missed an acknowledgement
        devices.publish(topic, payload)
    devices.finish()
    status = here.settle()
    devices.close()

    assert status["messages"]["duplicates"] - before == len(again)
    told = await at_hub(here.hub_url)
    here.stop("gateway")
    found = readings(here.state_dir)
    assert (found.rows, found.distinct, found.gaps) == (len(devices.sent), len(devices.sent), 0)
    outcomes = compare(expected(here.state_dir), told, GATEWAY)
    assert outcomes.exact, outcomes

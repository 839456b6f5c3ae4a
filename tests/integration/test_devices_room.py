"""Made-up devices against a gateway with its own broker: the known ones go on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.app import gateway
from gateway.client import ask
from gateway.config import load_settings
from gateway.status import Running

MADE_UP = 300


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    settings = load_settings(
        None,
        gateway={"name": "gw-01", "state_dir": str(tmp_path / "state")},
        mqtt={"port": 0},
        metrics={"port": -1},
        plugins={"shipped": False},
        devices={"most": 10, "most_series_each": 3},
    )
    async with gateway(settings) as started:
        end = time.monotonic() + 20
        while not started.source.connected:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        yield started


async def publish(running: Running, messages: list[tuple[str, bytes]]) -> None:
    address = running.leaf.mqtt_address
    assert address is not None
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
    await asyncio.to_thread(client.connect, address.host, address.port)
    client.loop_start()
    before = running.ledger.received
    sent = [client.publish(topic, payload, qos=1) for topic, payload in messages]
    for each in sent:
        await asyncio.to_thread(each.wait_for_publish, 20.0)
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)
    end = time.monotonic() + 20
    while running.ledger.received < before + len(messages) or running.ledger.in_hand():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_made_up_devices_are_dead_letters_beyond_the_bound_and_told_once(
    running: Running,
) -> None:
    await publish(running, [(f"sensors/real-{n}", b'{"t": 1}') for n in range(10)])
    await publish(running, [(f"sensors/made-up-{n}", b'{"t": 1}') for n in range(MADE_UP)])
    many = b'{"t": 2, "a": 1, "b": 1, "c": 1, "d": 1}'
    await publish(running, [(f"sensors/real-{n}", many) for n in range(10)])
    ledger, register = running.ledger, running.store.register
    assert ledger.dead_letters == {"too_many_devices": MADE_UP}
    assert ledger.stored_messages == 20
    assert ledger.bad_parts == {"json": 10 * 2}
    assert ledger.in_hand() == 0
    assert len(register.devices) == 10
    assert len(register.series) == 30
    assert ledger.readings == 10 + 30
    await publish(running, [("sensors/real-0", b'{"t": 3}')])  # samples go with the next batch
    path = running.settings.socket_path
    told: list[tuple[str, str]] = []
    end = time.monotonic() + 20
    while len(told) < 2 and time.monotonic() < end:
        await asyncio.sleep(0.2)  # outcomes are written once a second
        found = await asyncio.to_thread(ask, path, "/outcomes?limit=10")
        told = [(each["source"], each["label"]) for each in found]
    assert sorted(told) == [("gw-01", "too-many-devices"), ("gw-01", "too-many-series")]
    letters = await asyncio.to_thread(ask, path, "/deadletters?limit=100")
    assert {letter["reason"] for letter in letters} == {"too_many_devices", "too_many_series"}
    assert "[devices] most" in letters[0]["detail"]

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import gateway
from gateway.client import NotRunningError, RefusedError, ask
from gateway.config import load_settings
from gateway.errors import ConfigError
from gateway.model import RawMessage
from gateway.status import Running, devices

NOW = b'{"temp": 1.5, "ts": %d}' % time.time()
MESSAGES = {
    "sensors/a": [NOW, NOW, b"{", b'{"temp": 1.5, "ts": 1700000000}'],
    "influx/b": [b"cpu,host=h load=1.5\ncpu,host=h load=\ncpu,host=h idle=99,busy=true"],
    "stat/plug/POWER": [b"ON"],
    "tele/plug/LWT": [b"Offline"],
    "nobody/claims": [b"x", b"[red]y"],
}
SENT = sum(map(len, MESSAGES.values()))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    settings = load_settings(
        None,
        gateway={"name": "gw-01", "state_dir": str(tmp_path / "state")},
        mqtt={"port": 0, "topics": ["#"]},
        metrics={"port": 0},
        plugins={"shipped": False},
    )
    async with gateway(settings) as started:
        end = time.monotonic() + 10
        while not started.source.connected:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        yield started


async def publish_all(running: Running) -> None:
    address = running.leaf.mqtt_address
    assert address is not None
    await asyncio.sleep(0.2)  # the broker's answer to the gateway's subscription
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
    await asyncio.to_thread(client.connect, address.host, address.port)
    client.loop_start()
    for topic, payloads in MESSAGES.items():
        for payload in payloads:
            sent = client.publish(topic, payload, qos=1)
            await asyncio.to_thread(sent.wait_for_publish, 10.0)
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)
    end = time.monotonic() + 10
    while running.ledger.received < SENT or running.ledger.in_hand():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def get(running: Running, path: str) -> tuple[int, str]:
    url = running.addresses["metrics"].replace("/metrics", path)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_ledgers_sums_add_up_when_prometheus_reads_them(running: Running) -> None:
    await publish_all(running)
    code, text = await get(running, "/metrics")
    assert code == 200
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    ends = {
        labels[0]: value
        for (name, *labels), value in found.items()
        if name == "weir_messages_total"
    }
    assert ends == {
        "stored": 4,
        "duplicate": 1,
        "dead_letter": 3,
        "shed": 0,
        "too_old": 1,
        "quarantined": 0,
    }
    assert found["weir_messages_received_total",] == SENT
    assert found["weir_messages_in_hand",] == SENT - sum(ends.values())
    assert found["weir_readings_too_old_total",] == 1
    assert found["weir_bad_parts_total", "influx-line"] == 1
    dead = {
        labels[0]: v for (name, *labels), v in found.items() if name == "weir_dead_letters_total"
    }
    assert dead == {"bad_json": 1, "unclaimed": 2}
    assert found["weir_readings_total",] == 1 + 3 + 1 + 1
    assert found["weir_leaf_ready",] == 1
    assert found["weir_stage_seconds_count", "store"] >= 1


async def test_it_is_healthy_and_ready_when_asked_over_http(running: Running) -> None:
    assert await get(running, "/healthz") == (200, "ok\n")
    assert await get(running, "/readyz") == (200, "ready\n")
    running.source.connected = False
    running.source.reason = "broker:1883: connection lost"
    assert await get(running, "/readyz") == (503, "broker:1883: connection lost\n")
    assert (await get(running, "/healthz"))[0] == 200


async def test_socket_is_for_user_and_group_when_it_is_there(running: Running) -> None:
    path = running.settings.socket_path
    assert path.stat().st_mode & 0o777 == 0o660


async def test_status_says_what_came_of_each_message_when_asked(running: Running) -> None:
    await publish_all(running)
    path = running.settings.socket_path
    status = await asyncio.to_thread(ask, path, "/status")
    messages = status["messages"]
    assert messages["received"] == messages["stored"] + messages["duplicates"] + messages[
        "shed"
    ] + messages["too_old"] + messages["in_hand"] + sum(messages["dead_letters"].values())
    assert messages["bad_parts"] == {"influx-line": 1}
    assert status["readings"]["oldest"]["device"] == "a"
    assert status["readings"]["kept_s"] == 86_400
    [topic] = await asyncio.to_thread(ask, path, "/unclaimed")
    assert (topic["topic"], topic["messages"], topic["sample"]) == ("nobody/claims", 2, "[red]y")
    letters = await asyncio.to_thread(ask, path, "/deadletters")
    why = {letter["reason"]: letter["detail"] for letter in letters}
    assert why.keys() == {"unclaimed", "bad_json", "partly"}
    assert "no profile" in why["unclaimed"]
    assert why["partly"].startswith("1 of 3 lines: ")


async def test_devices_are_told_with_their_states_and_their_own_word_when_asked(
    running: Running,
) -> None:
    await publish_all(running)
    path = running.settings.socket_path
    found = {each["device"]: each for each in await asyncio.to_thread(ask, path, "/devices")}
    assert (found["a"]["profile"], found["a"]["messages"]) == ("json", 3)
    assert (found["a"]["online"], found["a"]["online_by"], found["a"]["said"]) == (
        True,
        "age",
        None,
    )
    plug = found["plug"]
    assert (plug["online"], plug["online_by"]) == (False, "own word")
    assert plug["said"]["online"] is False
    assert {r["metric"]: r["value"] for r in plug["readings"]} == {"$online": False, "POWER": True}
    of_another = {r["metric"]: r["value"] for r in found["h"]["readings"]}
    assert of_another == {"cpu.load": 1.5, "cpu.idle": 99.0, "cpu.busy": True}


async def test_device_is_there_when_it_was_heard_after_an_offline_that_the_broker_had_kept(
    running: Running,
) -> None:
    def plug() -> tuple[bool, str]:
        [found] = [each for each in devices(running) if each["device"] == "kept"]
        return found["online"], found["online_by"]

    async def put(topic: str, payload: bytes, *, retained: bool) -> None:
        running.inbox.put(RawMessage(topic, payload, time.time_ns(), retained=retained))
        end = time.monotonic() + 10
        while running.ledger.in_hand():
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    await put("tele/kept/LWT", b"Offline", retained=True)
    await put("stat/kept/RESULT", b'{"POWER":"ON"}', retained=True)
    assert plug() == (False, "own word"), "what was kept is no sign of life"
    await put("stat/kept/RESULT", b'{"POWER":"ON"}', retained=False)
    assert plug() == (True, "age")
    await put("tele/kept/LWT", b"Offline", retained=False)
    await put("stat/kept/RESULT", b'{"POWER":"ON"}', retained=False)
    assert plug() == (False, "own word")


async def test_only_reading_is_allowed_when_sql_is_sent(running: Running) -> None:
    path = running.settings.socket_path
    found = await asyncio.to_thread(ask, path, "/sql", "select 1 as one, 'a' as a")
    assert found == {"columns": ["one", "a"], "rows": [[1, "a"]]}
    for statement in ("drop table reading", "select 1; select 2", "copy reading to '/tmp/x'"):
        with pytest.raises(RefusedError):
            await asyncio.to_thread(ask, path, "/sql", statement)
    with pytest.raises(RefusedError, match="limit must be a number"):
        await asyncio.to_thread(ask, path, "/outcomes?limit=many")


async def test_hubs_password_is_not_told_when_the_status_is(tmp_path: Path) -> None:
    settings = load_settings(
        None,
        gateway={"name": "gw-01", "state_dir": str(tmp_path / "state")},
        mqtt={"port": 0},
        metrics={"port": -1},
        plugins={"shipped": False},
        hub={"url": "nats-leaf://gw-01:secret@127.0.0.1:1"},
    )
    async with gateway(settings) as running:
        status = await asyncio.to_thread(ask, running.settings.socket_path, "/status")
        assert status["hub"]["url"] == "nats-leaf://127.0.0.1:1"
        assert "secret" not in str(status)
        assert status["metrics"] == ""
    with pytest.raises(NotRunningError, match="no gateway runs on"):
        await asyncio.to_thread(ask, settings.socket_path, "/status")


async def test_second_gateway_is_refused_when_one_holds_the_state_dir(running: Running) -> None:
    with pytest.raises(ConfigError, match="another gateway is running on it"):
        async with gateway(running.settings):
            pass

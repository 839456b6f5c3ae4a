"""Profiles dropped in, changed and broken while the gateway runs; a draft of what is unknown."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner

from gateway.app import gateway
from gateway.cli.profile import profile
from gateway.config import load_settings
from gateway.status import Running, devices, status

PROFILE = """\
title: Meteo
rules:
  - {topic: "meteo/{d}/report", device: "${t.d}", emit: [{flatten: "=p"}]}
"""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    settings = load_settings(
        None,
        gateway={"name": "gw-01", "state_dir": str(tmp_path / "state")},
        mqtt={"port": 0},
        metrics={"port": -1},
        plugins={"shipped": False},
        profiles={"shipped": False},
    )
    async with gateway(settings) as started:
        await until(lambda: started.source.connected)
        yield started


@pytest.fixture
async def client(running: Running) -> AsyncIterator[paho.Client]:
    address = running.leaf.mqtt_address
    assert address is not None
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
    await asyncio.to_thread(made.connect, address.host, address.port)
    made.loop_start()
    yield made
    made.disconnect()
    await asyncio.to_thread(made.loop_stop)


async def until(holds: Callable[[], object], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def drop_in(running: Running, text: str, name: str = "meteo") -> Path:
    folder = running.settings.profile_dirs[-1] / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "profile.yaml"
    file.write_text(text)
    return file


def metrics(running: Running) -> set[str]:
    return {r["metric"] for each in devices(running) for r in each["readings"]}


async def test_profile_counts_when_dropped_in_and_stays_when_it_becomes_bad(
    running: Running, client: paho.Client
) -> None:
    catalog = running.profiles
    drop_in(running, PROFILE)
    await until(lambda: [p.name for p in catalog.catalog.profiles] == ["meteo"])
    await until(lambda: running.source.filters == ["meteo/+/report"])
    await asyncio.sleep(0.3)  # the broker's answer to the subscription
    client.publish("meteo/roof/report", b'{"air": 21.5}', qos=1)
    await until(lambda: metrics(running) == {"air"})

    file = drop_in(running, PROFILE.replace("flatten", "flaten"))
    await until(lambda: status(running)["profiles"]["set_aside"])
    [problem, *_] = status(running)["profiles"]["set_aside"]
    assert f"{file}:3" in problem
    assert "say one of the verbs" in problem
    client.publish("meteo/roof/report", b'{"rain": 3}', qos=1)
    await until(lambda: metrics(running) == {"air", "rain"})

    drop_in(running, PROFILE.replace('"=p"', '"=p", prefix: new'))
    await until(lambda: not status(running)["profiles"]["set_aside"])
    client.publish("meteo/roof/report", b'{"rain": 3}', qos=1)
    await until(lambda: "new.rain" in metrics(running))


async def test_draft_is_taken_up_when_it_is_copied_as_it_says(
    running: Running, client: paho.Client, tmp_path: Path
) -> None:
    greedy = PROFILE.replace('"meteo/{d}/report"', '"{d+}/status", codec: number')
    drop_in(running, greedy, "greedy")
    await until(lambda: running.profiles.catalog.profiles)
    client.publish("meteo/roof-3/alive", b"false", retain=True)  # comes before anybody listens
    await until(lambda: running.pipeline.unreadable.unclaimed)
    state = str(running.settings.gateway.state_dir)
    draft = asyncio.create_task(
        asyncio.to_thread(
            CliRunner().invoke,
            profile,
            ["draft", "meteo", "--seconds", "2", "--state-dir", state, "--out", str(tmp_path),
             "--json"],
        )
    )  # fmt: skip
    for _ in range(15):
        client.publish("meteo/roof-1/report", b'{"temperature": 21.5}', qos=1)
        client.publish("meteo/roof-2/report", b'{"temperature": 20.5}', qos=1)
        client.publish("meteo/roof-2/status", b'{"battery": 90}', qos=1)
        client.publish("meteo/roof-2/set", b'{"led": true}', qos=1)
        await asyncio.sleep(0.1)
    result = await draft
    assert result.exit_code == 0, result.output
    said = orjson.loads(result.output)
    assert [(r["profile"], r["reason"]) for r in said["refused"]] == [("greedy", "bad_number")]
    assert said["commands"] == ["meteo/roof-2/set"]
    assert "meteo/{d}/alive" in (tmp_path / "meteo" / "profile.yaml").read_text()
    assert [p.name for p in running.profiles.catalog.profiles] == ["greedy"]
    linted = CliRunner().invoke(
        profile, ["lint", str(tmp_path / "meteo"), "--state-dir", str(tmp_path / "o")]
    )
    assert linted.exit_code == 0, linted.output

    await (await asyncio.create_subprocess_exec(*shlex.split(said["activate"]))).wait()
    await until(lambda: len(running.profiles.catalog.profiles) == 2)
    await until(lambda: "meteo/+/report" in running.source.filters or "#" in running.source.filters)
    await asyncio.sleep(0.3)
    client.publish("meteo/roof-7/report", b'{"temperature": 19}', qos=1)
    client.publish("meteo/roof-8/status", b'{"battery": 80}', qos=1)
    await until(lambda: {"roof-7", "roof-8"} <= {each["device"] for each in devices(running)})

"""Plugin folders that come, change and misbehave while the gateway runs."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.kill import GATEWAY, config, start_load
from benchmarks.stand import Stand, stand
from benchmarks.truth import PLUGIN, Told, at_hub, compare, expected
from tests.conftest import ROOT, Weir

SAMPLES = ROOT / "tests/plugins"
STEADY = ROOT / "benchmarks/plugins/bench-mean"
ACTIVE_S = 5.0
TROUBLE_S = 4.0
UNHARMED_MS = 1000.0  # half of what a hung neighbour may take for a call: it was not waited for
Document = dict[str, Any]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Give a gateway under load with a plugin that reports every window."""
    with stand(tmp_path_factory.mktemp("plugins")) as made:
        made.start_hub()
        made.write_config(config("embedded"))
        made.start_gateway()
        load = start_load(made.broker(), rate_hz=200, devices=20, seconds=300, qos=0)
        yield made
        load.terminate()
        load.communicate()


def drop_in(here: Stand, folder: Path, name: str = "") -> Path:
    """Copy a plugin's folder to where the gateway looks, under another name if one is given."""
    target = here.state_dir / "plugins" / (name or folder.name)
    shutil.copytree(folder, target)
    edit(target, f'name = "{folder.name}"', f'name = "{target.name}"')
    return target


def edit(folder: Path, old: str, new: str) -> None:
    manifest = folder / "plugin.toml"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))


def plugin(here: Stand, name: str) -> Document:
    found: dict[str, Document] = {each["name"]: each for each in here.ask("/plugins")}
    return found.get(name, {"healthy": False, "version": "", "windows": 0, "log": [], "state": ""})


def await_(what: Callable[[], Any], limit_s: float) -> float:
    """Wait until it is so; return after how many seconds."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit_s, "waited too long"
        time.sleep(0.05)
    return time.monotonic() - began


def set_aside(here: Stand, name: str) -> list[str]:
    return [told for told in here.ask("/status")["plugins_set_aside"] if f"/{name}" in told]


def test_a_plugin_is_active_within_seconds_when_its_folder_is_dropped_in(here: Stand) -> None:
    drop_in(here, SAMPLES / "good")
    took_s = await_(lambda: plugin(here, "good")["healthy"], ACTIVE_S)
    assert took_s < ACTIVE_S
    await_(lambda: plugin(here, "good")["windows"] > 20, ACTIVE_S)
    shutil.rmtree(here.state_dir / "plugins/good")
    await_(lambda: not plugin(here, "good")["healthy"], ACTIVE_S)


BROKEN: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "bad-key": (
        lambda f: edit(f, "hop_s = 1.0", "hop_sec = 1.0"), "plugin.toml", "window.hop_sec", "hop_s",
    ),
    "bad-value": (
        lambda f: edit(f, "hop_s = 1.0", "hop_s = -1.0"), "plugin.toml", "window.hop_s", "greater",
    ),
    "wrong-sha": (
        lambda f: (f / "model.onnx").write_bytes(b"another"), "plugin.toml", "model.sha256", "is",
    ),
    "no-model": (
        lambda f: (f / "model.onnx").unlink(), "plugin.toml", "model.file", "no such file",
    ),
    "no-toml": (
        lambda f: (f / "plugin.toml").write_bytes(b"\xff\x00= ["), "plugin.toml", "", "TOML",
    ),
    "other-name": (
        lambda f: edit(f, 'name = "other-name"', 'name = "some"'), "plugin.toml", "name", "folder",
    ),
}  # fmt: skip


def test_folders_are_set_aside_with_the_reason_when_they_are_broken(
    here: Stand, weir: Weir
) -> None:
    for name, (spoil, *_) in BROKEN.items():
        made = here.folder / "made" / name
        shutil.copytree(STEADY, made)
        edit(made, 'name = "bench-mean"', f'name = "{name}"')
        spoil(made)
        shutil.copytree(made, here.state_dir / "plugins" / name)
    await_(lambda: all(set_aside(here, name) for name in BROKEN), ACTIVE_S)
    said = json.loads(weir("status", "--state-dir", str(here.state_dir), "--json").stdout)
    for name, (_, file, field, reason) in BROKEN.items():
        told = [each for each in said["plugins_set_aside"] if f"/{name}/" in each]
        assert len(told) == 1
        where, _, why = told[0].partition(f"/{name}/{file}: ")
        assert where.endswith("state/plugins")
        assert why.startswith(f"{field}: " if field else "not readable as TOML")
        assert reason in why
        assert plugin(here, name)["state"] == ""
    assert plugin(here, PLUGIN)["healthy"]
    for name in BROKEN:
        shutil.rmtree(here.state_dir / "plugins" / name)
    await_(lambda: not here.ask("/status")["plugins_set_aside"], ACTIVE_S)


def test_reason_is_told_when_a_plugin_that_worked_is_changed_into_one_that_does_not_load(
    here: Stand, weir: Weir
) -> None:
    folder = drop_in(here, SAMPLES / "good", "changing")
    await_(lambda: plugin(here, "changing")["healthy"], ACTIVE_S)
    (folder / "plugin.py").write_text("raise ImportError('no such thing')\n")
    await_(lambda: set_aside(here, "changing"), 2 * ACTIVE_S)
    said = json.loads(weir("plugin", "list", "--state-dir", str(here.state_dir), "--json").stdout)
    told = [each for each in said["set_aside"] if "/changing/" in each]
    assert len(told) == 1
    assert "no such thing" in told[0]
    shutil.rmtree(folder)
    await_(lambda: not set_aside(here, "changing"), ACTIVE_S)


HARMFUL = {
    "aborting": ("poison", "crashed (signal 6 SIGABRT)"),
    "hanging": ("poison", "no answer in 0.5 s"),
    "memory-eating": ("greedy", "over 128 MB of memory"),
}


async def delays_ms(here: Stand, since_ms: float) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for told in await at_hub(here.hub_url):
        if told.plugin == PLUGIN and told.end_ms > since_ms:
            found.setdefault(told.source, []).append(told)
    return found


def p95_ms(by_source: dict[str, list[Told]]) -> float:
    return float(np.percentile([t.delay_ms for each in by_source.values() for t in each], 95))


@pytest.mark.parametrize("name", HARMFUL)
async def test_only_the_plugin_suffers_when_it_does_harm(
    here: Stand, weir: Weir, name: str
) -> None:
    source, reason = HARMFUL[name]
    before_ms = time.time() * 1000 - 2000
    drop_in(here, SAMPLES / name)
    await_(lambda: plugin(here, name)["healthy"], ACTIVE_S)
    usual_ms = p95_ms(await delays_ms(here, before_ms))
    restarts = plugin(here, PLUGIN)["restarts"]

    since_ms = time.time() * 1000
    poison(here, source, TROUBLE_S)
    said = weir("status", "--state-dir", str(here.state_dir)).stdout
    told = [line for line in said.splitlines() if line.startswith(name)]
    assert any(reason in line for line in told), said
    harmed = plugin(here, name)
    assert harmed["restarts"] > 0
    await asyncio.sleep(0.5)
    steady = plugin(here, PLUGIN)
    assert steady["healthy"]
    assert steady["restarts"] == restarts
    assert steady["due"] <= 20
    flowed = await delays_ms(here, since_ms)
    for each, windows in flowed.items():
        if each.startswith("bench-"):  # a window a second
            assert len(windows) >= TROUBLE_S - 1, each
    assert p95_ms(flowed) < usual_ms + UNHARMED_MS
    shutil.rmtree(here.state_dir / "plugins" / name)
    await_(lambda: plugin(here, name)["state"] == "", ACTIVE_S)


def poison(here: Stand, source: str, seconds: float) -> None:
    """Let a device of this name speak for a while."""
    client = Client(CallbackAPIVersion.VERSION2, f"device-{source}")
    client.connect(*here.broker())
    client.loop_start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.publish(f"sensors/{source}", f'{{"ts":{time.time_ns()},"current":1}}')
        time.sleep(0.2)
    client.disconnect()
    client.loop_stop()


async def test_no_window_is_lost_when_a_changed_folder_replaces_the_old(tmp_path: Path) -> None:
    with stand(tmp_path) as here:
        here.start_hub()
        here.write_config(config("embedded"))
        here.start_gateway()
        load = start_load(here.broker(), rate_hz=500, devices=50, seconds=8, qos=0)
        folder = drop_in(here, STEADY, "second")
        await_(lambda: plugin(here, "second")["windows"] > 50, 2 * ACTIVE_S)
        edit(folder, 'version = "1.0.0"', 'version = "2.0.0"')
        await_(lambda: plugin(here, "second")["version"] == "2.0.0", ACTIVE_S)
        load.communicate()
        here.settle()
        told = await at_hub(here.hub_url)
        here.stop("gateway")
        for name in ("second", PLUGIN):
            found = compare(expected(here.state_dir, name), told, GATEWAY, name)
            assert found.exact, (name, found)
        versions = [t.version for t in told if t.plugin == "second"]
        assert set(versions) == {"1.0.0", "2.0.0"}
        assert versions.index("2.0.0") > versions.count("1.0.0") - 1  # one after the other

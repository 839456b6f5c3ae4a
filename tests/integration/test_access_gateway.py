"""The gateway as its own user at the box's broker, with a device that was let in."""

import asyncio
import time
from pathlib import Path

from gateway.app import gateway
from gateway.config import load_settings
from gateway.status import Running, devices
from tests.access_broker import Client, box


async def test_gateway_hears_a_device_and_its_panel_copy_is_allowed_when_both_are_let_in(
    tmp_path: Path, mosquitto: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with box(state / "mqtt", mosquitto) as running:
        password = running.add("plug-1", ("tele/plug-1/#",))
        panel = Client(running, "panel", running.add("panel", reads=("outcomes/#",)))
        settings = load_settings(
            None,
            gateway={"name": "gw-01", "state_dir": str(state)},
            mqtt={
                "broker": f"mqtt://127.0.0.1:{running.plain}",
                "username": "weir-gateway",
                "password_file": str(running.folder / "gateway.password"),
            },
            metrics={"port": -1},
            plugins={"shipped": False},
        )
        async with gateway(settings) as started:
            end = time.monotonic() + 15
            while not started.source.connected:
                assert time.monotonic() < end, started.source.reason
                await asyncio.sleep(0.05)
            await asyncio.to_thread(panel.hear, "#")
            plug = await asyncio.to_thread(Client, running, "plug-1", password)
            said = b'{"Time":"2026-01-01T00:00:00","ENERGY":{"Power":12}}'
            assert await asyncio.to_thread(plug.say, "tele/plug-1/SENSOR", said)
            assert await asyncio.to_thread(plug.say, "tele/plug-1/LWT", b"Online")
            while _standing(started) != (True, "own word"):
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            started.source.publish("outcomes/gw-01/a/b/c/d", b"outcome")
            while not panel.got:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            assert panel.got == [("outcomes/gw-01/a/b/c/d", b"outcome")]
            assert started.source.connections == 1
            running.register.remove("plug-1", time.time_ns())
            await asyncio.to_thread(running.reload)
            assert _standing(started) == (False, "revoked")
            plug.close()
        panel.close()


def _standing(started: Running) -> tuple[bool, str] | None:
    found = [(d["online"], d["online_by"]) for d in devices(started) if d["device"] == "plug-1"]
    return found[0] if found else None

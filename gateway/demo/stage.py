"""What the demo puts on its stage: a gateway of its own, and that gateway's configuration."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from gateway.client import ask
from gateway.config import SHIPPED
from gateway.demo.camera import NAME as CAMERA
from gateway.demo.devices import assets
from gateway.errors import GatewayError

_START_S = 30.0


class DemoError(GatewayError):
    """The gateway of the demo did not start."""

    code = "demo"


def write_config(folder: Path, leaf_port: int, camera_url: str) -> Path:
    """Write the demo's ``gateway.toml``, its camera and its quicker copy of machine-anomaly."""
    state = folder / "state"
    plugin = state / "plugins" / "machine-anomaly"
    shutil.copytree(SHIPPED / "plugins" / "machine-anomaly", plugin)
    manifest = plugin / "plugin.toml"
    text = manifest.read_text(encoding="utf-8")
    for shipped, quick in (
        ("hop_s = 1.0", "hop_s = 0.1"),
        ("step_s = 1.0", "step_s = 0.1"),
        ("length_s = 30", "length_s = 3"),
        ("learn_rows = 300", "learn_rows = 100"),
        ("every_s = 60", "every_s = 1"),
    ):
        if shipped not in text:
            raise DemoError(f"{manifest}: {shipped!r} is not there any more")
        text = text.replace(shipped, quick)
    manifest.write_text(text, encoding="utf-8")
    camera = state / "cameras" / f"{CAMERA}.toml"
    camera.parent.mkdir()
    camera.write_text(f"url = {_quoted(camera_url)}\n", encoding="utf-8")
    tables = [
        "[gateway]", 'name = "demo"', f"state_dir = {_quoted(state)}", 'log_level = "warning"',
        "[mqtt]", "port = 0",
        "[hub]", f'url = "nats://127.0.0.1:{leaf_port}"',
        "[metrics]", "port = -1",
    ]  # fmt: skip
    for asset in assets():
        tables += ["[[assets]]"] + [f"{key} = {_quoted(value)}" for key, value in asset.items()]
    config = folder / "gateway.toml"
    config.write_text("\n".join(tables) + "\n", encoding="utf-8")
    return config


@asynccontextmanager
async def started_gateway(folder: Path, config: Path) -> AsyncIterator[Path]:
    """Run ``weir run`` as a process of its own; give the socket on which it answers."""
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "run", "-c", str(config),
            stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        )  # fmt: skip
    try:
        socket_path = folder / "state" / "weir.sock"
        until = time.monotonic() + _START_S
        while True:
            with suppress(GatewayError):
                if (await asked(socket_path, "/status"))["ready"]:
                    break
            if process.returncode is not None or time.monotonic() > until:
                raise DemoError(f"the gateway did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(0.1)
        yield socket_path
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10.0)
            except TimeoutError:
                process.kill()
                await process.wait()


async def asked(socket_path: Path, what: str) -> Any:  # noqa: ANN401 - any JSON
    """Ask the gateway on a socket; see `gateway.client.ask`."""
    return await asyncio.to_thread(ask, socket_path, what)


def _quoted(value: object) -> str:
    return orjson.dumps(value if isinstance(value, list) else str(value)).decode()

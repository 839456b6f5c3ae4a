"""Commands that run something, or check that it could: run, check, hub."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import app
from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    err,
    out,
    print_json,
    settings,
    told,
)
from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.inference.directory import PluginDirectory
from gateway.profiles import Catalog
from gateway.status import Running


def run(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    port: Annotated[int | None, typer.Option(help="MQTT port of the embedded broker")] = None,
    hub: Annotated[str | None, typer.Option(help="where outcomes go: nats://host:7422")] = None,
) -> None:
    """The gateway: take in devices' messages until SIGTERM or Ctrl-C.

    Without a configuration it listens for MQTT on 127.0.0.1:1883, and without a hub it keeps
    outcomes until there is one.

    Example: weir run --port 1884 --hub nats://127.0.0.1:7422
    """
    with told():
        tables = {
            "mqtt": {"port": port} if port is not None else {},
            "hub": {"url": hub} if hub else {},
        }
        chosen = settings(config, state_dir, **{k: v for k, v in tables.items() if v})
        _log(chosen.gateway.log_level)
        code = uvloop.run(app.run(chosen, _say_ready))
    raise typer.Exit(code)


def check(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Say everything that is wrong with configuration, profiles and plugins, all at once.

    Exit code 78 when the configuration is wrong, 1 when a profile or plugin is set aside.

    Example: weir check -c gateway.toml
    """
    with told():
        chosen = settings(config, state_dir)
        catalog = Catalog.load(chosen.profile_dirs, chosen.gateway.timezone)
        found = PluginDirectory(chosen.plugin_dirs, chosen.plugins.disabled).scan()
    problems = [str(error) for error in (*catalog.rejected, *found.rejected)]
    if json:
        names = [profile.name for profile in catalog.profiles]
        print_json({"profiles": names, "plugins": sorted(found.plugins), "problems": problems})
    else:
        for problem in problems:
            err.print(f"[yellow]set aside:[/yellow] {problem}", highlight=False)
        out.print(
            f"configuration is valid; {len(catalog.profiles)} profiles and "
            f"{len(found.plugins)} plugins can be used, {len(problems)} are set aside"
        )
    if problems:
        raise typer.Exit(1)


def _say_ready(running: Running) -> None:
    chosen = running.settings
    embedded = running.leaf.mqtt_address
    where = f"mqtt://{embedded.host}:{embedded.port}" if embedded else chosen.mqtt.broker
    hub = chosen.hub.url or "none yet: outcomes are kept until [hub] url is set"
    err.print(f"[green]weir {chosen.gateway.name}[/green] is ready for devices at {where}")
    err.print(f"  hub      {hub}")
    err.print(f"  state    {chosen.gateway.state_dir}   (weir status, weir devices, weir outcomes)")
    err.print(f"  plugins  drop folders into {_drop_in(chosen)}")


def _drop_in(chosen: Settings) -> Path:
    return chosen.plugin_dirs[-1]


def _log(level: str) -> None:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    logging.getLogger("nats").setLevel(logging.ERROR)  # ours say it in words


__all__ = ["GatewayError", "check", "run"]

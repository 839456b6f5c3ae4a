"""Commands that run the gateway, or check that it could run: run, check."""

import faulthandler
import os
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.markup import escape

from gateway import app, journal
from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    complain,
    err,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.text import counted
from gateway.config import Settings
from gateway.errors import ConfigError
from gateway.inference.directory import PluginDirectory
from gateway.leaf.edge import USERS, EdgePorts, edge_table
from gateway.notify import Notifier
from gateway.profiles import Catalog
from gateway.status import Running

_SOCKET_PATH_BYTES = 107  # unix(7)


def run(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    port: Annotated[int | None, typer.Option(help="MQTT port of the embedded broker")] = None,
    hub: Annotated[
        str | None, typer.Option(help="where outcomes go: nats-leaf://host:7422")
    ] = None,
) -> None:
    """Run the gateway: take in devices' messages until SIGTERM or Ctrl-C.

    Without a configuration it listens for MQTT on 127.0.0.1:1883, and without a hub it keeps
    outcomes until there is one. Exit code 78 when the configuration is wrong, 1 when something
    is in the way that may be gone at the next try, such as a port that is taken.

    Example: `weir run --port 1884 --hub nats-leaf://127.0.0.1:7422`
    """
    with told():
        tables: dict[str, Any] = {}
        if port is not None:
            tables["mqtt"] = {"port": port}
        if hub is not None:
            tables["hub"] = {"url": hub}
        chosen = settings(config, state_dir, existing=True, **tables)
        journal.set_up(chosen.gateway.log_level)
        faulthandler.enable()  # a watchdog's SIGABRT leaves in the journal where each thread was
        code = uvloop.run(app.run(chosen, _say_ready, Notifier.of(os.environ)))
    raise typer.Exit(code)


def check(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Say everything that is wrong with configuration, profiles and plugins, all at once.

    Exit code 78 when the configuration is wrong, 1 when a profile or plugin is set aside.

    Example: `weir check -c gateway.toml`
    """
    try:
        chosen = settings(config, state_dir, existing=True)
        _try(chosen)
    except ConfigError as exc:
        if json:
            print_json({"profiles": [], "plugins": [], "problems": exc.problems})
        else:
            for problem in exc.problems:
                complain(problem)
        raise typer.Exit(exc.exit_code) from exc
    with told():
        catalog = Catalog.load(chosen.profile_dirs, chosen.gateway.timezone)
        found = PluginDirectory(chosen.plugin_dirs, chosen.plugins.disabled).scan()
    problems = [str(error) for error in (*catalog.rejected, *found.rejected)]
    if json:
        names = [profile.name for profile in catalog.profiles]
        print_json({"profiles": names, "plugins": sorted(found.plugins), "problems": problems})
    else:
        for problem in problems:
            err.print(f"[yellow]set aside:[/yellow] {escape(problem)}")
        out.print(
            f"configuration is valid; {counted(len(catalog.profiles), 'profile')} and "
            f"{counted(len(found.plugins), 'plugin')} can be used, {len(problems)} set aside"
        )
    if problems:
        raise typer.Exit(1)


def _try(chosen: Settings) -> None:
    """See whether the gateway could start with these settings, without starting it.

    Raises:
        ConfigError: With what is in the way.
    """
    edge_table(chosen, EdgePorts(0, 0, 0), dict.fromkeys(USERS, ""))
    place = chosen.gateway.state_dir.absolute()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError([f"gateway.state_dir = {str(place)!r}: {there} is not writable"])
    if len(os.fsencode(chosen.socket_path)) > _SOCKET_PATH_BYTES:
        raise ConfigError([f"gateway.state_dir = {str(place)!r}: too long for a local socket"])


def _say_ready(running: Running) -> None:
    chosen = running.settings
    embedded = running.leaf.mqtt_address
    where = f"mqtt://{embedded.host}:{embedded.port}" if embedded else chosen.mqtt.broker
    hub = chosen.hub.shown_url or "none yet: outcomes are kept until [hub] url is set"
    state = chosen.gateway.state_dir
    err.print(f"[green]weir {escape(chosen.gateway.name)}[/green] is ready for devices at {where}")
    err.print(f"  hub      {hub}", markup=False)
    err.print(f"  state    {state}   (weir status, weir devices, weir outcomes)", markup=False)
    err.print(f"  plugins  drop folders into {_drop_in(chosen)}", markup=False)


def _drop_in(chosen: Settings) -> Path:
    return chosen.plugin_dirs[-1]

"""The commands, put together; each is imported when it is asked for.

`weir status` is what people and scripts call most, and needs neither DuckDB nor NATS nor the
inference runtimes: importing all commands for each costs half a second here and seconds on a
small board.
"""

import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from gateway import __version__
from gateway.processor import refusal

_WHERE = {
    "run": ("running:run", "Run the gateway: take in devices' messages until SIGTERM or Ctrl-C."),
    "demo": (
        "demo:demo",
        "Run a gateway, a try-out hub, six simulated devices and a camera, and show what flows.",
    ),
    "join": (
        "join:join",
        "Connect this gateway to a hub: try it, write it down, and show the first outcome there.",
    ),
    "leave": (
        "join:leave",
        "Take the hub back that `weir join` wrote. Outcomes are kept, for the next hub.",
    ),
    "status": (
        "questions:status",
        "How the gateway is: what it received, keeps and has sent; what is unwell, and why.",
    ),
    "devices": (
        "questions:devices",
        "Devices with their firmware and newest readings, and whether they are there.",
    ),
    "outcomes": (
        "outcomes:outcomes",
        "What was found: the newest outcomes of this gateway, or with --hub of all gateways there.",
    ),
    "deadletters": (
        "questions:deadletters",
        "Messages that could not be decoded, or only in part: why, and a sample.",
    ),
    "sql": ("questions:sql", "Ask the feature store while the gateway runs; only reading."),
    "check": (
        "running:check",
        "Say everything that is wrong with configuration, profiles and plugins, all at once.",
    ),
    "doctor": (
        "doctor:doctor",
        "Look for what may be wrong with this box, and say what to do about it.",
    ),
    "support-bundle": (
        "support:support_bundle",
        "Put logs, configuration, versions, state and the doctor's findings into one archive.",
    ),
    "replay": (
        "replay:replay",
        "Publish a table of sensor data to the gateway as a device would, at QoS 1.",
    ),
    "hub": ("hub:hub", "Run a try-out hub until SIGTERM or Ctrl-C, or configure a real one."),
    "leaf": ("leaf:leaf", "The nats-server that keeps outcomes until the hub has them."),
    "plugin": ("plugin:plugin", "Plugins: what runs, a test of one, a new one."),
    "profile": ("profile:profile", "Firmware profiles: what is there, a test, a check, a draft."),
    "camera": ("camera:camera", "Cameras: add, list, take a picture."),
    "device": (
        "device:device",
        "Devices that may speak to the box: let one in, list them, throw one out; release one that"
        " was quarantined.",
    ),
    "pair": ("pair:pair", "Hear devices that nobody knows, and let in those that you accept."),
    "access": (
        "access:access",
        "The device broker's passwords, topics and certificates, as files.",
    ),
}
"""Each command's module in `gateway.cli` with its function or group there, and what it says of
itself in a list of commands: the first paragraph of its help, so that a list imports none."""


class _Commands(TyperGroup):
    """The commands of `_WHERE`, in that order."""

    def list_commands(self, _: Any) -> list[str]:  # noqa: ANN401 - typer's own context
        return list(_WHERE)

    def get_command(self, _: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ANN401
        """Return a command as lists and completion show it; it cannot be run."""
        found = _WHERE.get(cmd_name)
        return TyperCommand(cmd_name, help=found[1]) if found else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's types
        """Return the command that is to be run or asked for its help."""
        name = args[0]
        if name not in _WHERE:
            close = get_close_matches(name, _WHERE, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "weir --help lists them"
            ctx.fail(f"No such command {name!r}; {hint}")
        return name, _loaded(name), args[1:]


def _loaded(name: str) -> Any:  # noqa: ANN401 - typer's own types
    module, _, function = _WHERE[name][0].partition(":")
    found = getattr(import_module(f"gateway.cli.{module}"), function)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        alone.command()(found)
        found = alone
    command = get_command(found)
    command.name = name
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


weir = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@weir.callback()
def _weir(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            metavar="",
            help="print the version and stop",
        ),
    ] = False,
) -> None:
    """An edge AI gateway: raw data stays on the box, outcomes of at most 512 bytes leave it.

    Example: `weir demo` shows it all; `weir run` is the gateway, `weir status` how it is.
    """


def main() -> None:
    """Run the command line, unless this processor would not live through it."""
    if why := refusal():
        sys.exit(f"weir: {why}")
    weir()

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
from typer.core import TyperGroup
from typer.main import get_command

from gateway import __version__
from gateway.processor import refusal

_WHERE = {
    "run": "running:run",
    "demo": "demo:demo",
    "join": "join:join",
    "leave": "join:leave",
    "status": "questions:status",
    "devices": "questions:devices",
    "outcomes": "outcomes:outcomes",
    "deadletters": "questions:deadletters",
    "sql": "questions:sql",
    "check": "running:check",
    "doctor": "doctor:doctor",
    "support-bundle": "support:support_bundle",
    "replay": "replay:replay",
    "hub": "hub:hub",
    "leaf": "leaf:leaf",
    "plugin": "plugin:plugin",
    "profile": "profile:profile",
    "camera": "camera:camera",
    "device": "device:device",
    "pair": "pair:pair",
    "access": "access:access",
}
"""Each command's module in `gateway.cli`, and its function or group there."""


class _Commands(TyperGroup):
    """The commands of `_WHERE`, in that order."""

    def list_commands(self, _: Any) -> list[str]:  # noqa: ANN401 - typer's own context
        return list(_WHERE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - typer's own types
        if cmd_name not in _WHERE:
            close = get_close_matches(cmd_name, _WHERE, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "weir --help lists them"
            ctx.fail(f"No such command {cmd_name!r}; {hint}")
        module, _, name = _WHERE[cmd_name].partition(":")
        found = getattr(import_module(f"gateway.cli.{module}"), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            alone.command()(found)
            found = alone
        command = get_command(found)
        command.name = cmd_name
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

"""The commands, put together."""

import typer

from gateway import __version__
from gateway.cli import outcomes, questions, replay, running
from gateway.cli.console import out
from gateway.cli.demo import demo
from gateway.cli.hub import hub
from gateway.cli.plugin import plugin

weir = typer.Typer(
    help="An edge AI gateway: raw data stays on the box, outcomes of at most 512 bytes leave it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    running.run,
    demo,
    questions.status,
    questions.devices,
    outcomes.outcomes,
    questions.deadletters,
    questions.sql,
    running.check,
    replay.replay,
):
    weir.command()(command)
weir.add_typer(hub, name="hub")
weir.add_typer(plugin, name="plugin")


@weir.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


def main() -> None:
    """Run the command line."""
    weir()

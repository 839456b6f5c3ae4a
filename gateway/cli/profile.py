"""``weir profile``: the commands, put together."""

import typer

from gateway.cli.profile_check import check, lint
from gateway.cli.profile_draft import draft
from gateway.cli.profile_explain import explain
from gateway.cli.profile_list import list_, show

profile = typer.Typer(
    help="Firmware profiles: what is there, a test, a check, a draft.\n\n"
    "Example: `weir profile list`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
profile.command("list")(list_)
profile.command("show")(show)
profile.command("test")(check)
profile.command("lint")(lint)
profile.command("explain")(explain)
profile.command("draft")(draft)

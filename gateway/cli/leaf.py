"""``weir leaf``: the leaf as a process of its own."""

import asyncio
import faulthandler
import os
import signal

import typer

from gateway import journal
from gateway.cli.console import ConfigOption, StateOption, settings, told
from gateway.config import Settings
from gateway.leaf.alone import serve
from gateway.notify import Notifier

leaf = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")


@leaf.callback()
def _leaf() -> None:
    """The nats-server that keeps outcomes until the hub has them."""


@leaf.command("run")
def run(config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Run the leaf by itself until SIGTERM or Ctrl-C, for a gateway with `[leaf] run = "unit"`.

    It goes on while the gateway is restarted or upgraded. nats-server is restarted when it dies
    or hangs. Exit code 78 when the configuration is wrong, 1 when something is in the way that
    may be gone at the next try: a port, or a gateway that runs the leaf itself.

    Example: `weir leaf run -c /etc/weir/gateway.toml`
    """
    with told():
        chosen = settings(config, state_dir)  # nats-server says which of its files is missing
        journal.set_up(chosen.gateway.log_level, "weir-leaf")
        faulthandler.enable()
        asyncio.run(_run(chosen))


async def _run(chosen: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(chosen, stop, Notifier.of(os.environ))

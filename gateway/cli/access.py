"""``weir access``: the files that say who may speak to the device broker, for its unit."""

import socket
from pathlib import Path
from typing import Annotated

import typer

from gateway.access import broker
from gateway.access.authority import Authority
from gateway.access.files import become_owner
from gateway.access.hosts import host_names
from gateway.access.register import Register
from gateway.cli.console import ConfigOption, StateOption, out, settings, told

access = typer.Typer(
    help="The device broker's passwords, topics and certificates, as files.\n\n"
    "Example: `weir access prepare`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


def folder_of(config: Path | None, state_dir: Path | None) -> Path:
    """Return where the files of access lie; root goes on as their owner from here on."""
    state = settings(config, state_dir).gateway.state_dir
    become_owner(state)
    return state / "mqtt"


@access.command()
def prepare(config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Make what is missing, and renew the certificate when it is time; a running broker is told.

    It changes nothing when all is well. The broker's unit runs it before each start, and a timer
    now and then.

    Example: `weir access prepare`
    """
    with told():
        folder = folder_of(config, state_dir)
        changed = Register(folder).render()
        (folder / "conf.d").mkdir(mode=0o750, exist_ok=True)
        done = Authority(folder).prepare(socket.gethostname(), host_names())
        if changed or done:
            broker.reload(folder)
    out.print(
        done or ("passwords and topics written" if changed else "nothing to do"), markup=False
    )


@access.command()
def renew(
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key", metavar="", help="a new key too: fingerprints in devices count no more"
        ),
    ] = False,
    config: ConfigOption = None,
    state_dir: StateOption = None,
) -> None:
    """Make a new certificate for the broker now; connections stay, new ones see it.

    Example: `weir access renew`
    """
    with told():
        folder = folder_of(config, state_dir)
        authority = Authority(folder)
        authority.prepare(socket.gethostname(), host_names())
        authority.renew(host_names(), new_key=new_key)
        taken = broker.reload(folder)
    out.print(
        "renewed" + ("" if taken else "; the broker does not run here, it counts at its start")
    )

"""``weir hub``: a try-out hub, and the configuration of a real one."""

import asyncio
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.access.hosts import addresses, host_names
from gateway.cli.console import JsonOption, out, print_json, told
from gateway.cli.text import counted
from gateway.config import default_state_dir
from gateway.leaf.hub import Hub, HubOptions
from gateway.leaf.hub_config import render_hub_config

hub = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

_DirectoryOption = Annotated[Path | None, typer.Option("--dir", help="where it keeps outcomes")]


@hub.callback()
def run_hub(
    context: typer.Context,
    directory: _DirectoryOption = None,
    host: Annotated[str, typer.Option(help="address it listens on")] = "127.0.0.1",
    client_port: Annotated[int, typer.Option(help="for NATS clients; 0: a free one")] = 4222,
    leaf_port: Annotated[int, typer.Option(help="for gateways; 0: a free one")] = 7422,
    mqtt_port: Annotated[int, typer.Option(help="for MQTT 3.1.1 clients; 0: a free one")] = 1884,
    json: JsonOption = False,
) -> None:
    """Run a try-out hub until SIGTERM or Ctrl-C, or configure a real one.

    It is nats-server with the stream OUTCOMES; it prints what connects a gateway to it, and the
    `weir join` line for boxes of the network. On the loopback it lets everyone in.

    Example: `weir hub --host 0.0.0.0`
    """
    if context.invoked_subcommand:
        return
    options = HubOptions(
        directory=directory or default_state_dir().with_name("weir-hub"),
        host=host,
        client_port=client_port,
        leaf_port=leaf_port,
        mqtt_port=mqtt_port,
    )
    with told():
        asyncio.run(_serve(Hub(options), host, json=json))


@hub.command("config")
def config(
    gateways: Annotated[list[str], typer.Argument(help="names of the gateways that may connect")],
    output: Annotated[
        Path | None, typer.Option("-o", help="file; default: standard output")
    ] = None,
    store_dir: Annotated[str, typer.Option(help="where the hub keeps outcomes")] = "/var/lib/nats",
) -> None:
    """Write a nats-server configuration for a real hub, with a password for each gateway.

    Example: `weir hub config shop-01 shop-02 -o hub.conf`
    """
    names = {name: secrets.token_urlsafe(18) for name in gateways}
    users = {name: secrets.token_urlsafe(18) for name in ("admin", "reader", "sys")}
    try:
        text = render_hub_config(names, users, store_dir=store_dir)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    if output is None:
        out.print(text, markup=False, soft_wrap=True)
        return
    try:
        output.touch(mode=0o600)
        output.chmod(0o600)
        output.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise typer.BadParameter(f"{output}: {exc.strerror}") from exc
    holds = counted(len(names), "gateway")
    _print(f"{output}: for {holds}; it holds their passwords, keep it private")


async def _serve(server: Hub, host: str, *, json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    try:
        lines = server.connection_lines()
        if json:
            mqtt, port = server.mqtt_address
            urls = {"url": server.url, "leaf_url": server.leaf_url, "mqtt": f"{mqtt}:{port}"}
            print_json({**urls, "join": join_line(server, host)})
        else:
            out.print("[green]hub is ready[/green]; in a gateway's gateway.toml:", soft_wrap=True)
            for line in lines:
                _print(f"  {line}")
            _print(f"  # the same without a file: weir run --hub {server.leaf_url}")
            for line in _for_boxes(server, host):
                _print(line)
            _print(f"see what arrives: weir outcomes --follow --hub {server.url}")
        await stop.wait()
    finally:
        await server.stop()


def join_line(server: Hub, host: str) -> str:
    """Return what a box of this network is told to send its outcomes here; "" on the loopback.

    Args:
        server: Started.
        host: Where it listens; where that is everywhere, this machine's first address is said.
    """
    user, password = server.login
    if not user:
        return ""
    is_everywhere = host in {"0.0.0.0", "::"}  # noqa: S104 - to compare with
    there = (*addresses(), host_names()[0])[0] if is_everywhere else host
    there = f"[{there}]" if ":" in there else there
    # Not as --token, which everyone on the box could see while it runs.
    return (
        f"printf %s {password} | sudo weir join nats://{there}:{server.leaf_port} "
        f"--user {user} --token-file -"
    )


def _for_boxes(server: Hub, host: str) -> Iterator[str]:
    others = addresses()
    if line := join_line(server, host):
        yield f"on a box of this network: {line}"
        if more := [each for each in others if f"//{each}:" not in line]:
            yield f"  # other addresses of this machine: {', '.join(more)}"
    elif others:
        yield f"only this machine reaches it; for boxes of the network: weir hub --host {others[0]}"


def _print(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)

"""A link to a hub, tried by a nats-server of its own before anything of the gateway is changed."""

import asyncio
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import Settings
from gateway.errors import LeafError
from gateway.joining.login import Invitation
from gateway.joining.wording import reason
from gateway.leaf.conf import encode
from gateway.leaf.edge import USERS, EdgePorts, edge_table
from gateway.leaf.login import read_login
from gateway.leaf.passwords import write_private
from gateway.leaf.ports import Wanted, choose_ports
from gateway.leaf.server import NatsServer
from gateway.outcomes.hub import HubWatch
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import LinkError, connection

_LIMIT_S = 20.0
_STEADY_S = 0.6  # a link that the hub is going to refuse is counted until it does
_STREAM_S = 4.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Trial:
    """How a try went.

    Attributes:
        linked: The hub took the link.
        reason: Why not; "" when it did.
        takes_outcomes: The hub's stream answered under this gateway's name.
        outcomes_reason: Why not; "" when it did.
    """

    linked: bool
    reason: str = ""
    takes_outcomes: bool = False
    outcomes_reason: str = ""


async def try_hub(settings: Settings, asked: Invitation, *, limit_s: float = _LIMIT_S) -> Trial:
    """Link to a hub as the gateway would, for some seconds, and ask for its stream.

    Nothing is stored at the hub. A link that the gateway has already stays: this one has another
    server's name.

    Args:
        settings: The gateway's; its name is what the hub lets in.
        asked: The hub.
        limit_s: How long the link may take.

    Raises:
        LeafError: There is no nats-server, or it does not start with this.
        ConfigError: The url cannot be used.
    """
    folder = Path(tempfile.mkdtemp(prefix="weir-join-"))
    try:
        return await _try(folder, settings, asked, limit_s)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _try(folder: Path, settings: Settings, asked: Invitation, limit_s: float) -> Trial:
    login = folder / "login"
    if asked.login:
        write_private(login, asked.login)
    gateway = settings.gateway.model_copy(update={"state_dir": folder})
    hub = type(settings.hub).model_validate(asked.tables(login))
    leaf = settings.leaf.model_copy(update={"port": 0, "store_bytes": 8_000_000})
    trial = settings.model_copy(update={"gateway": gateway, "hub": hub, "leaf": leaf})
    ports = choose_ports(
        folder / "ports.json",
        {"client": Wanted("127.0.0.1"), "monitor": Wanted("127.0.0.1")},
    )
    passwords = {user: secrets.token_urlsafe(18) for user in USERS}
    directory = folder / "leaf"
    directory.mkdir()
    server = NatsServer(directory, ports["monitor"])
    await server.start(_config(trial, EdgePorts(**ports, mqtt=None), passwords))
    try:
        why = await _until_linked(server, directory / "nats-server.log", limit_s)
        if why:
            return Trial(linked=False, reason=why)
        url = f"nats://up:{passwords['up']}@127.0.0.1:{ports['client']}"
        why = await _ask_for_stream(url, settings.gateway.name)
        return Trial(True, "", not why, why)
    finally:
        await server.stop()


def _config(trial: Settings, ports: EdgePorts, passwords: dict[str, str]) -> str:
    """Return the gateway's configuration under another server's name and domain."""
    known = {**passwords, "hub": read_login(trial.hub)}
    table: dict[str, Any] = dict(edge_table(trial, ports, known))
    name = f"{trial.gateway.name}-join-{secrets.token_hex(3)}"
    table["server_name"] = name
    table["jetstream"] = {**table["jetstream"], "domain": name}
    return encode(table)


async def _until_linked(server: NatsServer, log: Path, limit_s: float) -> str:
    """Return "" once the link is up and stays, or why it does not come up."""
    loop = asyncio.get_running_loop()
    until, up_since = loop.time() + limit_s, 0.0
    while loop.time() < until:
        if why := reason(_lines(log)):
            return why
        if not await server.monitor.links():
            up_since = 0.0
        elif not up_since:
            up_since = loop.time()
        elif loop.time() - up_since > _STEADY_S:
            return ""
        await asyncio.sleep(_LOOK_S)
    return f"no link within {limit_s:.0f} s, and no reason for it either"


async def _ask_for_stream(url: str, gateway: str) -> str:
    """Return "" when the hub's stream answers, else what is in the way."""
    try:
        async with connection(url, gateway, "weir join") as client:
            watch = HubWatch(client, gateway, Lanes(0))
            asking = asyncio.ensure_future(watch.run())
            try:
                async with asyncio.timeout(_STREAM_S):
                    await watch.wait_up()
            except TimeoutError:
                return watch.reason
            finally:
                asking.cancel()
                with suppress(asyncio.CancelledError):
                    await asking
    except LinkError as exc:
        raise LeafError(f"the nats-server for the try does not answer: {exc}") from exc
    return ""


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []

"""Who listens where devices connect."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from gateway.access.register import GATEWAY_USER
from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn

_OURS = ("nats-server", "weir", "python3")
_TLS_PORT = 8883
_LINES = 'username = "weir" and password_file = "/etc/weir/secrets/broker.pass"'


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on a port.

    Attributes:
        port: The port.
        name: Of the program; "" when that may not be seen.
        command: Its command line.
    """

    port: int
    name: str
    command: str = ""

    @property
    def is_ours(self) -> bool:
        """Say whether this package runs it: its leaf, or Mosquitto with its configuration."""
        if self.name == "mosquitto":
            return "weir" in self.command
        return self.name in _OURS

    def __str__(self) -> str:
        return f"port {self.port} is held by {self.command or self.name or 'a program not seen'}"


def ports(box: Box) -> Iterator[Finding]:
    """Tell who holds the ports that devices use."""
    mqtt = box.settings.mqtt
    if mqtt.broker != "embedded":
        at = urlsplit(mqtt.broker)
        if at.hostname not in {"127.0.0.1", "::1", "localhost"}:
            yield ok(f"the device broker is elsewhere: {mqtt.broker}")
            return
        wanted = {at.port or 1883: False, _TLS_PORT: True}
    else:
        wanted = {mqtt.port: False} if mqtt.port else {}
    for port, is_optional in wanted.items():
        yield from judge(port, listener(port), embedded=mqtt.broker == "embedded",
                         is_optional=is_optional, running=box.status is not None,
                         is_chosen=mqtt.username != GATEWAY_USER)  # fmt: skip


def judge(
    port: int,
    found: Listener | None,
    *,
    embedded: bool,
    is_optional: bool,
    running: bool,
    is_chosen: bool,
) -> Iterator[Finding]:
    """Yield what a port's holder means.

    Args:
        port: Where devices connect.
        found: Who listens there.
        embedded: The leaf is to listen there.
        is_optional: Nobody has to.
        running: A gateway runs.
        is_chosen: The gateway has a login that is not of this package's broker.
    """
    if found is None:
        if is_optional:
            yield ok(f"nobody listens on port {port}: no TLS for devices")
        elif embedded and not running:
            yield ok(f"port {port} is free for the gateway")
        else:
            yield fail(
                f"nobody listens on port {port}: devices cannot connect",
                "systemctl status weir-leaf" if embedded else "systemctl status weir-mqtt",
            )
    elif not found.name:
        yield unseen(f"port {port} is taken; by whom is not seen")
    elif found.is_ours:
        yield ok(str(found))
    elif embedded:
        yield fail(
            f"{found}, and the gateway's own broker is to listen there",
            f'use that one ([mqtt] broker = "mqtt://127.0.0.1:{port}"), or another [mqtt] port, or '
            "stop it",
        )
    elif is_chosen:
        yield ok(f"{found}; [mqtt] says how the gateway comes in there")
    else:
        yield warn(
            f"{found}, which was here before or is another program's: weir-mqtt stands back for "
            "it, its own configuration says who may connect, and weir device has no say in it",
            "to use it, make a user there that may read all topics, and put two lines below "
            f"[mqtt] into /etc/weir/gateway.d/broker.toml: {_LINES}; restart weir-gateway. To use "
            "this package's: systemctl disable --now mosquitto; systemctl restart weir-mqtt",
        )


def listener(port: int) -> Listener | None:
    """Return who listens on a TCP port of this machine, None for nobody."""
    try:
        found = [
            each
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        ]
    except (psutil.Error, OSError):
        return Listener(port, "") if _answers(port) else None
    if not found:
        return None
    pid = next((each.pid for each in found if each.pid), None)
    return _of(port, pid) if pid else Listener(port, "")


def _of(port: int, pid: int) -> Listener:
    try:
        process = psutil.Process(pid)
        arguments = process.cmdline()
        name = Path(arguments[0]).name if arguments else process.name()
        return Listener(port, name, " ".join(arguments)[:120])
    except (psutil.Error, OSError):
        return Listener(port, "")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False

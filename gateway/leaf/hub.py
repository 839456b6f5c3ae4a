"""The try-out hub: one nats-server on which outcomes arrive, to see and to count."""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import LeafError
from gateway.leaf import orphan, streams
from gateway.leaf.edge import MEGABYTE
from gateway.leaf.hub_config import HUB_USERS, HubPorts, render_tryout
from gateway.leaf.passwords import keep_passwords
from gateway.leaf.ports import Wanted, choose_ports
from gateway.leaf.server import NatsServer

_REMEDY = "say another one, or stop what holds it"


@dataclass(frozen=True, slots=True)
class HubOptions:
    """What a try-out hub is told.

    Attributes:
        directory: Its own: store, configuration, log.
        host: Where it listens; beyond the loopback a password is needed to come in.
        client_port: For NATS clients; 0 (of any port): a free one.
        leaf_port: For gateways.
        mqtt_port: For MQTT 3.1.1 clients.
        max_bytes: Above this the oldest outcomes go.
    """

    directory: Path
    host: str = "127.0.0.1"
    client_port: int = 4222
    leaf_port: int = 7422
    mqtt_port: int = 1884
    max_bytes: int = 1000 * MEGABYTE


class Hub:
    """A try-out hub. `stop` and `start` again keep store, ports and password."""

    def __init__(self, options: HubOptions) -> None:
        self._options = options
        self._ports: HubPorts | None = None
        self._server: NatsServer | None = None
        self._passwords: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Say whether one comes in without a password: on the loopback only."""
        return _is_loopback(self._options.host)

    @property
    def url(self) -> str:
        """Return where NATS clients connect (account FLEET)."""
        return self._address("nats", self._chosen.client)

    @property
    def leaf_url(self) -> str:
        """Return where gateways connect: their ``[hub] url``."""
        return self._address("nats-leaf", self._chosen.leaf)

    @property
    def leaf_port(self) -> int:
        """Return the port of the leaf listener."""
        return self._chosen.leaf

    @property
    def mqtt_address(self) -> tuple[str, int]:
        """Return host and port for MQTT 3.1.1 clients; topics are ``outcomes/...``."""
        return self._reachable, self._chosen.mqtt

    @property
    def pid(self) -> int | None:
        """Return the process's number, or None when it does not run."""
        return self._server.pid if self._server else None

    async def start(self) -> None:
        """Start and return once gateways can connect and the stream is there.

        Raises:
            LeafError: A port is taken, the directory is in use, or it does not start.
        """
        directory = self._options.directory.absolute()
        _make(directory)
        await orphan.reap(directory / "server.json")
        try:
            self._choose(directory)
        except OSError as exc:
            raise LeafError(f"cannot write into {directory}: {exc.strerror}") from exc
        config = render_tryout(
            directory,
            self._options.host,
            self._chosen,
            self._passwords,
            self._options.max_bytes,
            is_open=self.is_open,
        )
        server = self._server = NatsServer(directory, self._chosen.monitor)
        await server.start(config)
        try:
            await streams.ensure_outcomes(self.url, self._options.max_bytes)
        except BaseException:
            await server.stop()
            raise

    async def stop(self) -> None:
        """Stop in order. May be called twice."""
        if self._server:
            await self._server.stop()

    async def links(self) -> int:
        """Return how many gateways are connected."""
        return await self._server.monitor.links() if self._server else 0

    async def count(self) -> int:
        """Return how many outcomes have arrived, each counted once.

        Raises:
            LeafError: It does not run.
        """
        return await streams.count_outcomes(self.url)

    def connection_lines(self) -> list[str]:
        """Return the lines of ``gateway.toml`` that connect a gateway to it."""
        return ["[hub]", f"url = {json.dumps(self.leaf_url)}"]

    @property
    def login(self) -> tuple[str, str]:
        """Return user and password of gateways; both "" where everyone is let in."""
        return ("", "") if self.is_open else ("fleet", self._passwords["fleet"])

    @property
    def _chosen(self) -> HubPorts:
        if self._ports is None:
            raise LeafError("the hub was not started yet")
        return self._ports

    @property
    def _reachable(self) -> str:
        host = self._options.host
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to compare with

    def _address(self, scheme: str, port: int) -> str:
        user, password = self.login
        login = f"{user}:{password}@" if user else ""
        host = f"[{self._reachable}]" if ":" in self._reachable else self._reachable
        return f"{scheme}://{login}{host}:{port}"

    def _choose(self, directory: Path) -> None:
        options, known = self._options, self._ports
        host = options.host
        ports = choose_ports(
            directory / "ports.json",
            {
                "client": Wanted(host, known.client if known else options.client_port, _REMEDY),
                "leaf": Wanted(host, known.leaf if known else options.leaf_port, _REMEDY),
                "mqtt": Wanted(host, known.mqtt if known else options.mqtt_port, _REMEDY),
                "monitor": Wanted("127.0.0.1"),
            },
        )
        self._ports = HubPorts(**ports)
        self._passwords = keep_passwords(directory / "passwords.json", HUB_USERS)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise LeafError(f"cannot make {directory}: {exc.strerror}") from exc

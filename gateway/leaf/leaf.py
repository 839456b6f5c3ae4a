"""The gateway's own nats-server: started, watched, restarted, stopped."""

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from gateway.config import Settings
from gateway.errors import LeafError
from gateway.leaf import claim, orphan, streams
from gateway.leaf.addresses import PASSWORDS_FILE, PORTS_FILE, Addresses, MqttAddress
from gateway.leaf.ballast import Ballast
from gateway.leaf.damaged import set_aside
from gateway.leaf.edge import USERS, EdgePorts, leaf_dir, render_edge
from gateway.leaf.handshake import shake_hands
from gateway.leaf.login import read_login
from gateway.leaf.passwords import keep_passwords
from gateway.leaf.ports import Wanted, choose_ports
from gateway.leaf.server import SERVER_FILE, DamagedStreamError, NatsServer

log = logging.getLogger(__name__)

_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_RESTART_STOP_S = 1.0  # what hangs does not stop in order; killed, it loses nothing
_MOST_DAMAGED = 8  # streams: the queue, the probe, those of MQTT
_ROOM_LOOK_S = 0.5
_WELL_S = 10.0  # a server that ran so long starts again with the shortest wait
_MQTT_REMEDY = (
    "set another one ([mqtt] port = 1884, or --port 1884), or use the broker that is there "
    '([mqtt] broker = "mqtt://127.0.0.1:1883")'
)


@dataclass(frozen=True, slots=True)
class LeafState:
    """What `weir status` shows.

    Attributes:
        running: The process is there.
        ready: It answered the last check.
        restarts: Since the gateway started.
        link: The link to the hub is up; None without a hub.
        rss_bytes: Resident memory; 0 when it does not run.
        uptime_s: Of the process.
    """

    running: bool
    ready: bool
    restarts: int
    link: bool | None
    rss_bytes: int
    uptime_s: float


class Leaf:
    """The leaf of one gateway.

    Args:
        settings: The configuration.
        role: As what this process runs it: `claim.GATEWAY` or `claim.ALONE`.
        check_every_s: Between two looks at ``/healthz``.
        probe_every_s: Between two messages stored for trial; each costs the disk a sync.
        patience: How many checks in a row may fail before the server is restarted. A slow disk
            holds up a healthy server for seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        role: str = claim.GATEWAY,
        check_every_s: float = 1.0,
        probe_every_s: float = 15.0,
        patience: int = 3,
    ) -> None:
        self._settings = settings
        self._check_every_s = check_every_s
        self._probe_every_s = probe_every_s
        self._patience = patience
        self._directory = leaf_dir(settings)
        self._role = role
        self._ballast = Ballast(self._directory, settings.leaf.ballast_bytes)
        self._held = ExitStack()
        self._addresses: Addresses | None = None
        self._server: NatsServer | None = None
        self._started_at = 0.0
        self._ready = False
        self._link = False
        self._restarts = 0

    @property
    def uplink_url(self) -> str:
        """Return where the outbox and the forwarder connect (account UP). Holds a password."""
        return self._chosen.uplink_url

    @property
    def local_url(self) -> str:
        """Return where NATS clients of this box reach the devices' account (user ``ingest``)."""
        return self._chosen.local_url

    @property
    def mqtt_address(self) -> MqttAddress | None:
        """Return where ingest connects, or None when the devices have another broker."""
        return self._chosen.mqtt

    @property
    def is_waited_for(self) -> bool:
        """Say whether it is away, and another process has to bring it back: never here."""
        return False

    @property
    def domain(self) -> str:
        """Return the JetStream domain of this side."""
        return self._settings.gateway.name

    @property
    def inbox_prefix(self) -> str:
        """Return the prefix of reply subjects that a hub lets this gateway listen on."""
        return f"_INBOX.{self._settings.gateway.name}"

    @property
    def restarts(self) -> int:
        """Return how often the server was restarted since `start`."""
        return self._restarts

    async def start(self) -> None:
        """Start the server and return once it takes outcomes and devices.

        Raises:
            ConfigError: The configuration cannot be rendered.
            LeafError: A port is taken, another process uses the directory, or it does not start.
        """
        self._make_directory()
        with claim.claim(self._directory / "lock", self._role) as held:
            await orphan.reap(self._directory / SERVER_FILE)
            try:
                self._choose()
                self._ballast.look()
            except OSError as exc:
                raise LeafError(f"cannot write into {self._directory}: {exc.strerror}") from exc
            await self._launch()
            self._held = held.pop_all()

    async def stop(self) -> None:
        """Stop the server in order. May be called twice."""
        self._ready = self._link = False
        if self._server:
            await self._server.stop()
        self._held.close()

    async def watch(self) -> None:
        """Watch the server and restart it, until cancelled; never gives up."""
        attempt = 0
        while True:
            if self._server and self._server.pid:
                reason = await self._until_unwell()
                if time.monotonic() - self._started_at > _WELL_S:
                    attempt = 0
            else:
                reason = "it is not running"
            wait_s = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
            log.warning("leaf: %s; restart in %.1f s", reason, wait_s)
            await self._pause(wait_s)
            attempt += 1
            try:
                await self.restart()
            except LeafError as exc:
                log.error("leaf: %s", exc)  # noqa: TRY400 - its text says all; it is tried again

    async def _pause(self, limit_s: float) -> None:
        """Wait before a restart; when there was no room on the disk, only until there is."""
        until = time.monotonic() + limit_s
        was_short = self._ballast.is_short()
        if was_short:
            self._look_at_room()
        while (left_s := until - time.monotonic()) > 0:
            if was_short and not self._ballast.is_short():
                return
            await asyncio.sleep(min(left_s, _ROOM_LOOK_S))

    def _look_at_room(self) -> bool:
        """Return whether room was so short that what is kept for that was given up now."""
        try:
            return self._ballast.look()
        except OSError as exc:
            log.warning("leaf: %s: %s", self._directory, exc.strerror)
            return False

    async def restart(self) -> None:
        """Restart the server on the same ports and store.

        Raises:
            LeafError: It does not start.
        """
        self._restarts += 1
        self._ready = self._link = False
        if self._server:
            await self._server.stop(_RESTART_STOP_S)
        await self._launch()

    async def link_up(self) -> bool:
        """Say whether the link to the hub is up now."""
        self._link = self._server is not None and await self._server.monitor.links() > 0
        return self._link

    def state(self) -> LeafState:
        """Return how the server is, as of the last check."""
        pid = self._server.pid if self._server else None
        return LeafState(
            running=pid is not None,
            ready=self._ready,
            restarts=self._restarts,
            link=self._link if self._settings.hub.url else None,
            rss_bytes=_rss_bytes(pid),
            uptime_s=time.monotonic() - self._started_at if pid else 0.0,
        )

    @property
    def _chosen(self) -> Addresses:
        if self._addresses is None:
            raise LeafError("the leaf was not started yet")
        return self._addresses

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise LeafError(f"cannot make {self._directory}: {exc.strerror}") from exc

    def _choose(self) -> None:
        mqtt, leaf = self._settings.mqtt, self._settings.leaf
        wanted = {
            "client": Wanted(
                "127.0.0.1", leaf.port, "set another [leaf] port, or 0 for a free one"
            ),
            "monitor": Wanted("127.0.0.1"),
        }
        if mqtt.broker == "embedded":
            wanted["mqtt"] = Wanted(mqtt.host, mqtt.port, _MQTT_REMEDY)
        ports = choose_ports(self._directory / PORTS_FILE, wanted)
        chosen = EdgePorts(ports["client"], ports["monitor"], ports.get("mqtt"))
        passwords = keep_passwords(self._directory / PASSWORDS_FILE, USERS)
        self._addresses = Addresses(mqtt.host, chosen, passwords)

    async def _launch(self) -> None:
        _, ports, passwords = self._chosen
        secrets = {**passwords, "hub": read_login(self._settings.hub)}
        config = render_edge(self._settings, ports, secrets)
        server = self._server = NatsServer(self._directory, ports.monitor)
        for _ in range(_MOST_DAMAGED):
            try:
                await server.start(config)
            except DamagedStreamError as exc:
                log.error("leaf: %s; it is set aside", exc)  # noqa: TRY400 - its text says all
                set_aside(exc.folder, self._directory)
            else:
                break
        else:
            raise LeafError(f"streams in {self._directory} cannot be recovered, one after another")
        self._started_at = time.monotonic()
        try:
            await self._settle()
        except BaseException:
            await server.stop()
            raise
        self._ready = True

    async def _settle(self) -> None:
        """Have a message stored for trial, and the streams of MQTT made and bounded."""
        await streams.probe(self.uplink_url)
        address = self.mqtt_address
        if address:
            await shake_hands(*address)
            await streams.cap_mqtt(self.local_url, self._settings.leaf.mqtt_store_bytes)

    async def _until_unwell(self) -> str:
        """Return why the server has to be restarted, as soon as it has to."""
        server = self._server
        if server is None:
            return "it is not running"
        dead = asyncio.ensure_future(server.ended())
        hung = asyncio.ensure_future(self._until_stuck(server))
        try:
            await asyncio.wait({dead, hung}, return_when=asyncio.FIRST_COMPLETED)
            return f"nats-server died ({dead.result()})" if dead.done() else hung.result()
        finally:
            for task in (dead, hung):
                task.cancel()
            await asyncio.gather(dead, hung, return_exceptions=True)

    async def _until_stuck(self, server: NatsServer) -> str:
        failed, probed_at = 0, time.monotonic()
        while failed < self._patience:
            await asyncio.sleep(self._check_every_s)
            well = await server.monitor.healthy()
            if self._look_at_room() and not await self._stores():
                return "it is stuck since the disk was full"
            if well and (failed or time.monotonic() - probed_at >= self._probe_every_s):
                well, probed_at = await self._stores(), time.monotonic()
            failed = 0 if well else failed + 1
            self._ready = well
            self._link = well and await server.monitor.links() > 0
        return f"nats-server failed {failed} checks in a row"

    async def _stores(self) -> bool:
        try:
            await streams.probe(self.uplink_url)
        except LeafError as exc:
            log.warning("leaf: the trial message was not stored: %s", exc)
            return False
        return True


def _rss_bytes(pid: int | None) -> int:
    """Return the resident memory of a process; 0 where there is none."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0

"""The leaf of a gateway when another process runs it: `weir leaf run`, on the same directory.

The two meet in its files: ports and passwords, and which process the server is. Nothing is started
or stopped here, and a leaf that is away is waited for: its own process brings it back.
"""

import asyncio
import logging
import time

from gateway.config import Settings
from gateway.errors import LeafError
from gateway.leaf import orphan, streams
from gateway.leaf.addresses import Addresses, MqttAddress, read_addresses
from gateway.leaf.edge import leaf_dir
from gateway.leaf.leaf import LeafState
from gateway.leaf.monitor import Monitor, Process
from gateway.leaf.server import SERVER_FILE

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_TELL_EVERY_S = 10.0


class LeafUnit:
    """The leaf that runs as a process of its own.

    Args:
        settings: The configuration, the same as that process has.
        check_every_s: Between two looks at ``/healthz``.
        probe_every_s: Between two messages stored for trial, over a connection like the gateway's.
        wait_s: How long a start waits for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        check_every_s: float = 1.0,
        probe_every_s: float = 15.0,
        wait_s: float = 120.0,
    ) -> None:
        self._settings = settings
        self._check_every_s = check_every_s
        self._probe_every_s = probe_every_s
        self._wait_s = wait_s
        self._file = leaf_dir(settings) / SERVER_FILE
        self._addresses: Addresses | None = None
        self._server: orphan.Identity | None = None
        self._restarts = 0
        self._healthy = self._ready = self._link = False
        self._probed_at = 0.0
        self._process = Process()

    @property
    def uplink_url(self) -> str:
        """Return where the outbox and the forwarder connect (account UP). Holds a password."""
        return self._chosen.uplink_url

    @property
    def mqtt_address(self) -> MqttAddress | None:
        """Return where ingest connects, or None when the devices have another broker."""
        return self._chosen.mqtt

    @property
    def is_waited_for(self) -> bool:
        """Say whether it is away, and another process has to bring it back."""
        return not self._healthy

    async def start(self) -> None:
        """Return once the leaf answers and takes a message.

        Raises:
            LeafError: It does not within the limit; the text says what is missing.
        """
        began = told_at = time.monotonic()
        while reason := await self._reach():
            now = time.monotonic()
            if now - began > self._wait_s:
                raise LeafError(f"waited {self._wait_s:.0f} s for the leaf: {reason}")
            if told_at == began or now - told_at >= _TELL_EVERY_S:
                told_at = now
                log.info("waiting for the leaf (weir leaf run, weir-leaf.service): %s", reason)
            await asyncio.sleep(_LOOK_S)
        self._server = orphan.recorded(self._file)
        self._process = await Monitor(self._chosen.ports.monitor).process()

    async def stop(self) -> None:
        """Use it no more; it goes on."""
        self._healthy = self._ready = self._link = False

    async def watch(self) -> None:
        """Note how it is, until cancelled.

        Raises:
            LeafError: It has come back with other ports or passwords: what is connected here
                would wait for ever.
        """
        while True:
            await asyncio.sleep(self._check_every_s)
            was_ready = self._ready
            await self._check()
            if was_ready and not self._ready:
                log.warning("leaf: it does not answer; it is waited for")
            elif self._ready and not was_ready:
                log.info("leaf: it is back")

    def state(self) -> LeafState:
        """Return how the server is, as of the last check."""
        return LeafState(
            running=self._healthy,
            ready=self._ready,
            restarts=self._restarts,
            link=self._link if self._settings.hub.url else None,
            rss_bytes=self._process.rss_bytes,
            uptime_s=self._process.uptime_s,
        )

    @property
    def _chosen(self) -> Addresses:
        if self._addresses is None:
            raise LeafError("the leaf was not reached yet")
        return self._addresses

    async def _reach(self) -> str:
        """Return why it cannot be used yet; "" once it can."""
        try:
            found = read_addresses(self._settings)
            self._healthy = await Monitor(found.ports.monitor).healthy()
            if not self._healthy:
                return f"it does not run on {self._file.parent}, or is not ready"
            await self._probe(found)
        except LeafError as exc:
            return str(exc)
        self._addresses = found
        return ""

    async def _probe(self, addresses: Addresses) -> None:
        self._ready = False
        await streams.probe(addresses.uplink_url)
        self._ready, self._probed_at = True, time.monotonic()

    async def _check(self) -> None:
        monitor = Monitor(self._chosen.ports.monitor)
        self._healthy = await monitor.healthy()
        if self._note_restart() or not (self._healthy and self._ready):
            self._see_it_stays()
        if not self._healthy:
            self._ready = self._link = False
            self._process = Process()
            return
        if not self._ready or time.monotonic() - self._probed_at >= self._probe_every_s:
            try:
                await self._probe(self._chosen)
            except LeafError as exc:
                log.warning("leaf: the trial message was not stored: %s", exc)
        self._link = await monitor.links() > 0
        self._process = await monitor.process()  # a closed unit may not look at another's process

    def _note_restart(self) -> bool:
        found = orphan.recorded(self._file)
        if found is None or found == self._server:
            return False
        self._server = found
        self._restarts += 1
        return True

    def _see_it_stays(self) -> None:
        """Raise if the leaf is now to be reached otherwise than it was."""
        try:
            found = read_addresses(self._settings)
        except LeafError as exc:
            log.debug("leaf: %s", exc)
            return
        if found != self._chosen:
            raise LeafError("it was started on other ports, or with new passwords; starting anew")

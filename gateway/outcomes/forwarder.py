"""From the leaf's queue to the hub: in order, each packet acknowledged here once it is there.

`gateway.outcomes.lane` says how; here both lanes run, and are started again when the leaf was away.
"""

import asyncio
import logging
import random
from dataclasses import dataclass

from gateway.outcomes.hub import HubWatch
from gateway.outcomes.lane import Counts, Lane
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import Line, LinkError, connection
from gateway.outcomes.refusal import try_again
from gateway.topics import OUTQ_LATE, OUTQ_LIVE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ForwarderState:
    """What the forwarder has done and how the hub is.

    Attributes:
        up: The hub takes outcomes.
        reason: Why not; "" while it does.
        forwarded: Packets that the hub acknowledged, late ones and duplicates included.
        forwarded_late: Those of the late lane.
        duplicates: Those that the hub had already.
        late_waiting: Packets in the late lane.
        refused: Packets that the hub does not take and that were moved aside; each start tries them
            again.
        refused_reason: Why it did not take the last of them.
        last_error: What ended a session last; "" if nothing did.
        last_forward_ns: When the hub acknowledged last, Unix time; 0 if it never did.
    """

    up: bool = False
    reason: str = "not connected to the leaf"
    forwarded: int = 0
    forwarded_late: int = 0
    duplicates: int = 0
    late_waiting: int = 0
    refused: int = 0
    refused_reason: str = ""
    last_error: str = ""
    last_forward_ns: int = 0


class Forwarder:
    """Brings what the outbox stored to the hub.

    Args:
        url: ``nats://user:password@host:port`` of the leaf's account ``UP``, the one on the link.
        gateway: The gateway's name.
        lanes: Shared with the outbox.
        drain_per_s: At most so many packets of a backlog a second; 0: as many as go.
        timeout_s: Longest wait for the hub's acknowledgement.
    """

    def __init__(
        self,
        url: str,
        gateway: str,
        lanes: Lanes,
        *,
        drain_per_s: int = 0,
        timeout_s: float = 4.0,
    ) -> None:
        self._url = url
        self._gateway = gateway
        self._lanes = lanes
        self._drain_per_s = drain_per_s
        self._timeout_s = timeout_s
        self._counts = Counts()
        self._tried_again = False
        self._hub: HubWatch | None = None

    def state(self) -> ForwarderState:
        """Return a snapshot for metrics and ``weir status``."""
        counts, hub = self._counts, self._hub
        return ForwarderState(
            up=hub.up if hub else False,
            reason=hub.reason if hub else "not connected to the leaf",
            forwarded=counts.forwarded,
            forwarded_late=counts.forwarded_late,
            duplicates=counts.duplicates,
            late_waiting=self._lanes.waiting,
            refused=counts.refused,
            refused_reason=counts.refused_reason,
            last_error=counts.last_error,
            last_forward_ns=counts.last_forward_ns,
        )

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            try:
                async with connection(self._url, self._gateway, "weir forwarder") as client:
                    await self._run_on(client)
            except LinkError as exc:
                self._note(exc)
                await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret

    async def _run_on(self, client: Line) -> None:
        if not self._tried_again:
            count = await try_again(client)
            self._tried_again = True
            if count:
                log.info("forwarder: %d packets that the hub refused are tried again", count)
                self._lanes.is_stale = True
        self._hub = hub = HubWatch(client, self._gateway, self._lanes)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hub.run(), name="hub watch")
                for name in (OUTQ_LIVE, OUTQ_LATE):
                    lane = Lane(
                        name,
                        client,
                        hub=hub,
                        lanes=self._lanes,
                        counts=self._counts,
                        drain_per_s=self._drain_per_s,
                        timeout_s=self._timeout_s,
                    )
                    tasks.create_task(lane.run(), name=f"forward {name}")
        finally:
            hub.lost("forwarder is stopped")

    def _note(self, exc: LinkError) -> None:
        self._counts.last_error = str(exc)
        log.warning("forwarder: %s", exc)

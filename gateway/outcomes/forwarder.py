"""From the leaf's queue to the hub: in order, each packet acknowledged here once it is there.

A lane is a loop of sessions. A session reads its lane from the oldest packet on and forwards it in
order; whatever goes wrong ends it, and the next one begins again at the oldest packet that is still
queued. So nothing has to be remembered of what was under way: what the hub has already it calls a
duplicate, and nothing waits for an acknowledgement to time out.
"""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.outcomes.hub import HubWatch
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import LinkError, connection, translated
from gateway.outcomes.outbox import sequence_of
from gateway.outcomes.packet import source_of
from gateway.outcomes.publishing import Letter, Publisher
from gateway.outcomes.pull import pulling
from gateway.topics import HUB_STREAM, OUTQ_LATE, OUTQ_LIVE, OUTQ_STREAM

log = logging.getLogger(__name__)

LATE_HEADER = "Weir-Late"
MAX_BATCH = 200

_ACK_WAIT_S = 60  # only for messages that got lost between leaf and forwarder
_YIELD_S = 0.005
_NS = 1_000_000_000


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
        last_error: What ended a session last; "" if nothing did.
        last_forward_ns: When the hub acknowledged last, Unix time; 0 if it never did.
    """

    up: bool = False
    reason: str = "not connected to the leaf"
    forwarded: int = 0
    forwarded_late: int = 0
    duplicates: int = 0
    late_waiting: int = 0
    last_error: str = ""
    last_forward_ns: int = 0


@dataclass(slots=True)
class _Counts:
    forwarded: int = 0
    forwarded_late: int = 0
    duplicates: int = 0
    last_error: str = ""
    last_forward_ns: int = 0


class Forwarder:
    """Brings what the outbox stored to the hub.

    Args:
        url: ``nats://user:password@host:port`` of the leaf's account ``UP``, the one on the link.
        gateway: The gateway's name.
        lanes: Shared with the outbox.
        timeout_s: Longest wait for the hub's acknowledgement.
    """

    def __init__(self, url: str, gateway: str, lanes: Lanes, *, timeout_s: float = 4.0) -> None:
        self._url = url
        self._gateway = gateway
        self._lanes = lanes
        self._timeout_s = timeout_s
        self._counts = _Counts()
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

    async def _run_on(self, client: Client) -> None:
        self._hub = hub = HubWatch(client, self._gateway, self._lanes)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hub.run(), name="hub watch")
                for name in (OUTQ_LIVE, OUTQ_LATE):
                    lane = _Lane(
                        name,
                        client,
                        hub=hub,
                        lanes=self._lanes,
                        counts=self._counts,
                        timeout_s=self._timeout_s,
                    )
                    tasks.create_task(lane.run(), name=f"forward {name}")
        finally:
            hub.lost("forwarder is stopped")

    def _note(self, exc: LinkError) -> None:
        self._counts.last_error = str(exc)
        log.warning("forwarder: %s", exc)


class _Lane:
    """One lane of the queue on its way to the hub."""

    def __init__(
        self,
        name: str,
        client: Client,
        *,
        hub: HubWatch,
        lanes: Lanes,
        counts: _Counts,
        timeout_s: float,
    ) -> None:
        self._name = name
        self._late = name == OUTQ_LATE
        self._headers = {LATE_HEADER: "1"} if self._late else {}
        self._consumer = name.replace(".", "-")
        self._client = client
        self._hub = hub
        self._lanes = lanes
        self._counts = counts
        self._publisher = Publisher(client, HUB_STREAM, timeout_s, near=False)
        self._limit = MAX_BATCH

    async def run(self) -> None:
        """Forward until cancelled, one session after the other while the hub is up."""
        while True:
            await self._hub.wait_up()
            try:
                await self._session()
            except LinkError as exc:
                # Less at once next time: over a slow link a batch may take longer than its limit.
                self._limit = max(1, self._limit // 2)
                self._counts.last_error = str(exc)
                self._hub.lost(str(exc))
                log.info("%s: %s", self._name, exc)

    async def _session(self) -> None:
        config = {
            "filter_subject": f"{self._name}.>",
            "ack_policy": "explicit",
            "ack_wait": _ACK_WAIT_S * _NS,
            "deliver_policy": "all",
        }
        async with pulling(self._client, OUTQ_STREAM, self._consumer, config) as pull:
            while True:
                messages = await pull.take(self._limit)
                if self._late:
                    await self._forward_behind_live(messages)
                else:
                    await self._forward(messages)

    async def _forward_behind_live(self, messages: list[Msg]) -> None:
        """Forward, each only when no older packet is left in the live lane."""
        while messages:
            live = await sequence_of(self._client, {"seq": 1, "next_by_subj": f"{OUTQ_LIVE}.>"})
            free = sum(1 for m in messages if not live or m.metadata.sequence.stream < live)
            if free:
                await self._forward(messages[:free])
                messages = messages[free:]
                continue
            self._refuse_while_down()
            await asyncio.sleep(_YIELD_S)

    async def _forward(self, messages: Sequence[Msg]) -> None:
        self._refuse_while_down()
        letters = [self._letter(m) for m in messages]
        stored = await self._publisher.publish(letters)
        self._lanes.underway.gone(letter.id for letter in letters)
        self._hub.took()
        self._limit = min(MAX_BATCH, self._limit * 2)
        self._counts.forwarded += len(stored)
        self._counts.duplicates += sum(s.duplicate for s in stored)
        self._counts.last_forward_ns = time.time_ns()
        if self._late:
            self._counts.forwarded_late += len(stored)
            self._lanes.forwarded_late([m.metadata.sequence.stream for m in messages])
        with translated("acknowledging"):
            for message in messages:
                await message.ack()

    def _letter(self, message: Msg) -> Letter:
        sequence = message.metadata.sequence.stream
        return Letter(
            id=(message.headers or {}).get("Nats-Msg-Id", f"{OUTQ_STREAM}-{sequence}"),
            source=source_of(message.data),
            subject=message.subject.removeprefix(f"{self._name}."),
            payload=message.data,
            headers=self._headers,
        )

    def _refuse_while_down(self) -> None:
        if not self._hub.up:
            raise LinkError(self._hub.reason)

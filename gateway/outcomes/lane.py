"""One lane of the queue on its way to the hub.

A loop of sessions. A session reads its lane from the oldest packet on and forwards it in order;
whatever goes wrong ends it, and the next one begins again at the oldest packet that is still
queued. So nothing has to be remembered of what was under way: what the hub has already it calls a
duplicate, and nothing waits for an acknowledgement to time out.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg

from gateway.outcomes.direct import Queued, QueueReader, delete, reading
from gateway.outcomes.hub import HubWatch
from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import Line, LinkError, translated
from gateway.outcomes.outbox import sequence_of
from gateway.outcomes.packet import named
from gateway.outcomes.publishing import Letter, LettersError, Publisher
from gateway.outcomes.pull import pulling
from gateway.outcomes.refusal import Blame, hub_subject, put_aside
from gateway.topics import HUB_STREAM, OUTQ_LATE, OUTQ_LIVE, OUTQ_STREAM

log = logging.getLogger(__name__)

LATE_HEADER = "Weir-Late"
RANK_HEADER = "Weir-Rank"
MAX_BATCH = 200

_DEMAND = 600
_ACK_WAIT_S = 60  # only for messages that got lost between leaf and forwarder
_YIELD_S = 0.005
_REFUSED_PAUSE_S = 0.1
_NS = 1_000_000_000
_LATE_ALARMS = f"{OUTQ_LATE}.alarm.>"


@dataclass(slots=True)
class Counts:
    """What the lanes have done, together."""

    forwarded: int = 0
    forwarded_late: int = 0
    duplicates: int = 0
    refused: int = 0
    refused_reason: str = ""
    last_error: str = ""
    last_forward_ns: int = 0


class _ThinnedError(LinkError):
    """Packets were removed from the queue: what was fetched of it may be gone."""

    code = "thinned"


class Lane:
    """Forwards one lane.

    Args:
        name: ``OUTQ_LIVE`` or ``OUTQ_LATE``.
        client: A connection to the leaf.
        hub: Whether the hub takes outcomes.
        lanes: What is known of both.
        counts: Where it counts.
        drain_per_s: At most so many late packets a second; 0: as many as go.
        timeout_s: Longest wait for the hub's acknowledgement.
    """

    def __init__(
        self,
        name: str,
        client: Line,
        *,
        hub: HubWatch,
        lanes: Lanes,
        counts: Counts,
        drain_per_s: int,
        timeout_s: float,
    ) -> None:
        self._name = name
        self._late = name == OUTQ_LATE
        self._consumer = name.replace(".", "-")
        self._client = client
        self._hub = hub
        self._lanes = lanes
        self._counts = counts
        self._per_s = drain_per_s if self._late else 0
        self._publisher = Publisher(client, HUB_STREAM, timeout_s, near=False)
        self._limit = MAX_BATCH
        self._blame = Blame()
        self._plans = 0

    async def run(self) -> None:
        """Forward until cancelled, one session after the other while the hub is up."""
        while True:
            await self._hub.wait_up()
            try:
                await self._session()
            except _ThinnedError:
                continue
            except LinkError as exc:
                await self._note(exc)

    async def _note(self, exc: LinkError) -> None:
        # Less at once next time: over a slow link a batch may take longer than its limit.
        self._limit = max(1, self._limit // 2)
        self._counts.last_error = str(exc)
        log.info("%s: %s", self._name, exc)
        if isinstance(exc, LettersError) and self._blame.note(exc):
            await asyncio.sleep(_REFUSED_PAUSE_S)  # the hub is there, and took others
            return
        self._hub.lost(str(exc))

    async def _session(self) -> None:
        hold = self._lanes.hold
        async with hold.thinning:  # what is being removed is not to be fetched
            self._plans = hold.plans
        if self._late and self._lanes.alarms_first:
            async with reading(self._client) as reader:
                await self._forward_alarms(reader)
        config = {
            "filter_subject": f"{self._name}.>",
            "ack_policy": "explicit",
            "ack_wait": _ACK_WAIT_S * _NS,
            "deliver_policy": "all",
        }
        demand = _DEMAND
        if self._per_s:  # what was fetched must be forwarded long before it is sent again
            demand = min(demand, self._per_s * _ACK_WAIT_S // 4)
        async with pulling(self._client, OUTQ_STREAM, self._consumer, config, demand) as pull:
            while True:
                messages = await pull.take(self._at_once)
                if self._late:
                    await self._forward_behind_live(messages)
                else:
                    await self._forward(messages)

    @property
    def _at_once(self) -> int:
        return max(1, min(self._limit, self._per_s // 4)) if self._per_s else self._limit

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
        if self._lanes.hold.plans != self._plans:
            raise _ThinnedError("the queue was thinned")
        began = time.monotonic()
        letters = {}
        for message in messages:
            sequence = message.metadata.sequence.stream
            letters[sequence] = self._letter(sequence, message.subject, message.data)
        self._lanes.hold.note_sent(self._name, max(letters))
        await self._publish(letters)
        if self._late:
            self._lanes.forwarded_late(list(letters))
        with translated("acknowledging"):
            for message in messages:
                await message.ack()
        await self._pause(len(messages), began)

    async def _forward_alarms(self, reader: QueueReader) -> None:
        """Forward the late lane's alarms, the newest first."""
        while found := await self._newest_alarms(reader):
            began = time.monotonic()
            self._refuse_while_down()
            letters = {
                q.sequence: self._letter(q.sequence, q.subject, q.payload) for q in reversed(found)
            }
            await self._publish(letters)
            self._lanes.is_stale = True
            await delete(self._client, letters)
            await self._pause(len(found), began)

    async def _newest_alarms(self, reader: QueueReader) -> list[Queued]:
        """Return the newest alarms that wait, in order: as many as go at once."""
        last = await sequence_of(self._client, {"last_by_subj": _LATE_ALARMS})
        if not last:
            return []
        low, high = 1, last
        while low < high:  # the first sequence behind which there are no more than wanted
            middle = (low + high) // 2
            _, count = await reader.count_from(_LATE_ALARMS, middle)
            if count > self._at_once:
                low = middle + 1
            else:
                high = middle
        found, _ = await reader.read(_LATE_ALARMS, low, self._at_once)
        return found

    async def _publish(self, letters: dict[int, Letter]) -> None:
        """Have the hub take letters, by their sequences; the hopeless ones are moved aside."""
        going = []
        for sequence, letter in letters.items():
            if why := self._blame.verdict(letter.id):
                await self._put_aside(sequence, letter, why)
            else:
                going.append(letter)
        if not going:
            return
        stored = await self._publisher.publish(going)
        self._blame.taken(letter.id for letter in going)
        self._lanes.underway.at_hub(
            (letter.id, s.duplicate) for letter, s in zip(going, stored, strict=True)
        )
        self._hub.took()
        self._limit = min(MAX_BATCH, self._limit * 2)
        self._counts.forwarded += len(stored)
        self._counts.duplicates += sum(s.duplicate for s in stored)
        self._counts.last_forward_ns = time.time_ns()
        if self._late:
            self._counts.forwarded_late += len(stored)

    async def _put_aside(self, sequence: int, letter: Letter, why: str) -> None:
        await put_aside(self._client, sequence, letter, why)
        self._lanes.underway.gone([letter.id])
        self._counts.refused += 1
        self._counts.refused_reason = why
        log.error("the hub does not take a packet for %s: %s", letter.subject, why)

    async def _pause(self, packets: int, began: float) -> None:
        if self._per_s:
            await asyncio.sleep(max(0.0, packets / self._per_s - (time.monotonic() - began)))

    def _letter(self, sequence: int, subject: str, payload: bytes) -> Letter:
        packet, source = named(payload)
        headers = {LATE_HEADER: "1"} if self._late else {}
        if subject.startswith(f"{self._name}.alarm."):
            headers[RANK_HEADER] = "alarm"
        known_by = packet or f"{OUTQ_STREAM}-{sequence}"
        return Letter(known_by, source, hub_subject(subject), payload, headers)

    def _refuse_while_down(self) -> None:
        if not self._hub.up:
            raise LinkError(self._hub.reason)

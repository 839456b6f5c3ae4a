"""Outcomes that the leaf's queue has lost are put there again, from what the store keeps of them.

A damaged or wiped directory of nats-server loses what waited in it. The store has the packets of
the last outcomes, and how far they are known to be at the hub is kept as a watermark. So after a
crash at most the outcomes of the last seconds are told again; they have the same ids.
"""

import asyncio
import logging

from gateway.errors import OutboxError, StoreError
from gateway.features import FeatureService, Mark, SentOutcome
from gateway.model import Packet
from gateway.notices import FAULT, NAME, Notice, Notices
from gateway.outcomes.outbox import LeafOutbox
from gateway.outcomes.packet import PacketError, decode
from gateway.outcomes.underway import Underway
from gateway.topics import outcome_subject

log = logging.getLogger(__name__)

MARK = "forwarded"
_LOOK_S = 1.0
_UNSURE_NS = 3_500_000_000  # a look, the writing of its mark, and some time for a busy machine
_MANY = 5000
_SELDOM_S = 30.0  # to compare 100,000 takes the loop 20 ms
_AT_ONCE = 500


class Replaying:
    """Compares what was put with what the queue holds, until cancelled.

    Args:
        store: Has the packets.
        outbox: The way into the queue.
        underway: What is known to be in it.
        notices: Keeps the mark, and tells of a loss.
        gateway: The gateway's name.

    Attributes:
        replayed: How many packets were put again.
    """

    def __init__(
        self,
        store: FeatureService,
        outbox: LeafOutbox,
        underway: Underway,
        notices: Notices,
        gateway: str,
    ) -> None:
        self.replayed = 0
        self._unreadable = 0
        self._store = store
        self._outbox = outbox
        self._underway = underway
        self._notices = notices
        self._gateway = gateway

    async def run(self) -> None:
        """Take up what was under way at the last stop; then look until cancelled."""
        taken_up = False
        while True:
            try:
                if not taken_up:
                    await self._take_up()
                    taken_up = True
                await self._look()
            except (OutboxError, StoreError) as exc:
                log.info("looking for lost outcomes: %s", exc)
            await asyncio.sleep(_LOOK_S if len(self._underway) < _MANY else _SELDOM_S)

    async def _take_up(self) -> None:
        """Expect in the queue what was sent since the mark; where exactly is not known."""
        mark = self._store.marks(NAME).get(MARK)
        if mark is None:
            return
        span = await self._outbox.span()
        sent = await self._store.sent_after(mark.end_ns)
        waiting = (await self._outbox.depth()).packets
        # With all of it in the queue none had gone to the hub before the crash.
        unsure_until_ns = mark.end_ns + _UNSURE_NS if waiting < len(sent) else 0
        self._underway.take_up(sent, span.last, unsure_until_ns)

    async def _look(self) -> None:
        before = self._underway.snapshot()
        span = await self._outbox.span()
        lost = self._underway.missing(before, span)
        for begin in range(0, len(lost), _AT_ONCE):
            await self._put_again(lost[begin : begin + _AT_ONCE])
        if proven := self._underway.proven():
            self._tell(proven)
        if span.has_unreadable and self._unreadable == span.first:
            # Between the two questions the hub may have taken some: then it is another one now.
            log.warning("leaf: deleting what its queue cannot read, before %d", span.first)
            await self._outbox.drop_before(span.first)
        self._unreadable = span.first if span.has_unreadable else 0
        since_ns = self._underway.since_ns()
        self._notices.telling.reach(MARK, Mark(since_ns))

    async def _put_again(self, ids: list[str]) -> None:
        found = await self._store.sent(ids)
        packets = [packet for each in found if (packet := _packet(each))]
        self._underway.put_again(packet.id for packet in packets)
        await self._outbox.put(packets)
        self._underway.gone(set(ids) - {packet.id for packet in packets})  # nobody has these
        self.replayed += len(packets)

    def _tell(self, lost: int) -> None:
        self._notices.tell(
            Notice(
                FAULT,
                self._gateway,
                "leaf-queue-lost",
                self._underway.now_ns(),
                numbers={"again": lost},
                about="leaf",
                is_event=True,
            )
        )


def _packet(sent: SentOutcome) -> Packet | None:
    payload = sent.packet.encode()
    try:
        content = decode(payload)
    except PacketError as exc:
        log.error("%s cannot be put again: %s", sent.id, exc)  # noqa: TRY400 - says it all
        return None
    subject = outcome_subject(
        content.gateway, content.domain, content.asset, content.kind, content.fingerprint
    )
    # Its rank is not kept, so that it is never thinned.
    return Packet(sent.id, subject, sent.source, payload, sent.end_ns, sent.received_ns, "alarm")

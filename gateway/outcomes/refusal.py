"""Packets that the hub refuses for good: they are moved aside, so that others pass.

A subject that the hub does not permit, or that its stream does not have, is not answered at all,
and looks like a hub that is away. What tells them apart is whether others are answered.
"""

from collections import Counter
from collections.abc import Iterable

from nats.aio.client import Client

from gateway.outcomes.direct import Queued, delete, reading
from gateway.outcomes.link import LinkError, NoListenerError
from gateway.outcomes.packet import named
from gateway.outcomes.publishing import Letter, LettersError, Publisher
from gateway.topics import OUTQ_LATE, OUTQ_REFUSED, OUTQ_STREAM

REASON_HEADER = "Weir-Reason"

_ENOUGH = 10
_SAID = 10  # the hub said that it is this packet: once is enough
_UNHEARD_ALONE = 2  # five times, with the hub answering between
_UNHEARD = 5  # twice, with others taken at the same moment
_LATE_ANSWER = 2
_PUT_S = 5.0
_ABOUT_THE_PACKET = frozenset({10054, 10060})  # too large; the subject is another stream's
_RANKS = ("alarm.", "routine.")


class Blame:
    """Counts what speaks against a packet, until it is taken."""

    def __init__(self) -> None:
        self._points: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}

    def note(self, exc: LettersError) -> bool:
        """Note who was not taken; return whether the hub is surely there."""
        there = exc.others_taken
        for letter, why in exc.failed.items():
            points = _points(why, others_taken=exc.others_taken)
            there = there or points == _SAID
            self._points[letter] += points
            self._reasons[letter] = str(why)
        return there

    def taken(self, letters: Iterable[str]) -> None:
        """Forget what spoke against letters: the hub took them."""
        if self._points:
            for letter in letters:
                self._points.pop(letter, None)
                self._reasons.pop(letter, None)

    def verdict(self, letter: str) -> str:
        """Return why a packet is to be moved aside; "" if it is not."""
        return self._reasons[letter] if self._points.get(letter, 0) >= _ENOUGH else ""


def _points(why: LinkError, *, others_taken: bool) -> int:
    if why.err_code in _ABOUT_THE_PACKET:
        return _SAID
    if why.err_code:
        return 0  # the stream is full, or something else that is not this packet's fault
    if isinstance(why, NoListenerError):
        return _UNHEARD if others_taken else _UNHEARD_ALONE
    return _LATE_ANSWER if others_taken else 0


def hub_subject(subject: str) -> str:
    """Return the subject at the hub of a message in the queue."""
    rest = subject.split(".", 2)[2]
    for rank in _RANKS:
        rest = rest.removeprefix(rank)
    return rest


async def put_aside(client: Client, sequence: int, letter: Letter, reason: str) -> None:
    """Store a packet among the refused ones; its place in the lane must be given up then.

    Args:
        client: A connection to the leaf.
        sequence: Its place.
        letter: As it was to be sent to the hub.
        reason: Why the hub does not take it.

    Raises:
        LinkError: The leaf is away, or full.
    """
    aside = letter._replace(
        id=f"{letter.id}.{sequence}",  # for its own one the leaf would say that it has it already
        subject=f"{OUTQ_REFUSED}.{letter.subject}",
        headers={REASON_HEADER: reason[:200]},
    )
    await Publisher(client, OUTQ_STREAM, _PUT_S, near=True).publish([aside])


async def try_again(client: Client) -> int:
    """Bring what was refused back into the late lane; return how many packets.

    Their rank is not known any more, so that they are never thinned.

    Raises:
        LinkError: The leaf is away, or full.
    """
    publisher, count, first = Publisher(client, OUTQ_STREAM, _PUT_S, near=True), 0, 1
    async with reading(client) as reader:
        while True:
            found, _ = await reader.read(f"{OUTQ_REFUSED}.>", first, 200)
            if not found:
                return count
            await publisher.publish([_again(queued) for queued in found])
            await delete(client, [queued.sequence for queued in found])
            count += len(found)
            first = found[-1].sequence + 1


def _again(queued: Queued) -> Letter:
    packet, source = named(queued.payload)
    return Letter(
        id=f"{packet}.{queued.sequence}",
        source=source,
        subject=f"{OUTQ_LATE}.{hub_subject(queued.subject)}",
        payload=queued.payload,
        headers={},
    )

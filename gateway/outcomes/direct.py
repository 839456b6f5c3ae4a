"""Messages of the leaf's queue read where they lie, many in one answer, without taking them away.

A work queue has one consumer for each lane, the forwarder's. Whoever else wants to look at it, or
to take something out of its middle, asks by sequence (ADR-31 of NATS).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.outcomes.link import LinkError, ask, translated
from gateway.topics import OUTQ_STREAM

MOST_AT_ONCE = 1000
_MOST_BYTES = 900_000
_ANSWER_S = 5.0
_DELETES_AT_ONCE = 16  # puts wait behind them at the disk
_NOT_FOUND = (10037, 10043)  # no such message, no such sequence
# Said with a code that is said of a bad disk too; "EOF": behind the last one.
_GONE = ("no message found", "deleted message", "stream store EOF")


class Queued(NamedTuple):
    """A message of the queue.

    Attributes:
        sequence: Its place.
        subject: With its lane.
        time_ns: When the leaf stored it.
        payload: The packet.
        headers: As they were put, and the leaf's own.
    """

    sequence: int
    subject: str
    time_ns: int
    payload: bytes
    headers: dict[str, str]

    @property
    def lane(self) -> str:
        """Return the first two levels of the subject."""
        return ".".join(self.subject.split(".", 2)[:2])


class QueueReader:
    """Reads the queue; made by `reading`."""

    def __init__(self, client: Client, inbox: str) -> None:
        self._client = client
        self._inbox = inbox
        self._answers: asyncio.Queue[Msg] = asyncio.Queue(2 * MOST_AT_ONCE)

    async def receive(self, message: Msg) -> None:
        """Take an answer (the subscription's callback)."""
        await self._answers.put(message)

    async def read(
        self, subject: str, first: int, most: int = MOST_AT_ONCE
    ) -> tuple[list[Queued], int]:
        """Return messages from a sequence on, in order, and how many more there are behind them.

        Args:
            subject: A filter.
            first: The sequence.
            most: At most so many, and at most 0.9 MB.

        Raises:
            LinkError: The leaf is away.
        """
        request = {"seq": first, "batch": min(most, MOST_AT_ONCE), "max_bytes": _MOST_BYTES}
        return await self._get({**request, "next_by_subj": subject})

    async def count_since(self, subject: str, time_ns: int) -> tuple[int, int]:
        """Return the first sequence stored at or after a time, and how many there are from it on.

        Both are 0 where there is none.
        """
        stamp = datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
        return _counted(await self._get({"start_time": stamp, "batch": 1, "next_by_subj": subject}))

    async def count_from(self, subject: str, first: int) -> tuple[int, int]:
        """Return the first sequence at or behind ``first``, and how many there are from it on."""
        return _counted(await self.read(subject, first, 1))

    async def last(self, subject: str) -> Queued | None:
        """Return the newest message, or None where there is none."""
        found, _ = await self._get({"last_by_subj": subject}, many=False)
        return found[0] if found else None

    async def _get(self, body: dict[str, Any], *, many: bool = True) -> tuple[list[Queued], int]:
        with translated("reading the queue"):
            await self._client.publish(
                f"$JS.API.DIRECT.GET.{OUTQ_STREAM}", orjson.dumps(body), reply=self._inbox
            )
            found: list[Queued] = []
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    message = await self._answers.get()
                    headers = message.headers or {}
                    if status := headers.get("Status"):
                        return found, _pending(status, headers)
                    found.append(_queued(message, headers))
                    if not many:
                        return found, 0


def _pending(status: str, headers: dict[str, str]) -> int:
    if status not in {"204", "404"}:  # end of batch; nothing found
        raise LinkError(f"reading the queue: {status} {headers.get('Description', '')}")
    return int(headers.get("Nats-Num-Pending", 0))


def _counted(answer: tuple[list[Queued], int]) -> tuple[int, int]:
    found, pending = answer
    return (found[0].sequence, pending + 1) if found else (0, 0)


def _queued(message: Msg, headers: dict[str, str]) -> Queued:
    stored = datetime.fromisoformat(headers["Nats-Time-Stamp"])
    return Queued(
        int(headers["Nats-Sequence"]),
        headers["Nats-Subject"],
        int(stored.timestamp() * 1e9),
        message.data,
        headers,
    )


@asynccontextmanager
async def reading(client: Client) -> AsyncIterator[QueueReader]:
    """Give a reader of the queue for the time of the block; for one task.

    Raises:
        LinkError: Not connected.
    """
    reader = QueueReader(client, client.new_inbox())
    with translated("reading the queue"):
        subscription = await client.subscribe(reader._inbox, cb=reader.receive)  # noqa: SLF001 - its own
    try:
        yield reader
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


async def delete(client: Client, sequences: Iterable[int]) -> None:
    """Take messages out of the queue; those that are not there any more are passed over.

    Each is on the disk when this returns. They are not overwritten, which takes ten times as long.

    Raises:
        LinkError: The leaf is away; some may be gone.
    """
    left = list(sequences)
    for begin in range(0, len(left), _DELETES_AT_ONCE):
        together = (_delete(client, s) for s in left[begin : begin + _DELETES_AT_ONCE])
        for result in await asyncio.gather(*together, return_exceptions=True):
            if result:
                raise result


async def _delete(client: Client, sequence: int) -> None:
    subject = f"$JS.API.STREAM.MSG.DELETE.{OUTQ_STREAM}"
    try:
        await ask(client, subject, {"seq": sequence, "no_erase": True}, _ANSWER_S)
    except LinkError as exc:
        if exc.err_code not in _NOT_FOUND and not any(text in str(exc) for text in _GONE):
            raise

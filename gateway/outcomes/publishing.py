"""Packets into a JetStream stream: each once, in the order of its source, acknowledged.

Three ways, for the same promise:

- a single packet: a publish and its acknowledgement;
- an atomic batch (ADR-50 of NATS): all or none, one write to disk and one round trip for all;
- waves: the first packet of every source, then the second of every source ... each wave
  acknowledged before the next. Needed when a batch is refused, mostly because it holds a packet
  that the stream has already (10201).

Measured here with one fsync a write: a packet 0.3 ms; in waves 0.2 ms each; a batch 2.6 ms and
0.02 ms each, hence a batch from 12 packets on. The first packet of a batch is not sent as a request
(which would tell a refusal early): the refusal comes with the commit, and a batch takes one round
trip instead of two over a slow link.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.client import Client

from gateway.outcomes.link import LinkError, answer, request, translated

BATCH_FROM = 12
MAX_BATCH = 500  # nats-server takes at most 1,000 messages in a batch

# Refusals that speak of the batch as such, not of the stream or of one packet:
# disabled, no sequence, incomplete, header, id, too large, commit, duplicate, too many at once.
_BATCH_REFUSED = frozenset({10174, 10175, 10176, 10177, 10179, 10199, 10200, 10201, 10210})


class Letter(NamedTuple):
    """A packet on its way into a stream.

    Attributes:
        id: By which the stream tells that it has it already.
        source: Whose order is kept.
        subject: Where it is published.
        payload: The packet.
        headers: Besides the id.
    """

    id: str
    source: str
    subject: str
    payload: bytes
    headers: dict[str, str]


class Stored(NamedTuple):
    """The stream has it: at this sequence, and it had it before or not."""

    sequence: int
    duplicate: bool


class LettersError(LinkError):
    """Letters that were sent each by itself were not taken.

    Attributes:
        failed: Their ids, and what became of each.
        others_taken: The server took others at the same time.
    """

    code = "letters"

    def __init__(self, failed: dict[str, LinkError], *, others_taken: bool) -> None:
        first = next(iter(failed.values()))
        super().__init__(str(first), first.err_code)
        self.failed = failed
        self.others_taken = others_taken


class Publisher:
    """Publishes into one stream.

    Args:
        client: The connection.
        stream: The stream that must take it, and no other.
        timeout_s: Longest wait for one acknowledgement.
        near: The server is on this machine: a round trip costs less than a batch.
    """

    def __init__(self, client: Client, stream: str, timeout_s: float, *, near: bool) -> None:
        self._client = client
        self._stream = stream
        self._timeout_s = timeout_s
        self._near = near

    async def publish(self, letters: Sequence[Letter]) -> list[Stored]:
        """Publish up to `MAX_BATCH` letters; return what became of each, in their order.

        Raises:
            LinkError: Not all are stored. Some may be, and then every letter before one that is
                stored, of the same source, is stored too: publish the same ones again. A
                `LettersError` says which it was that were not taken.
        """
        if len(letters) > 1 and self._batch_pays(letters):
            try:
                return await self._in_batch(letters)
            except LinkError as exc:
                if exc.err_code not in _BATCH_REFUSED:
                    raise
        return await self._in_waves(letters)

    async def publish_together(self, letters: Sequence[Letter]) -> list[Stored]:
        """Publish letters in one atomic batch: all or none.

        Raises:
            LinkError: None is stored, or nobody knows.
        """
        return await self._in_batch(letters)

    def _batch_pays(self, letters: Sequence[Letter]) -> bool:
        if len(letters) >= BATCH_FROM:
            return True
        return not self._near and len({letter.source for letter in letters}) < len(letters)

    async def _in_batch(self, letters: Sequence[Letter]) -> list[Stored]:
        batch = secrets.token_hex(8)
        last = len(letters)
        if self._near:
            batch = batch[:4]  # it is kept with each message, and few are under way here
        with translated(f"batch into {self._stream}"):
            for number, letter in enumerate(letters, 1):
                headers = self._headers(letter)
                headers["Nats-Batch-Id"] = batch
                headers["Nats-Batch-Sequence"] = str(number)
                if number < last:
                    await self._client.publish(letter.subject, letter.payload, headers=headers)
                    continue
                headers["Nats-Batch-Commit"] = "1"
                reply = await request(
                    self._client, letter.subject, letter.payload, self._timeout_s, headers
                )
        content = answer(f"batch into {self._stream}", reply)
        if content.get("count") != last:
            raise LinkError(f"batch into {self._stream}: {content.get('count')} of {last} stored")
        first = int(content["seq"]) - last + 1
        return [Stored(first + n, duplicate=False) for n in range(last)]

    async def _in_waves(self, letters: Sequence[Letter]) -> list[Stored]:
        stored: dict[int, Stored] = {}
        for wave in _waves(letters):
            done = await asyncio.gather(
                *(self._one(letters[n]) for n in wave), return_exceptions=True
            )
            failed: dict[str, LinkError] = {}
            for n, result in zip(wave, done, strict=True):
                if isinstance(result, LinkError):
                    failed[letters[n].id] = result
                elif isinstance(result, BaseException):
                    raise result
                else:
                    stored[n] = result
            if failed:
                raise LettersError(failed, others_taken=bool(stored)) from next(
                    iter(failed.values())
                )
        return [stored[n] for n in range(len(letters))]

    async def _one(self, letter: Letter) -> Stored:
        reply = await request(
            self._client, letter.subject, letter.payload, self._timeout_s, self._headers(letter)
        )
        content = answer(f"publish into {self._stream}", reply)
        return Stored(int(content["seq"]), duplicate=bool(content.get("duplicate")))

    def _headers(self, letter: Letter) -> dict[str, str]:
        headers = {"Nats-Msg-Id": letter.id, **letter.headers}
        if not self._near:  # there a stream of another name might have the subject
            headers["Nats-Expected-Stream"] = self._stream
        return headers


def _waves(letters: Sequence[Letter]) -> list[list[int]]:
    """Return the letters' places: the first of each source, then the second of each, and so on."""
    waves: list[list[int]] = []
    seen: Counter[str] = Counter()
    for n, letter in enumerate(letters):
        if seen[letter.source] == len(waves):
            waves.append([])
        waves[seen[letter.source]].append(n)
        seen[letter.source] += 1
    return waves

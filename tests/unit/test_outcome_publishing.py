"""How letters are sent: alone, in waves, in a batch; against a stream in memory."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from gateway.outcomes.link import LinkError, NoListenerError
from gateway.outcomes.publishing import Letter, LettersError, Publisher, Stored


@dataclass
class Stream:
    """A stream that dedupes and takes atomic batches, as far as the publisher sees it.

    Attributes:
        refuse: JetStream's error code for every batch; 0: as a stream does.
        lose: The answer to the letter with this id does not come.
    """

    refuse: int = 0
    lose: str = ""
    gone: bool = False
    ids: list[str] = field(default_factory=list)
    batch: list[str] = field(default_factory=list)
    requests: int = 0

    async def publish(self, _: str, __: bytes, headers: dict[str, str]) -> None:
        assert headers["Nats-Batch-Sequence"] == str(len(self.batch) + 1)
        self.batch.append(headers["Nats-Msg-Id"])

    async def request(
        self, subject: str, _: bytes, __: float, headers: dict[str, str]
    ) -> SimpleNamespace:
        self.requests += 1
        if self.gone:
            raise NoRespondersError
        if "Nats-Batch-Commit" in headers:
            await self.publish(subject, b"", headers)
            return self._commit()
        letter = headers["Nats-Msg-Id"]
        if letter == self.lose:
            raise NatsTimeoutError
        if letter in self.ids:
            return _reply(seq=self.ids.index(letter) + 1, duplicate=True)
        self.ids.append(letter)
        return _reply(seq=len(self.ids))

    def _commit(self) -> SimpleNamespace:
        batch, self.batch = self.batch, []
        code = self.refuse or (10201 if set(batch) & set(self.ids) else 0)
        if code:
            return _reply(error={"code": 400, "err_code": code, "description": "refused"})
        self.ids += batch
        return _reply(seq=len(self.ids), count=len(batch))


def _reply(**content: Any) -> SimpleNamespace:  # noqa: ANN401 - JSON
    return SimpleNamespace(data=json.dumps({"stream": "S", **content}).encode())


def _letters(*sources: str) -> list[Letter]:
    return [Letter(f"{s}{n}", s, "x", b"", {}) for n, s in enumerate(sources)]


def _publisher(stream: Stream, *, near: bool = False) -> Publisher:
    return Publisher(cast("Client", stream), "S", 1.0, near=near)


async def test_one_request_is_enough_when_letters_go_as_a_batch() -> None:
    stream = Stream()
    stored = await _publisher(stream).publish(_letters("a", "a", "b"))
    assert stored == [Stored(n, duplicate=False) for n in (1, 2, 3)]
    assert (stream.ids, stream.requests) == (["a0", "a1", "b2"], 1)


async def test_few_letters_go_one_by_one_when_each_source_has_one() -> None:
    stream = Stream()
    await _publisher(stream).publish(_letters("a", "b", "c"))
    assert stream.requests == 3


async def test_few_letters_go_one_by_one_when_the_server_is_near() -> None:
    stream = Stream()
    await _publisher(stream, near=True).publish(_letters("a", "a", "a"))
    assert stream.requests == 3


async def test_letters_go_in_waves_when_the_stream_has_one_of_them() -> None:
    stream = Stream(ids=["a1"])
    stored = await _publisher(stream).publish(_letters("a", "a", "b", "a"))
    assert stored == [
        Stored(2, duplicate=False),
        Stored(1, duplicate=True),
        Stored(3, duplicate=False),
        Stored(4, duplicate=False),
    ]
    assert stream.ids == ["a1", "a0", "b2", "a3"]


@pytest.mark.parametrize("code", [10174, 10176, 10199, 10201, 10210])
async def test_letters_go_in_waves_when_the_batch_is_refused(code: int) -> None:
    stream = Stream(refuse=code)
    await _publisher(stream).publish(_letters(*"ab" * 20))
    assert len(stream.ids) == 40


async def test_nothing_is_sent_instead_when_the_stream_is_full() -> None:
    stream = Stream(refuse=10077)
    with pytest.raises(LinkError) as refused:
        await _publisher(stream).publish(_letters(*"ab" * 20))
    assert (refused.value.err_code, stream.ids) == (10077, [])


async def test_no_later_letter_of_a_source_is_sent_when_one_is_not_answered() -> None:
    stream = Stream(refuse=10174, lose="a2")
    with pytest.raises(LinkError):
        await _publisher(stream).publish(_letters("a", "b", "a", "b", "a", "b"))
    assert sorted(stream.ids) == ["a0", "b1", "b3"]


async def test_error_says_so_when_nobody_listens() -> None:
    with pytest.raises(LettersError) as refused:
        await _publisher(Stream(gone=True)).publish(_letters("a"))
    assert isinstance(refused.value.failed["a0"], NoListenerError)
    assert not refused.value.others_taken


async def test_error_names_the_letter_when_only_one_is_not_taken() -> None:
    stream = Stream(refuse=10174, lose="b1")
    with pytest.raises(LettersError) as refused:
        await _publisher(stream).publish(_letters("a", "b", "c"))
    assert (list(refused.value.failed), refused.value.others_taken) == (["b1"], True)


async def test_leaf_is_sent_few_headers_when_near() -> None:
    """They are kept with each message: a week of outcomes must fit into the queue."""
    sent: list[dict[str, str]] = []

    class Recording(Stream):
        async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
            sent.append(dict(headers))
            await super().publish(subject, payload, headers)

    await _publisher(Recording(), near=True).publish(_letters(*"a" * 12))
    assert all("Nats-Expected-Stream" not in headers for headers in sent)
    assert len(sent[0]["Nats-Batch-Id"]) == 4

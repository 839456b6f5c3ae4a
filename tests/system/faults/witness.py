"""Somebody at the hub who notes every message of its stream, in order, whatever happens to it."""

import asyncio
import contextlib
import threading
import time
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from benchmarks.truth import Told, told_of

_STREAM = "OUTCOMES"
_RETRY_S = 0.05
_FETCH_S = 0.5
_FETCH = 500


class Witness:
    """Reads on a thread of its own until it is closed.

    Attributes:
        told: Everything that was in the stream, a second time where it came again.
        read: The number of the newest message that was read, in the stream that is there now.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.read = 0
        self._url = ""
        self._made: Any = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self, url: str) -> None:
        """Read at a hub."""
        self._url = url
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._ended = True
        if self._thread.is_alive():
            self._thread.join(10)

    def first(self, *, ended_ns: int = 0, stored_ns: int = 0, limit_s: float = 30.0) -> Told | None:
        """Wait for the first outcome of a window that ended, and that was stored, after a time."""
        until, at = time.monotonic() + limit_s, max(0, len(self.told) - 2000)
        with self._news:
            while True:
                for told in self.told[at:]:
                    if told.end_ms * 1e6 > ended_ns and told.stored_ns > stored_ns:
                        return told
                at, left_s = len(self.told), until - time.monotonic()
                if left_s <= 0:
                    return None
                self._news.wait(left_s)

    def catch_up(self, limit_s: float = 10.0) -> None:
        """Wait until everything that the hub holds now is read.

        Raises:
            TimeoutError: It is not.
        """
        last = asyncio.run(self._last(limit_s))
        until = time.monotonic() + limit_s
        while self.read < last:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.read} of {last} messages read at the hub")
            time.sleep(0.02)

    async def _last(self, limit_s: float) -> int:
        client = await nats.connect(self._url, connect_timeout=int(limit_s))
        try:
            return (await client.jetstream().stream_info(_STREAM)).state.last_seq
        finally:
            await client.close()

    def _run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        while not self._ended:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    client = await _connected(self._url)
                try:
                    await self._follow(client)
                finally:
                    await client.close()
            await asyncio.sleep(_RETRY_S)

    async def _follow(self, client: Client) -> None:
        stream = client.jetstream(timeout=2.0)
        info = await stream.stream_info(_STREAM)
        made = (info.created, info.config.name)
        if self._made not in {None, made} or info.state.last_seq < self.read:
            self.read = 0  # another stream of the same name: the hub was wiped
        self._made = made
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.read + 1,
        )
        pull = await stream.pull_subscribe("outcomes.>", stream=_STREAM, config=config)
        while not self._ended:
            try:
                messages = await pull.fetch(_FETCH, _FETCH_S)
            except TimeoutError:
                if client.is_closed or not client.is_connected:
                    return
                await pull.consumer_info()
                continue
            with self._news:
                for message in messages:
                    self.told.append(told_of(message))
                    self.read = message.metadata.sequence.stream
                self._news.notify_all()


async def _connected(url: str) -> Client:
    return await nats.connect(url, allow_reconnect=False, error_cb=_ignore)


async def _ignore(_: Exception) -> None:
    """Whoever waits is told by the call in hand."""

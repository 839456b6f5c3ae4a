"""Messages of a consumer in order, without a gap, and without waiting for more than there are.

nats-py's own ``fetch`` waits for the whole batch or its timeout when the first message came late,
which would add to the latency of every packet. Here a request for some hundred messages stands at
the server, and what is there is taken.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.outcomes.link import Line, LinkError, ask, translated

_HEARTBEAT_S = 1.0
_SILENCE_S = 3.0
_GATHER_S = 0.02  # for what the server says it is sending already
_EXPIRES_S = 30.0
_INACTIVE_S = 60.0
_NO_CONSUMER = 10014
_NS = 1_000_000_000


class PullBrokenError(LinkError):
    """A message is missing, repeated, or the server fell silent: begin anew."""

    code = "pull_broken"


class Pull:
    """What a pull consumer delivers, checked for order; made by `pulling`.

    Args:
        client: The connection.
        stream: The stream.
        consumer: A consumer that has delivered nothing yet.
        demand: How many messages may be under way or buffered here.
    """

    def __init__(self, client: Client, stream: str, consumer: str, demand: int) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._what = f"consumer {consumer} of {stream}"
        self._demand = demand
        self._asked = 0
        self._expected = 1
        self._buffer: deque[Msg] = deque()
        self._heard = asyncio.Event()
        self._broken = ""

    @property
    def inbox(self) -> str:
        """Return the subject that messages are delivered to."""
        return self._inbox

    async def take(self, limit: int) -> list[Msg]:
        """Wait for a message; return it and those that the server has besides, at most ``limit``.

        Raises:
            PullBrokenError: See there; what was taken before is in order and without a gap.
        """
        while not self._buffer:
            await self._ask_for_more()
            if self._broken:
                raise PullBrokenError(f"{self._what}: {self._broken}")
            if not await self._hears_within(_SILENCE_S):
                raise PullBrokenError(f"{self._what}: silent for {_SILENCE_S:g} s")
        while self._more_on_the_way(limit) and await self._hears_within(_GATHER_S):
            pass
        taken = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
        await self._ask_for_more()
        return taken

    def _more_on_the_way(self, limit: int) -> bool:
        if len(self._buffer) >= limit or self._broken or self._asked <= 0:
            return False
        return self._buffer[-1].metadata.num_pending > 0

    async def _hears_within(self, seconds: float) -> bool:
        self._heard.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    def lose(self) -> None:
        """Break, for the connection is lost and with it what was asked for."""
        self._broken = self._broken or "connection lost"
        self._heard.set()

    async def receive(self, message: Msg) -> None:
        """Take a delivered message or a status of the server (the subscription's callback)."""
        status = (message.headers or {}).get("Status")
        if status is None or message.reply.startswith("$JS.ACK."):
            self._append(message)
        elif status == "408":  # a request ran out
            self._asked -= int((message.headers or {}).get("Nats-Pending-Messages", "0"))
        elif status != "100":  # 100: a heartbeat
            self._broken = (message.headers or {}).get("Description", f"status {status}")
        self._heard.set()

    def _append(self, message: Msg) -> None:
        number = message.metadata.sequence.consumer
        if self._broken:
            return
        if number != self._expected or message.metadata.num_delivered > 1:
            self._broken = f"message {number} came instead of {self._expected}"
            return
        self._expected += 1
        self._asked -= 1
        self._buffer.append(message)

    async def _ask_for_more(self) -> None:
        room = self._demand - self._asked - len(self._buffer)
        if room < self._demand // 2:
            return
        self._asked += room
        request = {
            "batch": room,
            "expires": int(_EXPIRES_S * _NS),
            "idle_heartbeat": int(_HEARTBEAT_S * _NS),
        }
        with translated(self._what):
            await self._client.publish(self._next, orjson.dumps(request), reply=self._inbox)


@asynccontextmanager
async def pulling(
    client: Line, stream: str, name: str, config: dict[str, Any], demand: int = 600
) -> AsyncIterator[Pull]:
    """Make a consumer anew and subscribe for its messages; delete it at the end.

    A consumer that outlived its reader would go on: nats-server with a leaf link delivers for two
    seconds to whom nobody listens, in a busy loop, and counts it as delivered.

    Args:
        client: The connection.
        stream: The stream.
        name: The consumer's; one that is there already is deleted.
        config: What else is asked of it, as in JetStream's API.
        demand: How many messages may be under way or buffered here.

    Raises:
        LinkError: Not connected, or refused.
    """
    pull = Pull(client, stream, name, demand)
    whole = {
        "name": name,
        "mem_storage": True,
        "inactive_threshold": int(_INACTIVE_S * _NS),
        **config,
    }
    await _delete(client, stream, name)
    with translated(f"subscribing to {name}"):
        subscription = await client.subscribe(pull.inbox, cb=pull.receive)
    try:
        await ask(
            client,
            f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{config['filter_subject']}",
            {"stream_name": stream, "config": whole},
        )
        client.lost.add(pull.lose)
        yield pull
    finally:
        client.lost.discard(pull.lose)
        if client.is_connected:
            with suppress(LinkError):
                await _delete(client, stream, name)
        if not client.is_closed:
            await subscription.unsubscribe()


async def _delete(client: Client, stream: str, name: str) -> None:
    try:
        await ask(client, f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
    except LinkError as exc:
        if exc.err_code != _NO_CONSUMER:
            raise

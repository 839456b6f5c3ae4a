"""Outcomes as they lie at a hub, or as they wait on the leaf, for showing them.

Reading takes nothing away: at the hub a consumer without acknowledgements, on the leaf the
stream's own messages by sequence (a work queue allows one consumer a subject, the forwarder's).
"""

import asyncio
import base64
import logging
import secrets
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from nats.aio.client import Client

from gateway.outcomes.lane import LATE_HEADER
from gateway.outcomes.link import Line, LinkError, ask, connection
from gateway.outcomes.packet import PacketContent, PacketError, decode
from gateway.outcomes.pull import pulling
from gateway.topics import HUB_STREAM, OUTCOME_ROOT, OUTQ_LATE, OUTQ_STREAM

log = logging.getLogger(__name__)

_NOT_FOUND = 10037
_LOOK_AGAIN_S = 0.5


class Told(NamedTuple):
    """An outcome as it was read.

    Attributes:
        content: What the packet says.
        size_bytes: Of the packet.
        late: It was, or is, brought to the hub after an outage.
        sequence: Its place in the stream.
    """

    content: PacketContent
    size_bytes: int
    late: bool
    sequence: int


async def count_at_hub(url: str) -> int:
    """Return how many packets the hub's stream holds.

    Raises:
        LinkError: No hub there, or it has no such stream.
    """
    async with connection(url, "", "weir outcomes") as client:
        return int((await _info(client, HUB_STREAM))["messages"])


async def outcomes_at_hub(
    url: str, newest: int = 20, *, follow: bool = False
) -> AsyncGenerator[Told, None]:
    """Yield the newest outcomes at a hub, the older first, and then, if wanted, what comes.

    Args:
        url: ``nats://user:password@host:port`` of the hub.
        newest: How many to begin with.
        follow: Go on until cancelled, also over an outage of the hub.

    Raises:
        LinkError: No hub there, or it has no such stream; when following only at the start.
    """
    async with connection(url, "", "weir outcomes") as client:
        state = await _info(client, HUB_STREAM)
        last = int(state["last_seq"])
        following = max(int(state["first_seq"]), last - newest + 1, 1)
        while follow or following <= last:
            try:
                async for told in _consume(client, following, last if not follow else None):
                    following = told.sequence + 1
                    yield told
            except LinkError as exc:
                if not follow:
                    raise
                log.debug("reading outcomes: %s", exc)
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return


async def outcomes_on_leaf(
    url: str, gateway: str, newest: int = 20, *, follow: bool = False
) -> AsyncGenerator[Told, None]:
    """Yield the newest outcomes that wait on the leaf, the older first.

    Args:
        url: ``nats://user:password@host:port`` of the leaf's account ``UP``.
        gateway: The gateway's name.
        newest: How many to begin with.
        follow: Look every 0.5 s for more, until cancelled. What is at the hub sooner is not seen.

    Raises:
        LinkError: No leaf there, or it has no queue.
    """
    async with connection(url, gateway, "weir outcomes") as client:
        state = await _info(client, OUTQ_STREAM)
        following = int(state["last_seq"]) + 1
        for found in await _newest_on_leaf(client, state, newest):
            if told := _of_leaf(found):
                yield told
        while follow:
            found_next = await _next_on_leaf(client, following)
            if found_next is None:
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            following = int(found_next["seq"]) + 1
            if told := _of_leaf(found_next):
                yield told


async def _consume(client: Line, first: int, last: int | None) -> AsyncGenerator[Told, None]:
    config = {
        "filter_subject": f"{OUTCOME_ROOT}.>",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": first,
        "ack_policy": "none",
    }
    name = f"weir-outcomes-{secrets.token_hex(6)}"
    async with pulling(client, HUB_STREAM, name, config) as pull:
        while True:
            for message in await pull.take(100):
                sequence = message.metadata.sequence.stream
                late = (message.headers or {}).get(LATE_HEADER) == "1"
                if told := _read(message.data, late, sequence):
                    yield told
                if last is not None and (sequence >= last or not message.metadata.num_pending):
                    return


def _read(payload: bytes, late: bool, sequence: int) -> Told | None:
    try:
        return Told(decode(payload), len(payload), late, sequence)
    except PacketError as exc:
        log.warning("message %d is skipped: %s", sequence, exc)
        return None


def _of_leaf(found: dict[str, Any]) -> Told | None:
    payload = base64.b64decode(found.get("data", ""))
    return _read(payload, found["subject"].startswith(OUTQ_LATE), int(found["seq"]))


async def _info(client: Client, stream: str) -> dict[str, Any]:
    info = await ask(client, f"$JS.API.STREAM.INFO.{stream}")
    state: dict[str, Any] = info["state"]
    return state


async def _next_on_leaf(client: Client, sequence: int) -> dict[str, Any] | None:
    """Return the first message at or behind a sequence, or None where there is none."""
    request = {"seq": sequence, "next_by_subj": "outq.>"}
    try:
        found = await ask(client, f"$JS.API.STREAM.MSG.GET.{OUTQ_STREAM}", request)
    except LinkError as exc:
        if exc.err_code == _NOT_FOUND:
            return None
        raise
    message: dict[str, Any] = found["message"]
    return message


async def _newest_on_leaf(
    client: Client, state: dict[str, Any], newest: int
) -> list[dict[str, Any]]:
    """Return the newest messages, the older first.

    The queue has gaps where messages have left it, so one looks ever further back.
    """
    first, last = int(state["first_seq"]), int(state["last_seq"])
    back = newest
    while True:
        found: list[dict[str, Any]] = []
        sequence = max(first, last - back + 1)
        while sequence <= last and (message := await _next_on_leaf(client, sequence)):
            found.append(message)
            sequence = int(message["seq"]) + 1
        if len(found) >= newest or last - back < first:
            return found[-newest:] if newest else []
        back *= 4

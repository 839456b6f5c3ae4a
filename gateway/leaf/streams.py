"""What a server's JetStream is asked to do: caps, the probe, the hub's stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import nats.errors
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NoStreamResponseError, NotFoundError
from nats.js.manager import JetStreamManager

from gateway.errors import LeafError
from gateway.leaf.edge import LOCAL_INBOX, PROBE_STREAM, PROBE_SUBJECT
from gateway.topics import HUB_STREAM, OUTCOME_ROOT

MQTT_SHARES = {
    "$MQTT_msgs": 0.70,  # QoS 1 and 2 messages that a session has not acknowledged
    "$MQTT_rmsgs": 0.10,  # retained messages
    "$MQTT_qos2in": 0.10,
    "$MQTT_sess": 0.05,
    "$MQTT_out": 0.04,
}
"""How the streams of nats-server's MQTT share what account LOCAL may store. Together below 1: an
account that is full refuses every new MQTT connection."""

_LIMIT_S = 3.0
_DUPLICATE_WINDOW_S = 120.0


@asynccontextmanager
async def connection(url: str, inbox: str = "_INBOX") -> AsyncIterator[Client]:
    """Connect for one task.

    Args:
        url: Of the server, with user and password.
        inbox: Begins the subjects that answers come to.

    Raises:
        LeafError: The server does not answer, or not as it should.
    """
    client = Client()
    try:
        await _connect(client, url, inbox)
        yield client
    except (OSError, nats.errors.Error, TimeoutError) as exc:
        raise LeafError(f"the server does not answer as it should: {exc!r}") from exc
    finally:
        await client.close()  # also where it did not connect: else the socket stays open


async def probe(url: str) -> None:
    """Publish one message and wait until it is on the disk.

    ``/healthz`` has said "ok" of a server whose streams were stuck after the disk had been full.

    Raises:
        LeafError: It was not stored.
    """
    async with connection(url) as client:
        stream = client.jetstream(timeout=_LIMIT_S)
        try:
            await stream.publish(PROBE_SUBJECT, b"")
        except NoStreamResponseError:
            await stream.add_stream(
                StreamConfig(
                    name=PROBE_STREAM, subjects=[PROBE_SUBJECT], max_msgs=1, max_bytes=65_536
                )
            )
            await stream.publish(PROBE_SUBJECT, b"")


async def cap_mqtt(url: str, total_bytes: int) -> dict[str, int]:
    """Bound the streams of nats-server's MQTT, which have no bound of their own.

    They exist from the first MQTT connection on; the bounds survive a restart.

    Args:
        url: As a user of account LOCAL who may use JetStream.
        total_bytes: What they may take together.

    Returns:
        The bound of each of the streams that exist, in bytes.

    Raises:
        LeafError: The server does not take them.
    """
    caps: dict[str, int] = {}
    async with connection(url, LOCAL_INBOX) as client:
        manager = client.jsm(timeout=_LIMIT_S)
        for name, share in MQTT_SHARES.items():
            cap = int(total_bytes * share)
            if await _cap(manager, name, cap):
                caps[name] = cap
    return caps


async def ensure_outcomes(url: str, max_bytes: int) -> None:
    """Make the hub's stream `OUTCOMES`, or bring it to what a gateway's forwarder needs.

    Args:
        url: As a user of the hub's fleet account who may use JetStream.
        max_bytes: Above this the oldest outcomes go.

    Raises:
        LeafError: The server does not take it.
    """
    async with connection(url) as client:
        manager = client.jsm(timeout=_LIMIT_S)
        wanted = outcomes_stream(max_bytes)
        try:
            await manager.stream_info(HUB_STREAM)
        except NotFoundError:
            await manager.add_stream(wanted)
        else:
            await manager.update_stream(wanted)


def outcomes_stream(max_bytes: int) -> StreamConfig:
    """Return the configuration of the hub's stream."""
    return StreamConfig(
        name=HUB_STREAM,
        subjects=[f"{OUTCOME_ROOT}.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_bytes=max_bytes,
        duplicate_window=_DUPLICATE_WINDOW_S,
        allow_direct=True,
        allow_atomic=True,
    )


async def count_outcomes(url: str) -> int:
    """Return how many outcomes the hub's stream has ever taken.

    Raises:
        LeafError: The hub does not answer.
    """
    async with connection(url) as client:
        info = await client.jsm(timeout=_LIMIT_S).stream_info(HUB_STREAM)
    return int(info.state.last_seq)


async def _cap(manager: JetStreamManager, name: str, cap_bytes: int) -> bool:
    try:
        config = (await manager.stream_info(name)).config
    except NotFoundError:
        return False
    if config.max_bytes != cap_bytes:
        await manager.update_stream(replace(config, max_bytes=cap_bytes))
    return True


async def _connect(client: Client, url: str, inbox: str) -> None:
    # The client tries a server that is away again and again, allowed to reconnect or not.
    async with asyncio.timeout(_LIMIT_S):
        await client.connect(
            url, allow_reconnect=False, error_cb=_told_by_the_call, inbox_prefix=inbox
        )


async def _told_by_the_call(_: Exception) -> None:
    """The call in hand raises it too; printing it here would say it twice."""

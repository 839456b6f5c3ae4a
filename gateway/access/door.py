"""The pairing door: a port on which a device that nobody knows is heard, and nothing else happens.

It is no broker and is not joined to one: what a device says here reaches no other device and not
the gateway. The port is there while a `Door` is open and no longer; the process that opened it
holds it, so that a crash closes it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.access import packets
from gateway.access.packets import Connect, PacketError

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 100
_MOST_VISITORS = 100
_MOST_TOPICS = 20
_MOST_BYTES = 100_000
_KEPT_BYTES = 4096
_CONNECT_S = 10.0
_SILENCE_S = 120.0
_SEND_S = 3.0


@dataclass(slots=True)
class Visitor:
    """A device at the door.

    Attributes:
        address: Where it comes from.
        connect: Who it says it is; its password is in it.
        first_s: When it came (monotonic).
        topics: What it said last on each topic, at most 20 topics and 4 kB each.
        filters: What it listens to, at most 20.
        connections: How often it came.
    """

    address: str
    connect: Connect
    first_s: float
    topics: dict[str, bytes] = field(default_factory=dict)
    filters: list[str] = field(default_factory=list)
    connections: int = 0
    writer: asyncio.StreamWriter | None = None


class Door:
    """Lets devices in to be heard, until it is closed.

    Attributes:
        visitors: By address and client id, in the order in which they came.
    """

    def __init__(self) -> None:
        self.visitors: dict[tuple[str, str], Visitor] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, host: str, port: int) -> AsyncIterator[None]:
        """Listen for the time of the block.

        Args:
            host: Address to listen on; "" for all.
            port: 0 for a free one.

        Raises:
            OSError: The port is taken.
        """
        server = await asyncio.start_server(self._come, host or None, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tell(self, visitor: Visitor, topic: str, payload: bytes) -> bool:
        """Say something to a device; return whether it is still there to hear it."""
        writer = visitor.writer
        if writer is None or writer.is_closing():
            return False
        writer.write(packets.publish(visitor.connect.level, topic, payload))
        try:
            await asyncio.wait_for(writer.drain(), _SEND_S)
        except (OSError, TimeoutError):
            return False
        return True

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._tasks.add(task)
        visitor: Visitor | None = None
        try:
            kind, _, body = await asyncio.wait_for(_packet(reader), _CONNECT_S)
            if kind == packets.CONNECT:
                visitor = self._welcome(writer, packets.read_connect(body))
            if visitor is not None:
                writer.write(packets.connack(visitor.connect.level))
                await self._hear(reader, writer, visitor)
        except (OSError, TimeoutError, PacketError, asyncio.IncompleteReadError) as exc:
            log.debug("at the door: %s", exc)
        except asyncio.CancelledError:
            pass  # the door closes
        finally:
            if visitor is not None and visitor.writer is writer:
                visitor.writer = None
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    def _welcome(self, writer: asyncio.StreamWriter, connect: Connect) -> Visitor | None:
        address = str(writer.get_extra_info("peername")[0])
        key = (address, connect.client_id)
        if key not in self.visitors and len(self.visitors) >= _MOST_VISITORS:
            return None
        visitor = self.visitors.setdefault(key, Visitor(address, connect, time.monotonic()))
        visitor.connect, visitor.writer = connect, writer
        visitor.connections += 1
        if connect.will:
            self._note(visitor, connect.will, b"")
        return visitor

    async def _hear(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visitor: Visitor
    ) -> None:
        level = visitor.connect.level
        silence_s = 1.5 * visitor.connect.keepalive_s or _SILENCE_S
        while True:
            kind, first, body = await asyncio.wait_for(_packet(reader), silence_s)
            if kind == packets.DISCONNECT:
                return
            writer.write(self._answer(visitor, kind, first, body, level))
            await asyncio.wait_for(writer.drain(), _SEND_S)

    def _answer(self, visitor: Visitor, kind: int, first: int, body: bytes, level: int) -> bytes:
        """Note what a packet says; return the answer that the device waits for."""
        if kind == packets.PUBLISH:
            message = packets.read_publish(first, body, level)
            self._note(visitor, message.topic, message.payload[:_KEPT_BYTES])
            answer = {0: 0, 1: packets.PUBACK, 2: packets.PUBREC}.get(message.qos, 0)
            number = message.packet_id.to_bytes(2, "big")
            return packets.packet(answer, number) if answer else b""
        if kind == packets.PUBREL:
            return packets.packet(packets.PUBCOMP, body[:2])
        if kind == packets.SUBSCRIBE:
            number_, filters = packets.read_subscribe(body, level)
            new = [each for each in filters if each not in visitor.filters]
            visitor.filters += new[: _MOST_TOPICS - len(visitor.filters)]
            return packets.suback(level, number_, len(filters))
        if kind == packets.UNSUBSCRIBE:
            return packets.packet(packets.UNSUBACK, body[:2] + (b"\0\0" if level == 5 else b""))
        return packets.packet(packets.PINGRESP, b"") if kind == packets.PINGREQ else b""

    def _note(self, visitor: Visitor, topic: str, payload: bytes) -> None:
        if topic in visitor.topics or len(visitor.topics) < _MOST_TOPICS:
            visitor.topics[topic] = payload or visitor.topics.get(topic, b"")


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Return the next packet's kind, its first byte and what comes after its length.

    Raises:
        PacketError: It is too large for the door.
    """
    first = (await reader.readexactly(1))[0]
    size, shift = 0, 0
    while shift < 28:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _MOST_BYTES:
        raise PacketError(f"a packet of {size} bytes")
    return first >> 4, first, await reader.readexactly(size)

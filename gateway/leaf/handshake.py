"""A bare MQTT 3.1.1 connection, opened and closed: does the listener serve?"""

import asyncio
from contextlib import suppress

from gateway.errors import LeafError

_ACCEPTED = b"\x20\x02\x00\x00"  # CONNACK, 2 bytes, no session, accepted (section 3.2)
_DISCONNECT = b"\xe0\x00"
_CLEAN_WITH_LOGIN = 0xC2  # user name, password, clean session (section 3.1.2.3)


async def shake_hands(
    host: str, port: int, username: str, password: str, limit_s: float = 5.0
) -> None:
    """Connect as a user and say goodbye.

    The first connection also has nats-server make the streams of its MQTT.

    Raises:
        LeafError: The listener does not answer, or refuses.
    """
    try:
        async with asyncio.timeout(limit_s):
            answer = await _exchange(host, port, connect_packet("weir-watch", username, password))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
        raise LeafError(f"the MQTT listener on {host}:{port} does not answer: {exc!r}") from exc
    if answer != _ACCEPTED:
        raise LeafError(f"the MQTT listener on {host}:{port} refuses: CONNACK {answer[3]}")


def connect_packet(client_id: str, username: str, password: str) -> bytes:
    """Return a CONNECT packet (MQTT 3.1.1, section 3.1) of less than 128 bytes of content."""
    head = _text("MQTT") + bytes([4, _CLEAN_WITH_LOGIN, 0, 10])
    content = head + _text(client_id) + _text(username) + _text(password)
    return bytes([0x10, len(content)]) + content


async def _exchange(host: str, port: int, packet: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(packet)
        answer = await reader.readexactly(4)
        writer.write(_DISCONNECT)
        return answer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw

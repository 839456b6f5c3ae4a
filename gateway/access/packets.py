"""The few MQTT packets that are spoken without a client library (OASIS MQTT 3.1.1 and 5.0).

`Door` is no broker: it hears what a device would say, and tells it a few words. 3.1, 3.1.1 and 5
are read; properties are passed over.
"""

from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


class PacketError(ValueError):
    """These bytes are no MQTT packet of the kind that is expected."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Who a client says it is.

    Attributes:
        level: 3 for 3.1, 4 for 3.1.1, 5.
        client_id: Its client id, "" for none.
        keepalive_s: It speaks at least so often; 0: it need not.
        user: Its user, "" for none.
        password: Its password, "" for none.
        will: The topic of its last will, "" for none.
    """

    level: int
    client_id: str
    keepalive_s: int
    user: str = ""
    password: str = field(default="", repr=False)
    will: str = ""


@dataclass(frozen=True, slots=True)
class Publish:
    """A message."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


class Reader:
    """Reads the fields of a packet's body; `PacketError` where it ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if self._at + count > len(self._body):
            raise PacketError("the packet ends too early")
        self._at += count
        return self._body[self._at - count : self._at]

    def number(self, count: int = 2) -> int:
        """Return the next bytes as a number."""
        return int.from_bytes(self.take(count), "big")

    def binary(self) -> bytes:
        """Return the next bytes that have their length before them."""
        return self.take(self.number())

    def text(self) -> str:
        """Return the next text."""
        try:
            return self.binary().decode()
        except UnicodeDecodeError as exc:
            raise PacketError("a text is not UTF-8") from exc

    def skip_properties(self) -> None:
        """Pass over MQTT 5's properties."""
        length, shift = 0, 0
        while shift < 28:
            byte = self.number(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        self.take(length)

    @property
    def rest(self) -> bytes:
        """Return what has not been read."""
        return self._body[self._at :]


def read_connect(body: bytes) -> Connect:
    """Read a CONNECT packet (3.1 of either specification).

    Raises:
        PacketError: It is none.
    """
    reader = Reader(body)
    if reader.text() not in {"MQTT", "MQIsdp"}:
        raise PacketError("not MQTT")
    level = reader.number(1) & 0x7F  # the top bit: a bridge
    if level not in {3, 4, 5}:
        raise PacketError(f"MQTT level {level}")
    flags, keepalive_s = reader.number(1), reader.number()
    if level == 5:
        reader.skip_properties()
    client_id, will = reader.text(), ""
    if flags & 0x04:
        if level == 5:
            reader.skip_properties()
        will = reader.text()
        reader.binary()
    user = reader.text() if flags & 0x80 else ""
    password = reader.binary().decode(errors="replace") if flags & 0x40 else ""
    return Connect(level, client_id, keepalive_s, user, password, will)


def read_publish(first: int, body: bytes, level: int) -> Publish:
    """Read a PUBLISH packet (3.3).

    Args:
        first: The packet's first byte.
        body: What comes after its length.
        level: The client's protocol level.

    Raises:
        PacketError: It is none.
    """
    reader = Reader(body)
    qos = (first >> 1) & 3
    topic = reader.text()
    packet_id = reader.number() if qos else 0
    if level == 5:
        reader.skip_properties()
    return Publish(topic, reader.rest, qos, packet_id)


def read_subscribe(body: bytes, level: int) -> tuple[int, list[str]]:
    """Return a SUBSCRIBE packet's identifier and filters (3.8).

    Raises:
        PacketError: It is none.
    """
    reader = Reader(body)
    packet_id = reader.number()
    if level == 5:
        reader.skip_properties()
    filters = []
    while reader.rest:
        filters.append(reader.text())
        reader.take(1)
    return packet_id, filters


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return a packet."""
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind << 4 | flags]) + length + body


def connack(level: int, code: int = 0) -> bytes:
    """Return a CONNACK packet."""
    return packet(CONNACK, bytes([0, code]) + (b"\0" if level == 5 else b""))


def suback(level: int, packet_id: int, count: int) -> bytes:
    """Return a SUBACK packet: all granted at QoS 0."""
    return packet(
        SUBACK, packet_id.to_bytes(2, "big") + (b"\0" if level == 5 else b"") + bytes(count)
    )


def publish(level: int, topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH packet at QoS 0."""
    return packet(PUBLISH, _text(topic) + (b"\0" if level == 5 else b"") + payload)


def connect(client_id: str, user: str, password: str, keepalive_s: int = 30) -> bytes:
    """Return a CONNECT packet of MQTT 3.1.1 with a clean session; without user when it is ""."""
    flags = 0x02 | (0xC0 if user else 0)
    login = _text(user) + _text(password) if user else b""
    head = _text("MQTT") + bytes([4, flags]) + keepalive_s.to_bytes(2, "big")
    return packet(CONNECT, head + _text(client_id) + login)


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data

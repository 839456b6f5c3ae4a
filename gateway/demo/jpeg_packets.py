"""JPEG pictures as RTP packets, after RFC 2435."""

import struct
from dataclasses import dataclass

MAX_PAYLOAD_BYTES = 1400
_SUBSAMPLING = {0x21: 0, 0x22: 1}
"""RTP/JPEG type by the sampling of luma: 4:2:2 and 4:2:0 (RFC 2435, section 3.1.3)."""
_MAX_SIDE_PX = 2040  # a byte counts blocks of 8
_IN_BAND = 255  # the quantisation tables travel with the picture
_PAYLOAD_TYPE = 26
_SOI, _EOI, _DQT, _SOF0, _DRI, _SOS = 0xD8, 0xD9, 0xDB, 0xC0, 0xDD, 0xDA


class JpegError(ValueError):
    """A picture is not one that RTP can carry."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What of a JPEG file travels: the rest is made anew by who receives it.

    Attributes:
        kind: RTP/JPEG type; with 64 added there are restart intervals.
        width, height: px.
        tables: The quantisation tables of luma and chroma, 64 bytes each.
        restart: MCUs between two restart markers; 0: none.
        data: The entropy-coded data.
    """

    kind: int
    width: int
    height: int
    tables: bytes
    restart: int
    data: bytes


def parse(picture: bytes) -> Scan:
    """Take a baseline JPEG with the standard Huffman tables apart.

    Raises:
        JpegError: It is something else.
    """
    if picture[:2] != bytes((0xFF, _SOI)):
        raise JpegError("not a JPEG")
    tables: dict[int, bytes] = {}
    kind, width, height, restart, at = -1, 0, 0, 0, 2
    while at + 4 <= len(picture):
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4])
        body = picture[at + 4 : at + 2 + length]
        if marker == _DQT:
            tables |= {body[i]: body[i + 1 : i + 65] for i in range(0, len(body), 65)}
        elif marker == _SOF0:
            height, width = struct.unpack_from(">HH", body, 1)
            kind = _SUBSAMPLING.get(body[7], -1) if body[5] == 3 else -1
        elif marker == _DRI:
            restart = int.from_bytes(body[:2])
        elif marker == _SOS:
            break
        at += 2 + length
    if kind < 0 or {0, 1} - tables.keys() or max(width, height) > _MAX_SIDE_PX:
        raise JpegError("not a baseline JPEG of 4:2:0 or 4:2:2 and at most 2040 px a side")
    start = at + 2 + int.from_bytes(picture[at + 2 : at + 4])
    end = picture.rfind(bytes((0xFF, _EOI)))
    data = picture[start : end if end > start else len(picture)]
    return Scan(kind, width, height, tables[0] + tables[1], restart, data)


class Packets:
    """The RTP packets of one stream, numbered on.

    Args:
        ssrc: The stream's own number, 32 bits.
    """

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._number = 0

    def of(self, scan: Scan, timestamp: int) -> list[bytes]:
        """Return the packets of a picture.

        Args:
            scan: The picture.
            timestamp: When it is from, at 90 kHz, 32 bits.
        """
        kind = scan.kind + (64 if scan.restart else 0)
        sides = bytes((kind, _IN_BAND, -(-scan.width // 8), -(-scan.height // 8)))
        restart = struct.pack(">HH", scan.restart, 0xFFFF) if scan.restart else b""
        tables = struct.pack(">BBH", 0, 0, len(scan.tables)) + scan.tables
        packets: list[bytes] = []
        at = 0
        while at < len(scan.data):
            head = struct.pack(">I", at) + sides + restart + (b"" if at else tables)
            piece = scan.data[at : at + MAX_PAYLOAD_BYTES - len(head)]
            at += len(piece)
            last = at == len(scan.data)
            packets.append(self._header(timestamp, last=last) + head + piece)
        return packets

    def _header(self, timestamp: int, *, last: bool) -> bytes:
        """Return the header of RFC 3550, section 5.1."""
        self._number = (self._number + 1) & 0xFFFF
        kind = _PAYLOAD_TYPE | (0x80 if last else 0)
        return struct.pack(">BBHII", 0x80, kind, self._number, timestamp & 0xFFFFFFFF, self._ssrc)

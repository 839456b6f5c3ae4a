"""A picture in pieces: a message that announces it, numbered pieces, a message that ends it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.image import Described, picture

_MAX_SENDERS = 64
_MAX_PIECES = 4096
_EXPIRES_NS = 60 * 10**9


class PiecesOptions(Options):
    """``image-pieces``: ``<sender>/start``, ``<sender>/data/<id>/<n>`` and ``<sender>/end``.

    ``start`` is JSON with ``id``, ``size`` (bytes) and ``chunks``, ``end`` is JSON with ``id``.
    With the end, ``p`` is ``{media, bytes, sha256}``, before it null.
    """

    name: Literal["image-pieces"] = "image-pieces"

    def build(self) -> Codec:
        """Return the codec, which remembers what is under way.

        DecodeError: ``bad_pieces``: one is missing, came twice, or was not announced;
        ``bad_image``, ``truncated_image``, ``too_large``, ``bad_json``.
        """
        return _Pieces().take


@dataclass(slots=True)
class _Transfer:
    """A picture under way."""

    id: str
    size: int
    count: int
    begun_ns: int
    pieces: dict[int, bytes] = field(default_factory=dict)


class _Pieces:
    """The pictures under way, one for each sender, in a bounded memory."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Transfer] = {}

    def take(self, message: RawMessage) -> Described | None:
        sender, _, verb = message.topic.rpartition("/")
        if verb == "start":
            self._start(sender, message)
            return None
        if verb == "end":
            return self._end(sender, message)
        sender, _, id_ = sender.rpartition("/")
        self._piece(sender.removesuffix("/data"), id_, verb, message.payload)
        return None

    def _start(self, sender: str, message: RawMessage) -> None:
        said = _json(message)
        size, count, id_ = said.get("size"), said.get("chunks"), said.get("id")
        if type(size) is not int or type(count) is not int or not 0 < count <= _MAX_PIECES:
            raise DecodeError("bad_pieces", "start says no size or number of pieces")
        if not 0 < size <= MAX_PAYLOAD_BYTES:
            raise DecodeError("too_large", f"{size} bytes")
        self._under_way.pop(sender, None)
        self._forget(message.received_ns)
        self._under_way[sender] = _Transfer(str(id_), size, count, message.received_ns)

    def _forget(self, now_ns: int) -> None:
        for sender, transfer in list(self._under_way.items()):  # the oldest first
            late = now_ns - transfer.begun_ns > _EXPIRES_NS
            if late or len(self._under_way) >= _MAX_SENDERS:
                del self._under_way[sender]

    def _piece(self, sender: str, id_: str, number: str, body: bytes) -> None:
        transfer = self._under_way.get(sender)
        if transfer is None or transfer.id != id_:
            raise DecodeError("bad_pieces", "a piece that was not announced")
        n = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else -1
        taken = sum(map(len, transfer.pieces.values())) + len(body)
        if not 0 <= n < transfer.count or n in transfer.pieces or taken > transfer.size:
            del self._under_way[sender]  # what it will not become, need not be kept
            raise DecodeError("bad_pieces", f"piece {number[:8]} is out of range or came twice")
        transfer.pieces[n] = body

    def _end(self, sender: str, message: RawMessage) -> Described:
        transfer = self._under_way.pop(sender, None)
        if transfer is None or transfer.id != str(_json(message).get("id")):
            raise DecodeError("bad_pieces", "an end without a start")
        body = b"".join(transfer.pieces[n] for n in sorted(transfer.pieces))
        if len(transfer.pieces) != transfer.count or len(body) != transfer.size:
            raise DecodeError("bad_pieces", f"{len(transfer.pieces)} of {transfer.count} came")
        return picture(body)


def _json(message: RawMessage) -> dict[str, Any]:
    if len(message.payload) > 1024:
        raise DecodeError("too_large", f"{len(message.payload)} bytes")
    try:
        found = orjson.loads(message.payload)
    except orjson.JSONDecodeError as exc:
        raise DecodeError("bad_json", str(exc)) from exc
    return found if type(found) is dict else {}

"""An outcome as a packet: compact UTF-8 JSON of at most 512 bytes.

`encode` is the one function that owns the size. What it does to fit, in this order:

1. Always: a number has at most 6 significant digits; a named number that is not finite is left out;
   a source over 64 bytes becomes its beginning, ``~`` and 8 characters of its hash, so that it
   still names one source and always the same way; a label over 32 bytes ends in ``~``.
2. Too large: the named numbers are rounded to 4, then to 3 significant digits.
3. Still too large: named numbers are left out, the last one first (a plugin names what matters
   first).
4. Still too large: `PacketTooLargeError`. Then the gateway's name and the words of the plugin's
   manifest alone are too long, which `room_for_numbers` tells when the plugin is installed.

Text is never cut within a character. Sizes are those of the JSON, escapes included.
"""

import base64
import hashlib
import math
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import MessageError, PacketTooLargeError
from gateway.model import Outcome, OutcomeContext, Packet, PluginIdentity, Result
from gateway.outcomes.fingerprint import fingerprint
from gateway.topics import outcome_subject

MAX_PACKET_BYTES = 512
VERSION = 1

_SOURCE_BYTES = 64
_LABEL_BYTES = 32
_NS_PER_MS = 1_000_000
_MODEL_DIGITS = 12
_INTEGERS_BELOW = 1e15  # a JSON reader's double holds them exactly

Finite = Annotated[float, Field(allow_inf_nan=False)]


class PacketError(MessageError):
    """An outcome cannot be told (a score that is no number), or bytes are no packet."""

    code = "packet"


class PacketContent(BaseModel):
    """What a packet says; the aliases are the keys in the JSON (``packet.schema.json``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    version: int = Field(alias="v", ge=VERSION, le=VERSION)
    id: str = Field(pattern=r"^[a-z2-7]{26}$")
    gateway: str = Field(alias="gw")
    source: str = Field(alias="src")
    domain: str = Field(alias="dom")
    asset: str
    kind: str
    fingerprint: str = Field(alias="fp", pattern=r"^[a-z2-7]{16}$")
    start_ms: int = Field(alias="start")
    end_ms: int = Field(alias="end")
    label: str
    score: Finite
    confidence: Finite | None = Field(None, alias="conf", ge=0, le=1)
    numbers: dict[str, Finite] = Field(default_factory=dict, alias="num")
    plugin: str
    plugin_version: str = Field(alias="ver")
    model: str = Field(pattern=r"^([0-9a-f]{12})?$")
    clock: str


def packet_id(gateway: str, plugin: str, source: str, end_ns: int) -> str:
    """Return 26 characters that are the same for the same window told by the same plugin.

    128 bits of BLAKE2b in base32. The fields are joined as JSON, so that no two different
    quadruples read the same.
    """
    joined = orjson.dumps([_text(gateway), _text(plugin), _text(source), end_ns])
    return _base32(hashlib.blake2b(joined, digest_size=16, person=b"weir packet id").digest())


def encode(outcome: Outcome) -> Packet:
    """Make the packet of an outcome: at most 512 bytes, by the rule at the head of this module.

    Raises:
        PacketError: The score is not finite, or the confidence is not within 0 to 1.
        PacketTooLargeError: It does not fit, even without its numbers.
    """
    context = outcome.context
    address = fingerprint(context, outcome.quantities)
    packet = packet_id(outcome.gateway, outcome.plugin.name, outcome.source, outcome.end_ns)
    return Packet(
        id=packet,
        subject=outcome_subject(
            outcome.gateway, context.domain, context.asset, context.kind, address
        ),
        source=outcome.source,
        payload=_fit(_fields(outcome, packet, address), outcome.result.numbers),
        end_ns=outcome.end_ns,
        received_ns=outcome.received_ns,
        rank=outcome.rank,
    )


def decode(payload: bytes) -> PacketContent:
    """Read a packet strictly: every field there, none besides, each of its type.

    Raises:
        PacketError: It is no packet of this version.
    """
    if len(payload) > MAX_PACKET_BYTES:
        raise PacketError(f"{len(payload)} bytes, at most {MAX_PACKET_BYTES} are allowed")
    try:
        return PacketContent.model_validate_json(payload)
    except ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PacketError(f"no packet: {where or 'body'}: {first['msg']}") from exc


def named(payload: bytes) -> tuple[str, str]:
    """Return the id and the source that a packet names; "" for each where it is no packet."""
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(content, dict):
        return "", ""
    return str(content.get("id", "")), str(content.get("src", ""))


def room_for_numbers(gateway: str, context: OutcomeContext, plugin: PluginIdentity) -> int:
    """Return how many bytes a plugin's named numbers may surely take, for the check at install.

    Counted with the longest source, label and score. A plugin with ``-1`` or less does not fit;
    each number takes its name and about 12 bytes.
    """
    widest = Result(label="x" * _LABEL_BYTES, score=-1.23457e-300, confidence=0.123457)
    outcome = Outcome(
        gateway=gateway, source="x" * _SOURCE_BYTES, context=context, plugin=plugin, quantities=(),
        start_ns=10**19, end_ns=10**19, result=widest, received_ns=0, clock="x" * 8,
    )  # fmt: skip
    fields = _fields(outcome, "x" * 26, "x" * 16)
    return MAX_PACKET_BYTES - len(orjson.dumps(fields)) - len(',"num":{}')


def _fields(outcome: Outcome, packet: str, address: str) -> dict[str, Any]:
    """Return all fields but the named numbers, in the order in which they are written."""
    context, plugin, result = outcome.context, outcome.plugin, outcome.result
    confidence = result.confidence
    if not math.isfinite(result.score):
        raise PacketError(f"plugin {plugin.name}: score {result.score} is not finite")
    if confidence is not None and not 0 <= confidence <= 1:
        raise PacketError(f"plugin {plugin.name}: confidence {confidence} is not within 0 to 1")
    fields: dict[str, Any] = {
        "v": VERSION,
        "id": packet,
        "gw": _text(outcome.gateway),
        "src": _short_source(_text(outcome.source)),
        "dom": _text(context.domain),
        "asset": _text(context.asset),
        "kind": _text(context.kind),
        "fp": address,
        "start": outcome.start_ns // _NS_PER_MS,
        "end": outcome.end_ns // _NS_PER_MS,
        "label": _begin(_text(result.label), _LABEL_BYTES, "~"),
        "score": _number(result.score, 6),
    }
    if confidence is not None:
        fields["conf"] = _number(confidence, 6)
    return fields | {
        "plugin": _text(plugin.name),
        "ver": _text(plugin.version),
        "model": plugin.model_sha256[:_MODEL_DIGITS].lower(),
        "clock": _text(outcome.clock),
    }


def _fit(fields: dict[str, Any], numbers: dict[str, float]) -> bytes:
    finite = [(_text(name), value) for name, value in numbers.items() if math.isfinite(value)]
    for digits in (6, 4, 3):
        payload = _dump(fields, finite, digits)
        if len(payload) <= MAX_PACKET_BYTES:
            return payload
    while finite:
        finite.pop()
        payload = _dump(fields, finite, 3)
        if len(payload) <= MAX_PACKET_BYTES:
            return payload
    raise PacketTooLargeError(
        f"{len(payload)} bytes without any numbers, at most {MAX_PACKET_BYTES} fit: "
        f"shorten the gateway's name or the words in the manifest of plugin {fields['plugin']}"
    )


def _dump(fields: dict[str, Any], numbers: list[tuple[str, float]], digits: int) -> bytes:
    if not numbers:
        return orjson.dumps(fields)
    return orjson.dumps(fields | {"num": {name: _number(x, digits) for name, x in numbers}})


def _number(value: float, digits: int) -> float | int:
    """Round to significant digits; what has no fraction is written without ``.0``."""
    rounded = float(f"{value:.{digits}g}")
    if math.isinf(rounded):  # the largest of all, rounded up; 6 digits always round it down
        return _number(value, 6)
    if rounded.is_integer() and abs(rounded) < _INTEGERS_BELOW:
        return int(rounded)
    return rounded


def _text(text: str) -> str:
    """Replace lone surrogates, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _json_bytes(text: str) -> int:
    return len(orjson.dumps(text)) - 2


def _short_source(source: str) -> str:
    if _json_bytes(source) <= _SOURCE_BYTES:
        return source
    digest = hashlib.blake2b(source.encode(), digest_size=5, person=b"weir source").digest()
    return _begin(source, _SOURCE_BYTES, "~" + _base32(digest))


def _begin(text: str, limit: int, mark: str) -> str:
    """Return the text, or if it takes over ``limit`` bytes as many whole characters as fit."""
    if _json_bytes(text) <= limit:
        return text
    left, kept = limit - len(mark), []
    for character in text:
        left -= _json_bytes(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + mark


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().rstrip("=").lower()

"""SenML (RFC 8428) in JSON and CBOR: base fields and relative times resolved."""

import base64
import binascii
import re
from typing import Any, Literal

import orjson

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.cbor import decode_cbor
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

_MAX_RECORDS = 4096
_MAX_VERSION = 10
# Labels in CBOR (RFC 8428, table 4).
_LABELS = {"-1": "bver", "-2": "bn", "-3": "bt", "-4": "bu", "-5": "bv", "-6": "bs", "0": "n",
           "1": "u", "2": "v", "3": "vs", "4": "vb", "5": "s", "6": "t", "7": "ut",
           "8": "vd"}  # fmt: skip
_TEXTS = frozenset({"bn", "bu", "n", "u", "vs", "vd"})
_NUMBERS = frozenset({"bver", "bt", "bv", "bs", "v", "s", "t", "ut"})
_UNITS = {"Cel": "°C", "%RH": "%", "%EL": "%", "lat": "°", "lon": "°", "/": None}
_RELATIVE_BELOW = 2**28  # section 4.5.3: such times are seconds from now
_SEPARATORS = ":/_;.-"  # what section 4.5.1 lets stand between a device's name and the rest
_URN = re.compile(r"(urn:dev:[a-z]+:[A-Za-z0-9.%-]+)(?:[:/_;](.*))?")  # RFC 9039, section 3


class SenmlOptions(Options):
    """``senml``: an array of ``{device, name, value, sum, unit, t}``, one for each value.

    ``device`` is null where the pack names none; ``t`` is Unix time in seconds or null. A pack in
    CBOR is told from one in JSON by its first byte, which they cannot share.
    """

    name: Literal["senml"] = "senml"

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_json``, ``bad_cbor``, ``bad_senml`` (not as RFC 8428 says),
        ``unknown_field`` (one that must be understood), ``too_many_values`` and ``too_large``.
        """
        return _senml


def _senml(message: RawMessage) -> list[dict[str, Any]]:
    pack = _pack(message.payload)
    if type(pack) is not list:
        raise DecodeError("bad_senml", "a pack is an array")
    if len(pack) > _MAX_RECORDS:
        raise DecodeError("too_many_values", f"{len(pack)} records")
    base: dict[str, Any] = {}
    now_s = message.received_ns / 1e9
    found: list[dict[str, Any]] = []
    for record in pack:
        labelled = _labelled(record)
        base |= {key: labelled[key] for key in ("bn", "bt", "bu", "bv", "bs") if key in labelled}
        found += _values(labelled, base, now_s)
    return found


def _pack(payload: bytes) -> Any:  # noqa: ANN401 - JSON
    if payload[:1] and 0x80 <= payload[0] <= 0x9F:  # a CBOR array
        return decode_cbor(payload)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as exc:
        raise DecodeError("bad_json" if payload else "empty_payload", str(exc)) from exc


def _labelled(record: object) -> dict[str, Any]:
    """Return a record with the labels of JSON, each of the type that section 4.3 says."""
    if not isinstance(record, dict):
        raise DecodeError("bad_senml", "a record is an object")
    found: dict[str, Any] = {_LABELS.get(str(key), str(key)): v for key, v in record.items()}
    for key, value in found.items():
        kind = type(value)
        if (
            (key in _TEXTS and kind is not str)
            or (key in _NUMBERS and (kind not in {int, float} or not -1e300 < value < 1e300))
            or (key == "vb" and kind is not bool)
        ):
            raise DecodeError("bad_senml", f"{key}: {kind.__name__}")
        if key.endswith("_"):  # section 4.4: who does not know it must not go on
            raise DecodeError("unknown_field", repr(key)[:60])
    if found.get("bver", _MAX_VERSION) > _MAX_VERSION:
        raise DecodeError("bad_senml", f"version {found['bver']}")
    return found


def _values(record: dict[str, Any], base: dict[str, Any], now_s: float) -> list[dict[str, Any]]:
    """Return what a record says: a value, a sum, both, or nothing but base fields."""
    value = _value(record, base)
    total = record.get("s")
    if total is not None or ("bs" in base and value is not None):
        total = (total or 0) + base.get("bs", 0)
    if value is None and total is None:
        return []
    unit = record.get("u", base.get("bu"))
    device, name = _named(base.get("bn", ""), record.get("n", ""), unit)
    common = {
        "device": device,
        "unit": _UNITS.get(unit, unit) if unit is not None else None,
        "t": _time_s(record, base, now_s),
    }
    found = [] if value is None else [{"name": name, "value": value, "sum": False, **common}]
    if total is not None:
        found.append({"name": f"{name}.sum", "value": total, "sum": True, **common})
    return found


def _value(record: dict[str, Any], base: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the value; null where there is none but perhaps a sum (section 4.2)."""
    found = [key for key in ("v", "vs", "vb", "vd") if key in record]
    if len(found) > 1:
        raise DecodeError("bad_senml", f"{' and '.join(found)} in one record")
    if found == ["vd"]:
        return _data(record["vd"])
    if found and found != ["v"]:
        return record[found[0]]
    if "bv" in base and (found or "s" not in record) and ("n" in record or found):
        return base["bv"] + record.get("v", 0)
    return record.get("v")


def _data(text: str) -> str:
    """Return base64url without padding (section 4.3) as hexadecimal digits; CBOR's are already."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).hex()
    except (binascii.Error, ValueError) as exc:
        raise DecodeError("bad_senml", "vd is no base64url") from exc


def _time_s(record: dict[str, Any], base: dict[str, Any], now_s: float) -> float | None:
    if "t" not in record and "bt" not in base:
        return None
    time_s: float = base.get("bt", 0) + record.get("t", 0)
    return now_s + time_s if time_s < _RELATIVE_BELOW else time_s


def _named(base_name: str, name: str, unit: str | None) -> tuple[str | None, str]:
    """Return device and metric of a record.

    A name is base name and name in one (4.5.1); the base name is what all records of a device
    share. A record with a base name alone is the device's one value.
    """
    if base_name:
        device = base_name.rstrip(_SEPARATORS) or base_name
        return device, name or (unit if unit in {"lat", "lon"} else "value")
    urn = _URN.fullmatch(name)
    if urn:
        return urn[1], urn[2] or "value"
    if not name:
        raise DecodeError("bad_senml", "a value without a name")
    return None, name

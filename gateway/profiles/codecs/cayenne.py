"""Cayenne Low Power Payload: channel, type and value, over and over.

Types of https://github.com/myDevicesIoT/cayenne-docs/blob/master/docs/LORA.md, and those that the
widespread library https://github.com/ElectronicCats/CayenneLPP adds. All numbers are big endian.
"""

from typing import Any, Literal, NamedTuple

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import Codec, Options

_MAX_BYTES = 4096


class _Field(NamedTuple):
    """A number in a value: its name's end, size in bytes, divisor, unit, sign."""

    suffix: str
    size: int
    divisor: int = 1
    unit: str | None = None
    signed: bool = False


class _Kind(NamedTuple):
    """A type: its name and its numbers."""

    name: str
    fields: tuple[_Field, ...]


def _one(
    name: str, size: int, divisor: int = 1, unit: str | None = None, *, signed: bool = False
) -> _Kind:
    return _Kind(name, (_Field("", size, divisor, unit, signed),))


def _axes(name: str, divisor: int, unit: str) -> _Kind:
    return _Kind(name, tuple(_Field(f".{axis}", 2, divisor, unit, True) for axis in "xyz"))


_KINDS = {
    0: _one("digital_in", 1),
    1: _one("digital_out", 1),
    2: _one("analog_in", 2, 100, signed=True),
    3: _one("analog_out", 2, 100, signed=True),
    100: _one("generic_sensor", 4),
    101: _one("luminosity", 2, 1, "lx"),
    102: _one("presence", 1),
    103: _one("temperature", 2, 10, "°C", signed=True),
    104: _one("relative_humidity", 1, 2, "%"),
    113: _axes("accelerometer", 1000, "g"),
    115: _one("barometric_pressure", 2, 10, "hPa"),
    116: _one("voltage", 2, 100, "V"),
    117: _one("current", 2, 1000, "A"),
    118: _one("frequency", 4, 1, "Hz"),
    120: _one("percentage", 1, 1, "%"),
    121: _one("altitude", 2, 1, "m", signed=True),
    125: _one("concentration", 2, 1, "ppm"),
    128: _one("power", 2, 1, "W"),
    130: _one("distance", 4, 1000, "m"),
    131: _one("energy", 4, 1000, "kWh"),
    132: _one("direction", 2, 1, "°"),
    133: _one("unixtime", 4, 1, "s"),
    134: _axes("gyrometer", 100, "°/s"),
    135: _Kind("colour", tuple(_Field(f".{part}", 1) for part in "rgb")),
    136: _Kind(
        "gps",
        (
            _Field(".latitude", 3, 10_000, "°", True),
            _Field(".longitude", 3, 10_000, "°", True),
            _Field(".altitude", 3, 100, "m", True),
        ),
    ),
    142: _one("switch", 1),
}


class CayenneOptions(Options):
    """``cayenne-lpp``: an array of ``{name, value, unit}``.

    A name is the type's and the channel's: ``temperature_3``, ``gps_1.latitude``.
    """

    name: Literal["cayenne-lpp"] = "cayenne-lpp"

    def build(self) -> Codec:
        """Return the codec; DecodeError: ``bad_length``, ``unknown_type``, ``too_large``."""
        return _cayenne


def _cayenne(message: RawMessage) -> list[dict[str, Any]]:
    payload = message.payload
    if len(payload) > _MAX_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    values: list[dict[str, Any]] = []
    at = 0
    while at < len(payload):
        if at + 2 > len(payload):
            raise DecodeError("bad_length", "a channel without a type")
        channel, code = payload[at], payload[at + 1]
        kind = _KINDS.get(code)
        if kind is None:  # its length is not known, nor what follows it
            raise DecodeError("unknown_type", f"{code} on channel {channel}")
        at += 2
        for field in kind.fields:
            raw = payload[at : at + field.size]
            at += field.size
            if len(raw) < field.size:
                raise DecodeError("bad_length", f"{kind.name} is cut off")
            number = int.from_bytes(raw, "big", signed=field.signed)
            values.append(
                {
                    "name": f"{kind.name}_{channel}{field.suffix}",
                    "value": number if field.divisor == 1 else number / field.divisor,
                    "unit": field.unit,
                }
            )
    return values

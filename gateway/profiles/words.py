"""Texts that stand for something else: numbers, nothing, and names that are refused."""

import re

from gateway.errors import DecodeError

MAX_NAME_CHARS = 256
MAX_TEXT_CHARS = 1024
MAX_JSON_CHARS = 16_384
LARGEST = 1.7976931348623157e308  # the largest double; what compares beyond it is not finite

_MISSING = frozenset({"", "nan", "-nan", "none", "null", "inf", "-inf", "+inf", "infinity"})
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SPELLINGS = {
    "C": "°C", "℃": "°C", "degC": "°C", "deg C": "°C", "celsius": "°C", "Celsius": "°C",
    "F": "°F", "℉": "°F", "degF": "°F", "deg F": "°F", "fahrenheit": "°F", "Fahrenheit": "°F",
    "percent": "%", "lux": "lx", "us/cm": "µS/cm", "uS/cm": "µS/cm", "m^3": "m³", "m^3/h": "m³/h",
}  # fmt: skip


def is_missing(text: str) -> bool:
    """Say whether a text is one of the spellings of "no value": nan, None, null, inf or empty."""
    return len(text) < 9 and text.lower() in _MISSING


def number(text: str) -> float | int | None:
    """Return what a text says as a number, None when it is not one through and through.

    Digits with a leading zero are a serial number, not a number, and so are more than 30. Whole
    numbers that do not fit into 64 bits become floats.
    """
    if len(text) > 30 or not _NUMBER.fullmatch(text):
        return None
    try:
        whole = int(text)
    except ValueError:
        return float(text)
    return whole if -(2**63) <= whole < 2**64 else float(whole)


def unit_symbol(text: str) -> str:
    """Return a unit as Weir prints it (``C`` becomes ``°C``)."""
    return _SPELLINGS.get(text, text)


def checked_name(kind: str, name: str) -> str:
    """Return a device's or metric's name.

    Raises:
        DecodeError: ``bad_device`` or ``bad_metric``: it is empty, longer than 256 characters or
            holds control characters.
    """
    if not name or len(name) > MAX_NAME_CHARS or _REFUSED.search(name):
        raise DecodeError(f"bad_{kind}", repr(name[:60]))
    return name

"""When something was measured: ordered time sources, each with a plausible range.

A source that gives nothing, nothing readable, or a time before 2000 or more than ten minutes after
arrival is passed over for the next; after the last the time of arrival stands, and the reading
says that its time is not the device's own.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.errors import ConfigError
from gateway.profiles.expressions import Envelope, Evaluate

EARLIEST_NS = 946_684_800 * 10**9  # 2000-01-01T00:00:00Z
LATEST_AFTER_ARRIVAL_NS = 600 * 10**9
"""How far a device's clock may be ahead. One that drifts for months is minutes off; one that is an
hour off or more takes its time zone for UTC, or was never set. Windows end at readings, so until
such a time is caught up with, its device would have no more of them."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_FRACTION = re.compile(r"[.,](\d{6})(\d+)")

Read = Callable[[object, int], int | None]
"""Turns what a source gave into Unix nanoseconds; the second argument is the time of arrival."""


class TimeSource(NamedTuple):
    """Where a time stands and how to read it."""

    value: Evaluate
    read: Read


Clock = Callable[[Envelope, int], int | None]
"""Gives the device's own time of a message that arrived at the given time, or None."""


def site_zone(name: str) -> tzinfo:
    """Return the time zone of devices that tell local time.

    Raises:
        ConfigError: There is no zone of that name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        problem = f"gateway.timezone = {name!r}: no such time zone; like 'Europe/Berlin' or 'UTC'"
        raise ConfigError([problem]) from exc


def clock(sources: Sequence[TimeSource]) -> Clock | None:
    """Return what finds the first plausible time among the sources, None when there are none."""
    if not sources:
        return None

    def own_time(envelope: Envelope, received_ns: int) -> int | None:
        for value, read in sources:
            found = value(envelope)
            if found is None:
                continue
            time_ns = read(found, received_ns)
            if time_ns is None:
                continue
            if EARLIEST_NS <= time_ns <= received_ns + LATEST_AFTER_ARRIVAL_NS:
                return time_ns
        return None

    return own_time


def reader(form: str, strptime: str | None, zone: tzinfo) -> Read:
    """Return the reader of a form: ``unix``, ``unix_ms``, ``unix_us``, ``unix_ns``, ``auto``, ...

    ``auto`` takes a number as s, ms, us or ns by its magnitude and a text as ISO 8601. ``iso`` and
    ``local`` without a zone are in the site's; ``local`` leaves a zone that the text states aside.
    """
    if form in _UNITS_NS:
        return _unix(_UNITS_NS[form])
    text = _text(zone, strptime, force_local=form == "local")
    return text if form in {"iso", "local"} else _auto(text)


_UNITS_NS = {"unix": 10**9, "unix_ms": 10**6, "unix_us": 10**3, "unix_ns": 1}


def _unix(unit_ns: int) -> Read:
    def read(value: object, _: int) -> int | None:
        number = _number(value)
        if number is None or not 0 < number < 1e20:
            return None
        if type(number) is int:
            return number * unit_ns
        # A double holds today's seconds to 0.2 us: what is below 1 us is noise.
        return round(number * unit_ns / 1000) * 1000 if unit_ns > 1 else int(number)

    return read


def _auto(text: Read) -> Read:
    seconds, millis, micros, nanos = (_unix(unit) for unit in _UNITS_NS.values())

    def read(value: object, received_ns: int) -> int | None:
        number = _number(value)
        if number is None:
            return text(value, received_ns)
        if number < 1e11:
            return seconds(number, received_ns)
        if number < 1e14:
            return millis(number, received_ns)
        return (micros if number < 1e17 else nanos)(number, received_ns)

    return read


def _number(value: object) -> int | float | None:
    if type(value) is int or type(value) is float:
        return value
    if type(value) is str and 0 < len(value) < 32 and value.isascii():
        if value.isdigit():
            return int(value)
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _text(zone: tzinfo, strptime: str | None, *, force_local: bool) -> Read:
    def read(value: object, received_ns: int) -> int | None:
        if type(value) is not str or len(value) > 64:
            return None
        try:
            if strptime:
                moment = datetime.strptime(value, strptime)  # noqa: DTZ007 - the zone comes next
            else:
                moment = datetime.fromisoformat(value)
            if moment.tzinfo is None or force_local:
                return _local_ns(moment.replace(tzinfo=zone), received_ns) + _sub_micro(value)
            return _ns(moment) + _sub_micro(value)
        except (ValueError, OverflowError):
            return None

    return read


def _ns(moment: datetime) -> int:
    """Return an aware time as Unix nanoseconds, in integers: a float loses the microseconds."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _local_ns(moment: datetime, received_ns: int) -> int:
    """Return a local time as Unix nanoseconds.

    The hour that comes twice when summer time ends is taken as the one nearer to arrival:
    otherwise its second pass would look like a repetition of the first.
    """
    first_ns = _ns(moment)
    if received_ns - first_ns < 1_800 * 10**9:
        return first_ns
    second_ns = _ns(moment.replace(fold=1))
    return min(first_ns, second_ns, key=lambda time_ns: abs(received_ns - time_ns))


def _sub_micro(text: str) -> int:
    """Return the nanoseconds below the microseconds, which Python's datetime does not keep."""
    if len(text) <= 26:
        return 0
    found = _LONG_FRACTION.search(text)
    return int(found[2][:3].ljust(3, "0")) if found else 0

"""What names and values suggest of an unknown firmware: units, times, devices, commands.

All of it is for a person to look over.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from gateway.model import Reading
from gateway.profiles.times import EARLIEST_NS, LATEST_AFTER_ARRIVAL_NS, reader

_COMMANDS = frozenset({
    "cmnd", "cmd", "cmds", "command", "commands", "set", "get", "req", "request", "requests",
    "control", "ctrl", "write",
})  # fmt: skip
_TIMES = ("ts", "time", "timestamp", "datetime", "date", "last_seen", "lastseen", "epoch", "t")
_NAMES = (
    "id",
    "mac",
    "device",
    "device_id",
    "deviceid",
    "name",
    "host",
    "hostname",
    "serial",
    "sn",
)
SHARED = frozenset({
    "state", "status", "stat", "tele", "telemetry", "sensor", "sensors", "binary_sensor",
    "text_sensor", "switch", "light", "number", "device", "devices", "data", "report",
    "reports", "alive", "lwt", "online", "availability", "available", "connected", "event",
    "events", "info", "config", "home", "attr", "attributes", "value", "values", "update",
    "up", "out", "pub", "system", "mqtt", "iot", "json", "heartbeat", "ping", "log", "debug",
    "v1", "v2",
})  # fmt: skip
_ID = re.compile(r"[0-9A-Fa-f]{6,}|\d")
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_UNITS: tuple[tuple[frozenset[str], str, float, float], ...] = (
    (frozenset({"rssi"}), "dBm", -140, 0),
    (frozenset({"voltage", "volt", "volts"}), "V", 0, 1000),
    (frozenset({"temperature", "temp"}), "°C", -60, 150),
    (frozenset({"humidity", "hum", "rh"}), "%", 0, 100),
    (frozenset({"pressure", "baro", "barometer"}), "hPa", 300, 1200),
    (frozenset({"illuminance", "lux"}), "lx", 0, 200_000),
    (frozenset({"energy", "kwh"}), "kWh", 0, 100_000),
    (frozenset({"power", "watt", "watts"}), "W", -1e6, 1e6),
    (frozenset({"current", "amp", "amps"}), "A", -1000, 1000),
    (frozenset({"co2"}), "ppm", 0, 100_000),
    (frozenset({"battery", "batt", "soc"}), "%", 0, 100),
)
"""Words of a metric's name, the unit, and between which values it would be that."""
_NO_QUANTITY = frozenset({
    "factor", "mode", "state", "status", "count", "position", "id", "index", "enabled",
})  # fmt: skip


def is_command(topic: str) -> bool:
    """Say whether a topic looks like one on which a device is told something."""
    return any(level.lower() in _COMMANDS for level in topic.split("/"))


def time_key(documents: Sequence[Mapping[str, Any]], received_ns: int) -> tuple[str, str] | None:
    """Return the key of objects that holds a plausible time, and how it is written."""
    for key in sorted({k for d in documents for k in d if k.lower() in _TIMES}):
        values = [document[key] for document in documents if key in document]
        for form in ("iso",) if isinstance(values[0], str) else ("unix", "unix_ms"):
            read = reader(form, None, UTC)
            latest = received_ns + LATEST_AFTER_ARRIVAL_NS
            if any(EARLIEST_NS <= (read(v, received_ns) or 0) <= latest for v in values):
                return key, form
    return None


def names_in(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return by what names devices call themselves in their payloads."""
    return {
        value
        for document in documents
        for key, value in document.items()
        if key.lower() in _NAMES and isinstance(value, str)
    }


def device_levels(topics: Mapping[str, bool], names: set[str]) -> dict[str, int]:
    """Return for each topic which of its levels names the device.

    Args:
        topics: Whether a topic carries single values, by topic.
        names: By what names devices call themselves.
    """
    split = {topic: tuple(topic.split("/")) for topic in topics}
    alike = Counter((i, *_without(s, i)) for s in split.values() for i in range(len(s)))
    firsts = {(i, level, s[0]) for s in split.values() for i, level in enumerate(s) if i}
    under = Counter((i, level) for i, level, _ in firsts)

    def level_of(topic: str) -> int:
        levels, is_single = split[topic], topics[topic]
        differing = [i for i in range(len(levels)) if alike[(i, *_without(levels, i))] > 1]

        def score(i: int) -> int:
            level = levels[i]
            # Of topics with single values the last level that differs is the metric.
            is_metric = is_single and (differing[-1:] == [i] or 0 < i == len(levels) - 1)
            is_shared = level.lower() in SHARED or unit_of(level, [1]) is not None
            return (
                4 * (level in names)
                + 3 * bool(_ID.search(level))
                + 2 * (under[i, level] > 1)
                + 2 * (i in differing and not is_metric)
                + (i > 0)
                - 2 * is_metric
                - 4 * is_shared
            )

        return max(range(len(levels)), key=lambda i: (score(i), -i))

    return {topic: level_of(topic) for topic in topics}


def units(readings: Iterable[Reading]) -> list[tuple[str, str]]:
    """Return rows of a unit table for the metrics whose name and every value suggest a unit."""
    values: dict[str, list[Any]] = {}
    globs: dict[str, set[str]] = {}
    for reading in readings:
        path = reading.metric.split(".")
        named = path[: max(i for i, part in enumerate(path, 1) if i == 1 or not part.isdigit())]
        leaf = named[-1]
        glob = (leaf if len(named) == 1 else f"*.{leaf}") + (".*" if named != path else "")
        values.setdefault(leaf, []).append(reading.value)
        if not any(mark in leaf for mark in "*?["):
            globs.setdefault(leaf, set()).add(glob)
    return [
        (glob, unit)
        for leaf in globs
        if (unit := unit_of(leaf, values[leaf])) is not None
        for glob in sorted(globs[leaf])
    ]


def unit_of(name: str, values: Sequence[Any]) -> str | None:
    """Return the unit that a name and all its values suggest; only numbers have one."""
    if any(type(value) not in {int, float} for value in values):
        return None
    words = {word.lower() for word in _WORD.findall(name)} | {name.lower()}
    words |= {word.rstrip("0123456789") for word in words}
    if words & _NO_QUANTITY:
        return None
    found = next((row for row in _UNITS if words & row[0]), None)
    if found is None or not all(found[2] <= value <= found[3] for value in values):
        return None
    return found[1]


def _without(levels: tuple[str, ...], i: int) -> tuple[str, ...]:
    return (*levels[:i], "", *levels[i + 1 :])

"""A row of named numbers as a device of some firmware would publish it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import orjson

Dialect = Callable[[str, Mapping[str, float], int], tuple[str, bytes]]
"""(device, numbers by name, Unix ns) -> (topic, payload)"""


def _json(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    return f"sensors/{device}", orjson.dumps({"ts": time_ns, **numbers})


def _tasmota(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"tele/{device}/SENSOR", orjson.dumps({"Time": at, "TABLE": dict(numbers)})


def _zigbee2mqtt(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    return f"zigbee2mqtt/{device}", orjson.dumps({**numbers, "last_seen": at})


DIALECTS: dict[str, Dialect] = {"json": _json, "tasmota": _tasmota, "zigbee2mqtt": _zigbee2mqtt}
"""By the name of the profile that reads it. Each has one message a row, with its own time."""

"""A row of named numbers as a device of some firmware would publish it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import orjson


class Dialect(NamedTuple):
    """How a firmware says a row.

    Attributes:
        message: (device, numbers by name, Unix ns) to (topic, payload).
        step_s: Finest distance of two times that it can tell; rows closer than this look like
            repeats of each other.
    """

    message: Callable[[str, Mapping[str, float], int], tuple[str, bytes]]
    step_s: float


def _json(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    return f"sensors/{device}", orjson.dumps({"ts": time_ns, **numbers})


def _tasmota(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"tele/{device}/SENSOR", orjson.dumps({"Time": at, "TABLE": dict(numbers)})


def _zigbee2mqtt(device: str, numbers: Mapping[str, float], time_ns: int) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    millis = time_ns // 1_000_000 % 1000
    payload = {**numbers, "last_seen": f"{at}.{millis:03d}Z"}
    return f"zigbee2mqtt/{device}", orjson.dumps(payload)


DIALECTS: dict[str, Dialect] = {
    "json": Dialect(_json, 1e-6),
    "tasmota": Dialect(_tasmota, 1.0),
    "zigbee2mqtt": Dialect(_zigbee2mqtt, 0.001),
}
"""By the name of the profile that reads it. Each has one message a row, with its own time."""

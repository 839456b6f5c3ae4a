"""How fast profiles decode: each one, beside decoders written by hand, and with many loaded.

python -m benchmarks.profiles
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console
from rich.table import Table

from gateway.errors import MessageError
from gateway.model import Decoded, RawMessage, Reading
from gateway.profiles import Catalog
from gateway.profiles.times import reader, site_zone
from gateway.profiles.vectors import VECTORS_FILE, Vector, read_vectors

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "firmware_profiles"
_ZONE = "Europe/Berlin"
_RUN_S = 0.25
_DEVICES = 500
_NOW_NS = 1_800_000_000 * 10**9

TASMOTA = (
    b'{"Time":"2024-05-01T12:00:00","ENERGY":{"TotalStartTime":"2023-01-01T00:00:00",'
    b'"Total":123.456,"Yesterday":1.234,"Today":0.567,"Period":5,"Power":230,"ApparentPower":240,'
    b'"ReactivePower":60,"Factor":0.96,"Voltage":231,"Current":1.039}}'
)
ZIGBEE = (
    b'{"battery":97,"humidity":48.21,"last_seen":"2024-05-01T12:00:00+02:00","linkquality":120,'
    b'"pressure":1003.2,"temperature":21.48,"voltage":3005}'
)
_local = reader("iso", None, site_zone(_ZONE))
_TASMOTA_UNITS = {
    "Total": "kWh", "Yesterday": "kWh", "Today": "kWh", "Period": "Wh", "Power": "W",
    "ApparentPower": "VA", "ReactivePower": "var", "Voltage": "V", "Current": "A",
}  # fmt: skip
_ZIGBEE_UNITS = {"battery": "%", "humidity": "%", "pressure": "hPa", "temperature": "°C"}


def tasmota_by_hand(message: RawMessage) -> Decoded:
    """Decode a Tasmota SENSOR message as somebody would who writes it for this one."""
    levels = message.topic.split("/")
    device = levels[1]
    payload = orjson.loads(message.payload)
    time_ns = _local(payload.get("Time"), message.received_ns)
    own = time_ns is not None
    at = message.received_ns if time_ns is None else time_ns
    readings = []
    for sensor, values in payload.items():
        if not isinstance(values, dict):
            continue
        for key, value in values.items():
            if isinstance(value, int | float):
                unit = _TASMOTA_UNITS.get(key)
                readings.append(Reading(device, f"{sensor}.{key}", value, unit, at, own))
    return Decoded("tasmota", device, readings, [])


def zigbee2mqtt_by_hand(message: RawMessage) -> Decoded:
    """Decode a Zigbee2MQTT message as somebody would who writes it for this one."""
    device = message.topic.removeprefix("zigbee2mqtt/")
    payload = orjson.loads(message.payload)
    time_ns = _local(payload.get("last_seen"), message.received_ns)
    own = time_ns is not None
    at = message.received_ns if time_ns is None else time_ns
    readings = []
    for key, value in payload.items():
        if key == "voltage":
            volts = value / 1000 if value > 1000 else value
            readings.append(Reading(device, key, volts, "V", at, own))
        elif isinstance(value, int | float | bool):
            readings.append(Reading(device, key, value, _ZIGBEE_UNITS.get(key), at, own))
    return Decoded("zigbee2mqtt", device, readings, [])


def rate_hz(decode: Callable[[RawMessage], object], messages: Sequence[RawMessage]) -> float:
    """Return messages a second on one core, the best of three runs."""
    best = 0.0
    for _ in range(3):
        done, began = 0, time.perf_counter()
        while (spent_s := time.perf_counter() - began) < _RUN_S:
            for message in messages:
                decode(message)
            done += len(messages)
        best = max(best, done / spent_s)
    return best


def of_devices(topic: str, payload: bytes) -> list[RawMessage]:
    """Return a message of each of 500 devices."""
    return [RawMessage(topic.format(i), payload, _NOW_NS) for i in range(_DEVICES)]


def by_hand(console: Console) -> None:
    """Compare profiles with decoders written by hand."""
    catalog = Catalog.load([SHIPPED], _ZONE)
    shown = Table("message", "profile, messages/s", "by hand, messages/s", "share", box=None)
    cases = [
        ("Tasmota SENSOR", of_devices("tele/plug-{}/SENSOR", TASMOTA), tasmota_by_hand),
        ("Zigbee2MQTT", of_devices("zigbee2mqtt/room {}", ZIGBEE), zigbee2mqtt_by_hand),
    ]
    for name, messages, decoder in cases:
        # By turns, so that a neighbour's load meets both.
        turns = [(rate_hz(catalog.decode, messages), rate_hz(decoder, messages)) for _ in range(4)]
        ours, theirs = max(turn[0] for turn in turns), max(turn[1] for turn in turns)
        shown.add_row(name, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.0%}")
    console.print(shown)


def each(console: Console) -> None:
    """Measure each profile on its own good vectors, all profiles loaded."""
    catalog = Catalog.load([SHIPPED], _ZONE)
    shown = Table("profile", "vectors", "messages/s", "readings/s", box=None)
    for info in catalog.profiles:
        messages = _messages(read_vectors(info.file.with_name(VECTORS_FILE)))
        if not messages:
            continue
        found = sum(_readings(catalog, message) for message in messages)
        rate = rate_hz(catalog.decode, messages)
        cells = (
            info.name,
            str(len(messages)),
            f"{rate:,.0f}",
            f"{rate * found / len(messages):,.0f}",
        )
        shown.add_row(*cells)
    console.print(shown)


def as_many_are_loaded(console: Console) -> None:
    """Measure the same messages with 1 to 200 profiles loaded, and topics that are new."""
    shown = Table(
        "profiles", "known topics, messages/s", "new topics, messages/s", "load, s", box=None
    )
    messages = of_devices("tele/plug-{}/SENSOR", TASMOTA)
    for count in (1, 10, 50, 100, 200):
        with TemporaryDirectory() as folder:
            _fill(Path(folder), count)
            began = time.perf_counter()
            catalog = Catalog.load([Path(folder)], _ZONE)
            load_s = time.perf_counter() - began
            rate = rate_hz(catalog.decode, messages)
            new = of_devices(f"tele/new-{count}-{{}}/SENSOR", TASMOTA)
            began = time.perf_counter()
            for message in new:
                catalog.decode(message)
            new_hz = len(new) / (time.perf_counter() - began)
        shown.add_row(str(count), f"{rate:,.0f}", f"{new_hz:,.0f}", f"{load_s:.2f}")
    console.print(shown)


def _fill(folder: Path, count: int) -> None:
    """Put Tasmota and so many others before it into a folder."""
    shipped = [f for f in sorted(SHIPPED.glob("*/profile.yaml")) if f.parent.name != "tasmota"]
    for i in range(count - 1):
        source = shipped[i % len(shipped)]
        text = source.read_text(encoding="utf-8")
        if i >= len(shipped):  # the same again, of other topics
            text = text.replace('"tele/', f'"tele{i}/').replace('"{d', f'"x{i}/{{d')
        target = folder / f"a{i:03}-{source.parent.name}"
        target.mkdir()
        (target / "profile.yaml").write_text(text, encoding="utf-8")
    (folder / "tasmota").symlink_to(SHIPPED / "tasmota")


def _messages(vectors: Sequence[Vector]) -> list[RawMessage]:
    return [v.message() for v in vectors if v.expect and not v.sequence and not v.rejects]


def _readings(catalog: Catalog, message: RawMessage) -> int:
    try:
        decoded = catalog.decode(message)
    except MessageError:
        return 0
    return len(decoded.readings) + sum(len(w.samples) for w in decoded.waveforms)


def main() -> None:
    """Print the three tables."""
    console = Console()
    by_hand(console)
    console.print("\nEach profile on its own vectors:")
    each(console)
    console.print("\nAs more profiles are loaded (Tasmota SENSOR):")
    as_many_are_loaded(console)


if __name__ == "__main__":
    main()

"""What real firmwares send over MQTT, made of a plant's values.

Each function returns the messages of one report: topics, keys, number formats, time formats, QoS
and retain flags as the firmware has them, odd ones too.
"""

import json
import struct
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.demo.plant import PlantState


class Message(NamedTuple):
    """One MQTT message to publish."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 0


def tasmota_sensor(
    device: str, state: PlantState, time_ns: int, zone: tzinfo = UTC
) -> list[Message]:
    """Return Tasmota's ``tele/<device>/SENSOR`` of a plug that measures energy.

    ``Time`` is wall-clock time without a zone, in whole seconds: two reports within one second
    bear the same time. ``zone`` is the device's own.
    """
    apparent = state.motor_v * state.motor_a
    energy = {
        "TotalStartTime": "2025-01-08T09:14:03",
        "Total": round(state.energy_kwh, 3),
        "Yesterday": 6.404,
        "Today": round(state.energy_kwh - 115.2, 3),
        "Power": round(state.motor_w),
        "ApparentPower": round(apparent),
        "ReactivePower": round(float(np.sqrt(max(0.0, apparent**2 - state.motor_w**2)))),
        "Factor": round(state.motor_w / apparent, 2),
        "Voltage": round(state.motor_v),
        "Current": round(state.motor_a, 3),
    }
    local = datetime.fromtimestamp(time_ns // 10**9, tz=zone)
    report = {"Time": local.strftime("%Y-%m-%dT%H:%M:%S"), "ENERGY": energy}
    return [Message(f"tele/{device}/SENSOR", _json(report))]


def tasmota_lwt(device: str, *, online: bool) -> Message:
    """Return Tasmota's sign of life; the offline one is its last will."""
    payload = b"Online" if online else b"Offline"
    return Message(f"tele/{device}/LWT", payload, retain=True, qos=1)


def shelly_status(device: str, state: PlantState, time_ns: int) -> list[Message]:
    """Return the notification of a Shelly Plus 1PM with a DS18B20 at its Sensor Add-on.

    The relay feeds the motor's fan, the probe sits on the bearing (components of an add-on are
    numbered from 100). A notification carries only what changed.
    """
    celsius = round(state.bearing_c, 1)
    params = {
        "ts": time_ns // 10**7 / 100,
        "switch:0": {
            "id": 0,
            "apower": round(state.fan_w, 1),
            "voltage": round(state.motor_v, 1),
            "current": round(state.fan_w / state.motor_v, 3),
        },
        "temperature:100": {"id": 100, "tC": celsius, "tF": round(celsius * 1.8 + 32, 1)},
    }
    frame = {"src": device, "dst": f"{device}/events", "method": "NotifyStatus", "params": params}
    return [Message(f"{device}/events/rpc", _json(frame), qos=1)]


def shelly_online(device: str, *, online: bool) -> Message:
    """Return the sign of life of a Shelly; the false one is its last will."""
    return Message(f"{device}/online", b"true" if online else b"false", retain=True, qos=1)


def zigbee2mqtt_climate(name: str, state: PlantState, time_ns: int) -> list[Message]:
    """Return what Zigbee2MQTT says of a climate sensor with a battery, ``last_seen`` in ISO 8601.

    The friendly name may hold slashes. ``voltage`` is in mV on devices with a battery.
    """
    seen = datetime.fromtimestamp(time_ns // 10**9, tz=UTC)
    millis = time_ns // 10**6 % 1000
    report = {
        "battery": 97,
        "humidity": round(state.room_humidity_percent, 2),
        "last_seen": f"{seen:%Y-%m-%dT%H:%M:%S}.{millis:03d}Z",
        "linkquality": 142,
        "temperature": round(state.room_c, 2),
        "voltage": 3005,
    }
    return [Message(f"zigbee2mqtt/{name}", _json(report))]


def zigbee2mqtt_availability(name: str, *, online: bool) -> Message:
    """Return what Zigbee2MQTT says of whether it hears a device."""
    payload = _json({"state": "online" if online else "offline"})
    return Message(f"zigbee2mqtt/{name}/availability", payload, retain=True, qos=1)


def esphome_sensors(device: str, state: PlantState) -> list[Message]:
    """Return ESPHome's states: a topic for each sensor, plain text, retained, no time."""
    texts = {
        "flow": f"{state.flow_l_min:.1f}",
        "pressure": f"{state.pressure_bar:.3f}",
        "vibration": f"{state.vibration_mm_s:.2f}",
    }
    return [
        Message(f"{device}/sensor/{name}/state", text.encode(), retain=True)
        for name, text in texts.items()
    ]


def esphome_status(device: str, *, online: bool) -> Message:
    """Return ESPHome's birth message; the offline one is its last will."""
    return Message(f"{device}/status", b"online" if online else b"offline", retain=True)


def plain_json(device: str, state: PlantState, time_ns: int) -> list[Message]:
    """Return what a home-made sensor sends: flat JSON with Unix seconds, down to the ms."""
    report = {
        "ts": time_ns // 10**6 / 1000,
        "level": round(state.tank_percent, 2),
        "inflow": round(state.inflow_l_min, 1),
        "water_temperature": round(state.water_c, 2),
    }
    return [Message(f"sensors/{device}", _json(report), qos=1)]


def vibration_waveform(
    device: str, samples: NDArray[np.int16], rate_hz: int, time_ns: int
) -> list[Message]:
    """Return a block of samples: int16 little-endian, axes interleaved, behind a header.

    The header is ``<IIHBB``: seconds and milliseconds of the first sample, rate, axes, and
    samples on each axis.

    Args:
        device: The sensor's name.
        samples: int16 [n, axes], n and axes at most 255.
        rate_hz: Samples per second, at most 65535.
        time_ns: Time of the first sample.
    """
    count, axes = samples.shape
    seconds, rest_ns = divmod(time_ns, 10**9)
    header = struct.pack("<IIHBB", seconds, rest_ns // 10**6, rate_hz, axes, count)
    return [Message(f"vib/{device}/acc", header + samples.astype("<i2").tobytes())]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

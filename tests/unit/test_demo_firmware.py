import json
import re
import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.demo import firmware
from gateway.demo.plant import COUNTS_PER_G, Plant

_NS = 1_700_000_000_250_000_000  # 2023-11-14T22:13:20.250Z
_STATE = Plant(1).at(3.0)
_VECTORS = Path(__file__).parents[2].parent / "shared/vectors/firmware_vectors.jsonl"


def _vector(vector_id: str) -> dict[str, Any]:
    if not _VECTORS.exists():
        pytest.skip("no vectors of real firmwares beside the repository")
    lines = _VECTORS.read_text(encoding="utf-8").splitlines()
    return next(v for v in map(json.loads, lines) if v["id"] == vector_id)


def _kinds(value: object) -> object:
    """Return the types of a JSON value, key by key; whole and broken numbers are one type."""
    if isinstance(value, dict):
        return {key: _kinds(item) for key, item in value.items()}
    return float if type(value) is int else type(value)


def test_tasmota_energy_has_the_types_of_a_real_one() -> None:
    real = json.loads(_vector("tasmota-pow-status8")["payload"])["StatusSNS"]
    (message,) = firmware.tasmota_sensor("pow1", _STATE, _NS)
    assert _kinds(json.loads(message.payload)) == _kinds(real)


def test_tasmota_time_is_local_whole_seconds_without_zone() -> None:
    zone = timezone(timedelta(hours=2))
    (message,) = firmware.tasmota_sensor("pump", _STATE, _NS, zone)
    assert message.topic == "tele/pump/SENSOR"
    assert json.loads(message.payload)["Time"] == "2023-11-15T00:13:20"


def test_tasmota_power_triangle_closes() -> None:
    energy = json.loads(firmware.tasmota_sensor("p", _STATE, _NS)[0].payload)["ENERGY"]
    assert energy["Power"] ** 2 + energy["ReactivePower"] ** 2 == pytest.approx(
        energy["ApparentPower"] ** 2, rel=0.01
    )
    assert energy["Factor"] == 0.86


def test_tasmota_sign_of_life_is_retained() -> None:
    assert firmware.tasmota_lwt("p", online=True) == ("tele/p/LWT", b"Online", True, 1)
    assert firmware.tasmota_lwt("p", online=False).payload == b"Offline"


def test_shelly_frame_has_the_shape_of_a_real_one() -> None:
    real = json.loads(_vector("shelly2-ht-full")["payload"])
    (message,) = firmware.shelly_status("shellyplus1pm-1", _STATE, _NS)
    frame = json.loads(message.payload)
    assert message.topic == "shellyplus1pm-1/events/rpc"
    assert frame.keys() == real.keys()
    assert frame["params"]["ts"] == 1_700_000_000.25
    assert _kinds(frame["params"]["temperature:100"]) == _kinds(real["params"]["temperature:0"])


def test_shelly_switch_has_the_types_of_a_real_one() -> None:
    real = json.loads(_vector("shelly2-status-switch")["payload"])
    frame = json.loads(firmware.shelly_status("s", _STATE, _NS)[0].payload)
    switch = frame["params"]["switch:0"]
    assert _kinds(switch) == {key: _kinds(real[key]) for key in switch}


def test_shelly_fahrenheit_agrees_with_celsius() -> None:
    probe = json.loads(firmware.shelly_status("s", _STATE, _NS)[0].payload)["params"]
    assert probe["temperature:100"]["tF"] == pytest.approx(
        probe["temperature:100"]["tC"] * 1.8 + 32, abs=0.051
    )


def test_shelly_sign_of_life_is_as_a_real_one() -> None:
    real = _vector("shelly2-online")
    message = firmware.shelly_online("shelly1pmmini-Solarthermie", online=True)
    assert (message.topic, message.payload.decode(), message.retain) == (
        real["topic"],
        real["payload"],
        real["retained"],
    )


def test_zigbee_time_is_iso_with_milliseconds() -> None:
    (message,) = firmware.zigbee2mqtt_climate("hall/climate", _STATE, _NS + 999_999)
    report = json.loads(message.payload)
    assert message.topic == "zigbee2mqtt/hall/climate"
    assert report["last_seen"] == "2023-11-14T22:13:20.250Z"
    assert datetime.fromisoformat(report["last_seen"]).tzinfo == UTC


def test_zigbee_values_have_the_types_of_a_real_one() -> None:
    real = json.loads(_vector("z2m-garage")["payload"])
    report = json.loads(firmware.zigbee2mqtt_climate("c", _STATE, _NS)[0].payload)
    shared = report.keys() & real.keys() - {"linkquality"}
    assert shared >= {"battery", "humidity", "temperature", "voltage"}
    assert {k: _kinds(report[k]) for k in shared} == {k: _kinds(real[k]) for k in shared}


def test_zigbee_availability_is_json_and_retained() -> None:
    real = _vector("z2m-avail-json")
    message = firmware.zigbee2mqtt_availability("my_bulb", online=False)
    assert message[:3] == (real["topic"], real["payload"].encode(), real["retained"])


def test_esphome_states_are_plain_numbers_a_topic_each() -> None:
    messages = firmware.esphome_sensors("node", _STATE)
    assert len({m.topic for m in messages}) == 3
    for message in messages:
        assert re.fullmatch(r"node/sensor/[a-z_]+/state", message.topic)
        assert re.fullmatch(rb"\d+\.\d+", message.payload)
        assert message.retain


def test_esphome_birth_is_as_a_real_one() -> None:
    real = _vector("esphome-status-on")
    message = firmware.esphome_status("bedroom_environment", online=True)
    assert message[:3] == (real["topic"], real["payload"].encode(), real["retained"])


def test_plain_json_has_unix_seconds_to_the_millisecond() -> None:
    (message,) = firmware.plain_json("tank-1", _STATE, _NS + 999_999)
    assert message.topic == "sensors/tank-1"
    assert json.loads(message.payload)["ts"] == 1_700_000_000.25


def test_waveform_bytes_are_those_of_the_vector() -> None:
    real = _vector("wave-int16-xyz")
    g = np.array([reading["value"] for reading in real["expected"]]).T
    samples = np.round(g * COUNTS_PER_G).astype(np.int16)
    (message,) = firmware.vibration_waveform("pump3", samples, 1600, _NS)
    assert message.topic == real["topic"]
    assert message.payload == bytes.fromhex(real["payload"])


def test_waveform_header_counts_the_samples_behind_it() -> None:
    samples = Plant(1).waveform(0.0)
    (message,) = firmware.vibration_waveform("b", samples, 1600, _NS)
    *_, axes, count = struct.unpack_from("<IIHBB", message.payload)
    assert len(message.payload) == 12 + 2 * axes * count
    back = np.frombuffer(message.payload[12:], "<i2").reshape(count, axes)
    assert np.array_equal(back, samples)

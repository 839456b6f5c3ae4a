"""Every shipped profile, held to the vectors beside it, to real messages, and to noise."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import DecodeError, UnclaimedError
from gateway.model import RawMessage
from gateway.profiles import Catalog
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.vectors import Vector, VectorResult, read_vectors, run_vectors
from gateway.topics import matches

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "firmware_profiles"
SHARED = (
    Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared")) / "vectors/firmware_vectors.jsonl"
)
ZONE = "Europe/Berlin"
NOW_NS = 1_800_000_000 * 10**9

CATALOG = Catalog.load([SHIPPED], ZONE)
OWN = [
    (file.parent.name, vector)
    for file in sorted(SHIPPED.glob("*/vectors.yaml"))
    for vector in read_vectors(file)
]

NOT_YET: dict[str, str] = {}
"""Real messages that do not come out right, and why."""


def test_profiles_load_when_shipped() -> None:
    assert CATALOG.rejected == []
    assert {p.name for p in CATALOG.profiles} == {f.name for f in SHIPPED.iterdir() if f.is_dir()}


@pytest.mark.parametrize("name", [p.name for p in CATALOG.profiles])
def test_profile_has_good_and_bad_vectors_when_shipped(name: str) -> None:
    own = [vector for profile, vector in OWN if profile == name]
    assert [v for v in own if v.expect]
    assert [v for v in own if v.rejects]
    assert len({v.id for v in own}) == len(own)


@pytest.mark.parametrize(("profile", "vector"), OWN, ids=[f"{p}:{v.id}" for p, v in OWN])
def test_vector_decodes_when_beside_its_profile(profile: str, vector: Vector) -> None:
    session = [v for p, v in OWN if p == profile and same_session(v, vector)]
    results = run_vectors(CATALOG, session or [vector], ZONE)
    [result] = [r for r in results if r.id == vector.id]
    assert result.difference == (), profile


def same_session(one: Vector, other: Vector) -> bool:
    return bool(one.sequence and other.sequence and one.sequence.group == other.sequence.group)


@pytest.mark.parametrize(("profile", "vector"), OWN, ids=[f"{p}:{v.id}" for p, v in OWN])
def test_topic_is_subscribed_when_it_is_claimed(profile: str, vector: Vector) -> None:
    told_of = vector.sequence is not None and CATALOG.claim(vector.topic) is None
    if vector.rejects not in {"unclaimed", "bad_device"} and not told_of:
        claim = CATALOG.claim(vector.topic)
        assert claim is not None
        assert claim.profile == profile
        assert matches(topic_pattern(claim.pattern).mqtt_filter, vector.topic)
        assert any(matches(f, vector.topic) for f in CATALOG.filters)


def test_real_messages_decode_when_their_firmware_is_supported() -> None:
    if not SHARED.exists():
        pytest.skip("the table of real messages is not beside this repository")
    results = {r.id: r for r in run_vectors(CATALOG, read_vectors(SHARED), ZONE)}
    failed = {r.id: r.difference for r in results.values() if not r.passed}
    assert {i: d for i, d in failed.items() if i not in NOT_YET} == {}
    assert set(NOT_YET) <= set(failed), "these pass: take them off the list"


def test_runner_tells_differences_when_a_vector_is_wrong() -> None:
    good = next(v for _, v in OWN if v.id == "tasmota-am2301")
    first, second = good.expect

    def differences(**changes: Any) -> tuple[str, ...]:  # noqa: ANN401 - fields of a vector
        [result] = run_vectors(CATALOG, [good.model_copy(update=changes)], ZONE)
        return result.difference

    def with_first(**changes: Any) -> tuple[str, ...]:  # noqa: ANN401 - fields of a reading
        return differences(expect=(first.model_copy(update=changes), second))

    assert differences() == ()
    assert "should be 25" in with_first(value=25)[0]
    assert "unit '°C'" in with_first(unit="K")[0]
    assert "that of arrival" in with_first(time=None)[0]
    assert "the vector itself" in with_first(time="soon")[0]
    assert "missing: other" in with_first(device="other")[0]
    assert "not expected" in differences(expect=(first,))[0]
    assert differences(expect=(first,), mode="subset") == ()
    assert "should be refused" in differences(rejects="bad_json")[0]
    assert "bad_json" in differences(payload="{")[0]
    assert "no profile" in differences(topic="nobody/knows")[0]
    assert "the vector itself" in differences(encoding="hex")[0]
    assert not VectorResult("x", "y", ("z",)).passed


TOPICS = sorted({v.topic for _, v in OWN})
PAYLOADS = sorted({v.message().payload for _, v in OWN})


def check(topic: str, payload: bytes) -> None:
    """Decode anything at all: only the two errors may come out, and only sound readings."""
    try:
        found = CATALOG.decode(RawMessage(topic, payload, NOW_NS))
    except (DecodeError, UnclaimedError):
        return
    assert found.device
    for reading in found.readings:
        assert reading.device
        assert 0 < len(reading.metric) <= 256
        assert type(reading.value) in {int, float, bool, str}
        assert isinstance(reading.value, str) or math.isfinite(reading.value)
        assert not isinstance(reading.value, str) or 0 < len(reading.value) <= 16_384
        assert 946_684_800 * 10**9 <= reading.time_ns <= NOW_NS + 86_400 * 10**9
    for waveform in found.waveforms:
        assert np.isfinite(waveform.samples).all()
        assert 0 < waveform.rate_hz < 1e9


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = ["Time", "Epoch", "StatusSNS", "ZbReceived", "LwReceived", "Payload", "Id", "params", "ts",
        "switch:0", "bthomesensor:1", "method", "state", "last_seen", "voltage", "values", "data",
        "DevEUIh", "type", "TempUnit", "Temperature", "$online", ""]  # fmt: skip
KNOWN = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=8,
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(topic=st.sampled_from(TOPICS), value=KNOWN)
def test_nothing_else_comes_out_when_json_has_odd_shapes(topic: str, value: object) -> None:
    check(topic, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))


@settings(max_examples=1000, deadline=None)
@given(
    topic=st.sampled_from(TOPICS) | st.text(max_size=40) | st.from_regex(r"[a-z$+#/]{0,20}/LWT"),
    payload=st.binary(max_size=64) | st.sampled_from(PAYLOADS),
    cut=st.integers(0, 200),
    flip=st.integers(0, 10_000),
)
def test_nothing_else_comes_out_when_bytes_are_broken(
    topic: str, payload: bytes, cut: int, flip: int
) -> None:
    broken = bytearray(payload[: len(payload) - cut] if cut < len(payload) else payload)
    if broken:
        broken[flip % len(broken)] ^= 1 << (flip % 8)
    check(topic, bytes(broken))


NASTY = {
    "empty": b"",
    "not_utf8": b"\xff\xfe\x00{",
    "nan": b'{"temperature": NaN}',
    "infinity": b'{"temperature": -Infinity}',
    "huge_int": b'{"a": 184467440737095516160000, "ts": 99999999999999999999999999}',
    "huge_exponent": b'{"a": 1e400}',
    "tiny_exponent": b'{"a": 1e-400, "ts": 1e308}',
    "deep_arrays": b"[" * 100_000,
    "deep_objects": b'{"a":' * 500 + b"1" + b"}" * 500,
    "lone_surrogate": b'{"a": "\\ud800"}',
    "surrogate_key": b'{"\\ud800": 1}',
    "nul_in_key": b'{"a\\u0000b": 1}',
    "many_digits": b"9" * 5000,
    "many_digits_text": b'{"a": "' + b"9" * 5000 + b'"}',
    "wide": orjson.dumps({str(i): i for i in range(5000)}),
    "wide_nested": orjson.dumps([{str(i): i for i in range(300)}] * 20),
    "long_key": orjson.dumps({"k" * 300: 1}),
    "bom": b"\xef\xbb\xbf{}",
    "megabyte": b'"' + b"x" * 1_100_000 + b'"',
    "duplicate_keys": b'{"a":1,"a":{"b":2}}',
}
ODD_TOPICS = [
    "", "/", "//", "///SENSOR", "tele//SENSOR", "tele/\u0000/SENSOR", "sensors/", "sensors//",
    "sensors/a//b", "sensors/\ud800", "sensors/" + "x" * 300, "zigbee2mqtt/", "+/#", "$SYS/x",
    "zigbee2mqtt/\n", "a/sensor//state", "/sensor/x/state", "tele/\u2028/LWT",
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_nothing_else_comes_out_when_payload_is_nasty(name: str) -> None:
    for topic in TOPICS:
        check(topic, NASTY[name])


@pytest.mark.parametrize("topic", ODD_TOPICS)
def test_nothing_else_comes_out_when_topic_is_odd(topic: str) -> None:
    for payload in PAYLOADS:
        check(topic, payload)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("zigbee2mqtt/a", NASTY["nan"], "bad_json"),
        ("zigbee2mqtt/a", NASTY["deep_arrays"], "too_deep"),
        ("zigbee2mqtt/a", NASTY["deep_objects"], "too_deep"),
        ("zigbee2mqtt/a", NASTY["wide"], "too_many_values"),
        ("zigbee2mqtt/a", NASTY["megabyte"], "too_large"),
        ("zigbee2mqtt/a", NASTY["long_key"], "bad_metric"),
        ("zigbee2mqtt/a", NASTY["nul_in_key"], "bad_metric"),
        ("zigbee2mqtt/a", NASTY["empty"], "empty_payload"),
        ("a/sensor/b/state", b"\xff", "bad_utf8"),
        ("sensors/" + "x" * 300, b"{}", "bad_device"),
        ("sensors/\ud800", b"{}", "bad_device"),
    ],
)
def test_reason_is_told_when_a_message_is_refused(topic: str, payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CATALOG.decode(RawMessage(topic, payload, NOW_NS))
    assert caught.value.reason == reason
    assert caught.value.profile


def test_memory_of_topics_is_bounded_when_they_never_come_again() -> None:
    catalog = Catalog.load([SHIPPED], "UTC")
    for i in range(45_000):
        catalog.claim(f"sensors/{i}")
    assert len(catalog._claims._young) + len(catalog._claims._old) <= 40_000

"""What a packet says, and how large it may be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import gateway.outcomes
from gateway.errors import MessageError, PacketTooLargeError
from gateway.model import Outcome, OutcomeContext, PluginIdentity, Result
from gateway.outcomes.packet import (
    MAX_PACKET_BYTES,
    PacketError,
    decode,
    encode,
    named,
    packet_id,
    room_for_numbers,
)

SCHEMA = json.loads((Path(gateway.outcomes.__file__).parent / "packet.schema.json").read_bytes())
VALID = Draft202012Validator(SCHEMA)

CONTEXT = OutcomeContext("machine", "pump", "anomaly")
PLUGIN = PluginIdentity("machine-anomaly", "1.0.0", "ABCDEF0123456789" * 4)
OUTCOME = Outcome(
    gateway="gw-01",
    source="pump-3",
    context=CONTEXT,
    plugin=PLUGIN,
    quantities=(("power", "W"),),
    start_ns=1_760_000_000_000_000_000,
    end_ns=1_760_000_060_123_456_789,
    result=Result("anomaly", 4.123456789, 0.97, {"vibration_rms": 3.14159265, "load": 2.0}),
    received_ns=5,
)


def _with(outcome: Outcome = OUTCOME, **result: Any) -> Outcome:  # noqa: ANN401 - fields differ
    return replace(outcome, result=replace(outcome.result, **result))


def _padded(size: int) -> Outcome:
    """Return an outcome whose packet would have this size, by the length of the plugin's name."""
    plain = len(encode(_with(numbers={})).payload)
    name = PLUGIN.name + "x" * (size - plain)
    return _with(replace(OUTCOME, plugin=replace(PLUGIN, name=name)), numbers={})


def test_packet_tells_all_fields_when_encoded() -> None:
    packet = encode(OUTCOME)
    told = decode(packet.payload)
    assert (told.version, told.gateway, told.source) == (1, "gw-01", "pump-3")
    assert (told.domain, told.asset, told.kind) == ("machine", "pump", "anomaly")
    assert (told.start_ms, told.end_ms) == (1_760_000_000_000, 1_760_000_060_123)
    assert (told.label, told.score, told.confidence) == ("anomaly", 4.12346, 0.97)
    assert told.numbers == {"vibration_rms": 3.14159, "load": 2}
    assert (told.plugin, told.plugin_version, told.model) == (
        "machine-anomaly", "1.0.0", "abcdef012345",
    )  # fmt: skip
    assert (told.id, told.clock) == (packet.id, "ok")
    assert packet.subject == f"outcomes.gw-01.machine.pump.anomaly.{told.fingerprint}"
    assert b" " not in packet.payload


@pytest.mark.parametrize("size", [511, 512])
def test_packet_is_whole_when_it_just_fits(size: int) -> None:
    assert len(encode(_padded(size)).payload) == size


def test_packet_is_refused_when_one_byte_over() -> None:
    with pytest.raises(PacketTooLargeError, match="513 bytes"):
        encode(_padded(513))


def test_numbers_are_rounded_before_any_is_left_out() -> None:
    numbers = {"first_number": 1.23456, "second_number": 2.34567}
    exact = len(encode(_with(_padded(400), numbers=numbers)).payload)
    tight = _with(_padded(400 + MAX_PACKET_BYTES - exact + 1), numbers=numbers)
    assert decode(encode(tight).payload).numbers == {"first_number": 1.235, "second_number": 2.346}
    tighter = _with(_padded(400 + MAX_PACKET_BYTES - exact + 5), numbers=numbers)
    assert decode(encode(tighter).payload).numbers == {"first_number": 1.23, "second_number": 2.35}


def test_last_number_goes_first_when_rounding_does_not_help() -> None:
    numbers = {f"number_{n}": n + 0.123456 for n in range(40)}
    told = decode(encode(_with(numbers=numbers)).payload).numbers
    assert list(told) == [f"number_{n}" for n in range(len(told))]
    assert 5 < len(told) < 40


def test_long_source_still_names_one_source() -> None:
    long = "factory/hall-7/line-3/" + "ü" * 60
    told = [decode(encode(replace(OUTCOME, source=long + end)).payload).source for end in "ab"]
    assert told[0] != told[1]
    assert all(len(t.encode()) <= 64 and t.startswith("factory/hall-7") and t[-9] == "~"
               for t in told)  # fmt: skip
    assert told[0] == decode(encode(_with(replace(OUTCOME, source=long + "a"))).payload).source


def test_source_is_whole_when_it_has_64_bytes() -> None:
    source = "é" * 32
    assert decode(encode(replace(OUTCOME, source=source)).payload).source == source


def test_long_label_ends_in_a_mark() -> None:
    told = decode(encode(_with(label="über" * 20)).payload).label
    assert len(told.encode()) <= 32
    assert told == ("über" * 20)[: len(told) - 1] + "~"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_number_is_left_out_when_it_is_not_finite(bad: float) -> None:
    assert decode(encode(_with(numbers={"bad": bad, "good": 1.5})).payload).numbers == {"good": 1.5}


@pytest.mark.parametrize(
    "wrong", [{"score": float("nan")}, {"score": float("-inf")}, {"confidence": 1.01},
              {"confidence": float("nan")}],
)  # fmt: skip
def test_outcome_is_refused_when_score_or_confidence_say_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(PacketError, match="machine-anomaly"):
        encode(_with(**wrong))


def test_largest_number_stays_a_number() -> None:
    largest = 1.7976931348623157e308
    numbers = {"x" * n: largest for n in range(1, 30)}
    told = decode(encode(_with(score=-largest, numbers=numbers)).payload)
    assert told.score == -1.79769e308
    assert set(told.numbers.values()) == {1.79769e308}


def test_lone_surrogate_is_replaced() -> None:
    assert decode(encode(replace(OUTCOME, source="a\ud800b")).payload).source == "a?b"


def test_id_is_the_same_for_the_same_window_and_differs_otherwise() -> None:
    told = packet_id("gw", "p", "s", 1)
    assert told == packet_id("gw", "p", "s", 1)
    others = [("g", "wp", "s", 1), ("gw", "p", "s", 2), ("gw", "p", "s2", 1), ("gw2", "p", "s", 1)]
    assert len({told, *(packet_id(*other) for other in others)}) == 5
    assert encode(_with(score=1.0)).id == encode(_with(score=2.0)).id


def test_room_is_what_numbers_may_take_at_least() -> None:
    room = room_for_numbers("g" * 32, CONTEXT, PLUGIN)
    worst = _with(
        replace(OUTCOME, gateway="g" * 32, source="s" * 64, clock="x" * 8),
        label="l" * 32, score=-1.23457e-300, confidence=0.123457,
        numbers={"n" * (room - len('"":1.23457')): 1.23457},
    )  # fmt: skip
    payload = encode(worst).payload
    assert len(decode(payload).numbers) == 1
    assert len(payload) >= MAX_PACKET_BYTES - 8  # nanoseconds of the year 2286 have a digit more


def test_no_room_is_told_when_the_manifest_is_too_long() -> None:
    assert room_for_numbers("g", replace(CONTEXT, domain="d" * 300), PLUGIN) < 0


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": True}, {"id": "x"}, {"score": "1"}, {"score": None}, {"start": 1.5},
     {"conf": 2}, {"num": {"a": "b"}}, {"num": [1]}, {"src": 1}, {"fp": "A" * 16}, {"more": 1},
     {"model": "zz"}, {"label": None}],
)  # fmt: skip
def test_decode_and_schema_refuse_the_same(change: dict[str, Any]) -> None:
    fields = orjson.loads(encode(OUTCOME).payload) | change
    with pytest.raises(PacketError):
        decode(orjson.dumps(fields))
    assert not VALID.is_valid(fields)


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_decode_and_schema_refuse_when_a_field_is_missing(key: str) -> None:
    fields = orjson.loads(encode(OUTCOME).payload)
    del fields[key]
    with pytest.raises(PacketError):
        decode(orjson.dumps(fields))
    assert not VALID.is_valid(fields)


@pytest.mark.parametrize("junk", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"v":1}', b"x" * 513])
def test_decode_raises_its_own_error_when_bytes_are_no_packet(junk: bytes) -> None:
    with pytest.raises(MessageError):
        decode(junk)


def test_decode_refuses_numbers_that_json_has_not() -> None:
    payload = encode(OUTCOME).payload.replace(b'"score":4.12346', b'"score":NaN')
    with pytest.raises(PacketError):
        decode(payload)


@given(st.binary(max_size=600))
def test_decode_raises_nothing_else_when_given_any_bytes(junk: bytes) -> None:
    with pytest.raises(PacketError):
        decode(junk)
    assert all(isinstance(text, str) for text in named(junk))


_WORD = st.text(max_size=12)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    source=st.text(max_size=90),
    words=st.tuples(_WORD, _WORD, _WORD, _WORD),
    label=st.text(max_size=40),
    score=_FINITE,
    confidence=st.none() | st.floats(0, 1),
    numbers=st.dictionaries(st.text(max_size=30), st.floats(), max_size=12),
    start_ns=st.integers(-(2**62), 2**62),
)
def test_every_packet_fits_validates_and_reads_back(  # noqa: PLR0917 - hypothesis names them
    source: str, words: tuple[str, str, str, str], label: str, score: float,
    confidence: float | None, numbers: dict[str, float], start_ns: int,
) -> None:  # fmt: skip
    outcome = replace(
        OUTCOME, source=source, context=OutcomeContext(*words), start_ns=start_ns,
        end_ns=start_ns + 10**9, result=Result(label, score, confidence, numbers),
    )  # fmt: skip
    try:
        packet = encode(outcome)
    except PacketTooLargeError:
        assert sum(len(json.dumps(word)) for word in words) > 60
        return
    assert len(packet.payload) <= MAX_PACKET_BYTES
    assert packet.payload.decode("utf-8")
    VALID.validate(orjson.loads(packet.payload))
    told = decode(packet.payload)
    assert told.id == packet_id(outcome.gateway, PLUGIN.name, source, outcome.end_ns)
    assert told.score == pytest.approx(score, rel=1e-5)
    assert named(packet.payload) == (packet.id, told.source)
    assert told.end_ms - told.start_ms == 1000
    assert all(told.numbers[n] == pytest.approx(numbers[n], rel=0.006) for n in told.numbers
               if n in numbers)  # fmt: skip

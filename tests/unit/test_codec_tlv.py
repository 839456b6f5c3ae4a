"""Tagged values: tables, unknown tags, cut-off payloads; and bytes as they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.plain import BytesOptions
from gateway.profiles.codecs.tlv import TlvOptions

TAGS: Any = {
    "0175": {"type": "u1", "names": "battery"},
    "0367": {"type": "i2", "names": "temperature"},
    "0665": {"type": "u2", "names": ["light", "visible", "infrared"]},
    "ff16": {"type": 8},
}
OPTIONS = TlvOptions(tags=TAGS)


def decode(digits: str, options: TlvOptions = OPTIONS) -> dict[str, Any]:
    found: dict[str, Any] = options.build()(RawMessage("x", bytes.fromhex(digits), 10**18))
    return found


@pytest.mark.parametrize(
    ("digits", "wanted"),
    [
        ("017532 0367c800", {"battery": 50, "temperature": 200}),
        ("0367 38ff", {"temperature": -200}),
        ("0665 0100 0200 0300", {"light": 1, "visible": 2, "infrared": 3}),
        ("ff16 0102030405060708 017501", {"battery": 1}),
        ("017532 0500 00", {"battery": 50}),  # an unknown tag ends it
        ("017532 01", {"battery": 50}),  # half a tag is an unknown one
        ("017532 017533", {"battery": 51}),
    ],
)
def test_values_are_named_when_their_tags_are_known(digits: str, wanted: dict[str, int]) -> None:
    assert decode(digits) == wanted


def test_byte_order_is_the_profiles_when_it_says_so() -> None:
    options = TlvOptions(endian="be", tags={"01": {"type": "i2", "names": "t"}})
    assert decode("01 ff38", options) == {"t": -200}


@pytest.mark.parametrize(
    ("digits", "reason"),
    [("", "empty_payload"), ("aabb", "unknown_tag"), ("0367c8", "bad_length"),
     ("017532 ff160102", "bad_length"), ("00" * 1_000_001, "too_large")],
)  # fmt: skip
def test_reason_is_told_when_nothing_can_be_read(digits: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(digits)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "tags",
    [{}, {"01": {"type": 1}, "0203": {"type": 1}}, {"0Z": {"type": 1}}, {"010203": {"type": 1}},
     {"01": {"type": "u3"}}, {"01": {"type": 300}}, {"01": {"type": 2, "names": "x"}}],
)  # fmt: skip
def test_table_is_refused_when_it_cannot_be_one(tags: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValidationError):
        TlvOptions(tags=tags)


@given(st.binary(min_size=1, max_size=64))
def test_nothing_else_is_raised_when_bytes_are_noise(payload: bytes) -> None:
    try:
        found = OPTIONS.build()(RawMessage("x", payload, 10**18))
    except DecodeError:
        return
    assert set(found) <= {"battery", "temperature", "light", "visible", "infrared"}


def test_bytes_are_given_as_they_are_when_there_are_some() -> None:
    codec = BytesOptions().build()
    assert codec(RawMessage("x", b"\x00\xff", 10**18)) == b"\x00\xff"
    with pytest.raises(DecodeError, match="empty_payload"):
        codec(RawMessage("x", b"", 10**18))
    with pytest.raises(DecodeError, match="too_large"):
        codec(RawMessage("x", bytes(1_000_001), 10**18))

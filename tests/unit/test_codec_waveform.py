"""Samples: as bytes, as text of bytes, as columns of numbers."""

import base64
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import Options
from gateway.profiles.codecs.columns import ColumnsOptions
from gateway.profiles.codecs.waveform import Header, RawOptions


def axes(options: Options, payload: bytes | str) -> list[list[float]]:
    """Return the samples of each axis."""
    data = payload.encode() if isinstance(payload, str) else payload
    found = options.build()(RawMessage("x", data, 0))
    assert all(axis.dtype == np.float32 and len(axis) == found["n"] for axis in found["a"])
    return [axis.tolist() for axis in found["a"]]


def reason(options: Options, payload: bytes | str) -> str:
    """Return why a payload is refused."""
    with pytest.raises(DecodeError) as caught:
        axes(options, payload)
    return caught.value.reason


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("endian", ["le", "be"])
def test_samples_come_back_when_they_are_of_any_type(dtype: Any, endian: Any) -> None:  # noqa: ANN401 - literals
    kind = ("<" if endian == "le" else ">") + dtype
    payload = np.array([0, 1, 100], kind).tobytes()
    assert axes(RawOptions(dtype=dtype, endian=endian), payload) == [[0, 1, 100]]


def test_24_bits_keep_their_sign_when_either_end_is_first() -> None:
    values = [0, 1, -1, 8_388_607, -8_388_608]
    big = b"".join(v.to_bytes(3, "big", signed=True) for v in values)
    little = b"".join(v.to_bytes(3, "little", signed=True) for v in values)
    assert axes(RawOptions(dtype="i3", endian="be"), big) == [values]
    assert axes(RawOptions(dtype="i3"), little) == [values]
    assert reason(RawOptions(dtype="i3"), little[:-1]) == "bad_length"


def test_axes_are_parted_when_they_are_interleaved_or_one_after_the_other() -> None:
    payload = np.arange(6, dtype="<i2").tobytes()
    assert axes(RawOptions(axes=2), payload) == [[0, 2, 4], [1, 3, 5]]
    assert axes(RawOptions(axes=2, layout="planar"), payload) == [[0, 1, 2], [3, 4, 5]]


def test_bytes_are_found_when_they_come_as_text() -> None:
    data = np.array([1, -2], "<f4").tobytes()
    text = base64.b64encode(data) + b"\n"
    assert axes(RawOptions(dtype="f4", encoding="base64"), text) == [[1, -2]]
    assert axes(RawOptions(dtype="f4", encoding="hex"), data.hex()) == [[1, -2]]
    assert reason(RawOptions(encoding="base64"), "AA*=") == "bad_base64"
    assert reason(RawOptions(encoding="hex"), "0g") == "bad_hex"
    header = Header(fmt="<H", names=["fs"])
    found = RawOptions(encoding="hex", header=header).build()(RawMessage("x", b"40060100", 0))
    assert found["h"] == {"fs": 1600}


@pytest.mark.parametrize("order", ["<i2", ">i2"])
@pytest.mark.parametrize("amplitude", [40, 1000, 16_000])
def test_byte_order_is_found_when_a_signal_is_smooth(order: str, amplitude: int) -> None:
    wave = (amplitude * np.sin(np.arange(256) / 8)).astype(order)
    assert axes(RawOptions(endian="auto"), wave.tobytes()) == [wave.tolist()]


def test_little_end_is_first_when_nothing_speaks_for_the_other() -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, 512).astype("<i2")
    assert axes(RawOptions(endian="auto"), noise.tobytes()) == [noise.tolist()]
    assert axes(RawOptions(endian="auto"), b"") == [[]]
    with pytest.raises(ValidationError):
        RawOptions(dtype="i3", endian="auto")


@pytest.mark.parametrize("order", ["<", ">"])
def test_floats_are_told_from_counts_when_the_type_is_to_be_found(order: str) -> None:
    options = RawOptions(dtype="auto", endian="auto", scale=0.5)
    floats = np.sin(np.arange(64) / 5)
    assert np.allclose(axes(options, floats.astype(order + "f4").tobytes()), [floats])
    counts = (floats * 9000).astype("i2")
    assert np.allclose(axes(options, counts.astype(order + "i2").tobytes()), [counts / 2])
    assert axes(options, bytes(8)) == [[0, 0, 0, 0]]
    assert axes(options, b"") == [[]]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_samples_are_refused_when_one_is_not_finite(value: str) -> None:
    broken = np.array([1, float(value)], "<f4").tobytes()
    assert reason(RawOptions(dtype="f4"), broken) == "bad_samples"
    assert reason(RawOptions(dtype="f8"), np.array([1e300], "<f8").tobytes()) == "bad_samples"
    assert reason(ColumnsOptions(), value) == "bad_number"
    assert reason(ColumnsOptions(), "1e99") == "bad_samples"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1,2\n3,4\n", [[1, 3], [2, 4]]),
        ("1\n2\r\n\r\n3", [[1, 2, 3]]),
        ("0,5;1\n0,25;2\n", [[0.5, 0.25], [1, 2]]),
        ("1\t-2\n3\t.5", [[1, 3], [-2, 0.5]]),
        ("1  2\n3 4", [[1, 3], [2, 4]]),
        ("x,y\n1,2", [[1], [2]]),
        (" 1e2 , 2 ", [[100], [2]]),
    ],
)
def test_columns_are_found_when_text_is_of_any_locale(text: str, meant: list[list[float]]) -> None:
    assert axes(ColumnsOptions(), text) == meant


def test_columns_say_their_names_when_a_line_of_words_comes_first() -> None:
    found = ColumnsOptions(scale=2).build()(RawMessage("x", b"t;acc x\n1;0,5\n", 0))
    assert found["names"] == ["t", "acc x"]
    assert [axis.tolist() for axis in found["a"]] == [[2], [1]]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "empty_payload"), ("1,2\n3", "bad_length"), ("1,2\n3,x", "bad_number"),
     ("words,only", "bad_number"), ("1,,2", "bad_number"), ("1," * 70 + "1", "bad_length")],
)  # fmt: skip
def test_columns_are_refused_when_they_are_no_matrix_of_numbers(text: str, why: str) -> None:
    assert reason(ColumnsOptions(), text) == why


def test_decimal_and_separator_are_as_told_when_a_profile_says_them() -> None:
    options = ColumnsOptions(separator="comma", decimal="point")
    assert axes(options, "1.5,2") == [[1.5], [2]]
    assert reason(options, "1.5;2") == "bad_number"
    assert axes(ColumnsOptions(separator="tab", decimal="comma"), "1,5\t2") == [[1.5], [2]]

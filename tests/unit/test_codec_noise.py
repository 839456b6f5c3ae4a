"""No bytes make a codec raise anything but DecodeError, nor give what JSON could not hold."""

import contextlib
from pathlib import Path

import cbor2
import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs import CODECS, Options
from gateway.profiles.codecs.cayenne import CayenneOptions
from gateway.profiles.codecs.cbor import CborOptions
from gateway.profiles.codecs.columns import ColumnsOptions
from gateway.profiles.codecs.influx import InfluxOptions
from gateway.profiles.codecs.msgpack import MsgpackOptions
from gateway.profiles.codecs.rows import CsvOptions
from gateway.profiles.codecs.senml import SenmlOptions
from gateway.profiles.codecs.sparkplug import SparkplugOptions
from gateway.profiles.codecs.waveform import Header, RawOptions
from gateway.profiles.vectors import read_vectors

PROFILES = Path(__file__).parents[2] / "firmware_profiles"
NOW_NS = 1_800_000_000 * 10**9
HEADER = Header(fmt="<IHB", names=["s", "fs", "axes"])
ALL: list[Options] = [
    CayenneOptions(), CborOptions(), ColumnsOptions(), CsvOptions(), InfluxOptions(),
    MsgpackOptions(), SenmlOptions(), SparkplugOptions(),
    RawOptions(header=HEADER, axes="axes"), RawOptions(dtype="f8", endian="be"),
    RawOptions(dtype="i3"), RawOptions(dtype="f4", endian="auto"), RawOptions(encoding="base64"),
    RawOptions(encoding="hex", axes=3, layout="planar"),
]  # fmt: skip
OWN = ["sparkplug-b", "senml", "cbor", "msgpack", "influx-line", "cayenne-lpp", "vibration"]
KNOWN = sorted(
    {
        vector.message().payload
        for name in OWN
        for vector in read_vectors(PROFILES / name / "vectors.yaml")
    }
)
TOPICS = ["spBv1.0/G/NBIRTH/N", "spBv1.0/G/NDATA/N", "spBv1.0/G/DBIRTH/N/D", "spBv1.0/G/DDATA/N/D",
          "spBv1.0/G/DDEATH/N/D", "spBv1.0/G/NDEATH/N", "x", "spBv1.0//NDATA/"]  # fmt: skip
ids = [f"{o.model_dump()['name']}-{i}" for i, o in enumerate(ALL)]


def sound(value: object) -> None:
    """Fail where a value holds what expressions do not know."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for item in value.values():
            sound(item)
    elif isinstance(value, list):
        for item in value:
            sound(item)
    elif isinstance(value, np.ndarray):
        assert value.dtype == np.float32
        assert np.isfinite(value).all()
    else:
        assert value is None or type(value) in {str, int, float, bool}


def check(options: Options, topic: str, payload: bytes) -> None:
    decode = options.build()
    for _ in range(2):  # the second time with what the first one taught
        with contextlib.suppress(DecodeError):
            sound(decode(RawMessage(topic, payload, NOW_NS)))


def test_every_codec_of_this_table_is_registered() -> None:
    assert {type(options) for options in ALL} <= set(CODECS.values())


@pytest.mark.parametrize("options", ALL, ids=ids)
@settings(max_examples=250, deadline=None)
@given(topic=st.sampled_from(TOPICS), payload=st.binary(max_size=80))
def test_nothing_else_is_raised_when_bytes_are_random(
    options: Options, topic: str, payload: bytes
) -> None:
    check(options, topic, payload)


@pytest.mark.parametrize("options", ALL, ids=ids)
@settings(max_examples=250, deadline=None)
@given(
    topic=st.sampled_from(TOPICS),
    payload=st.sampled_from(KNOWN),
    change=st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 20)),
)
def test_nothing_else_is_raised_when_real_messages_are_broken(
    options: Options, topic: str, payload: bytes, change: tuple[int, bytes, int]
) -> None:
    at, by, cut = change
    broken = payload[:at] + by + payload[at + len(by) :]
    check(options, topic, broken[: len(broken) - cut])


TEXTS = st.sampled_from(["bn", "n", "v", "u", "t", "bt", "vd", "x_"]) | st.text(max_size=9)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats()
LEAVES = st.none() | st.booleans() | NUMBERS | st.binary(max_size=9) | TEXTS
KEYS = st.integers(-7, 9) | st.sampled_from(["bn", "n", "v", "vs", "vb", "vd", "u", "t", "bt", "s"])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5)
)


@settings(max_examples=300, deadline=None)
@given(value=TREES, tag=st.integers(0, 120) | st.sampled_from([256, 258, 260, 261, 1004, 1040]))
def test_nothing_else_is_raised_when_cbor_has_odd_shapes(value: object, tag: int) -> None:
    for payload in (cbor2.dumps(value), cbor2.dumps(cbor2.CBORTag(tag, value))):
        check(CborOptions(), "x", payload)
        check(SenmlOptions(), "x", payload)
        check(SenmlOptions(), "x", cbor2.dumps([value]))


@pytest.mark.parametrize(
    "value",
    [
        {2**100_000: 1},
        [{"bver": 2**100_000}],
        [{"n": "a", "v": 2**100_000}],
        [{"n": "a", "bt": 2**900, "t": 2**900, "v": 1}],
        cbor2.CBORTag(4, [2**31, 5]),
        cbor2.CBORTag(4, [-(2**40), 5]),
        cbor2.CBORTag(30, [2**100_000, 3]),
        cbor2.CBORTag(30, [1, 0]),
        cbor2.CBORTag(1, 2**70),
        cbor2.CBORTag(5, [2**40, 5]),
        cbor2.CBORTag(40, [[2**40, 2**40], [1]]),
        cbor2.CBORTag(40, [[], []]),
        cbor2.CBORTag(81, b"\x7f\x80\x00\x00"),
    ],
)
def test_nothing_else_is_raised_when_numbers_are_huge(value: object) -> None:
    check(CborOptions(), "x", cbor2.dumps(value))
    check(SenmlOptions(), "x", cbor2.dumps(value))


@settings(max_examples=300, deadline=None)
@given(value=TREES, code=st.integers(-1, 127), data=st.binary(max_size=16))
def test_nothing_else_is_raised_when_messagepack_has_odd_shapes(
    value: object, code: int, data: bytes
) -> None:
    check(MsgpackOptions(), "x", msgpack.packb(value))
    extension = b"\xc7" + bytes([len(data), code % 256]) + data
    check(MsgpackOptions(), "x", extension)


@settings(max_examples=300, deadline=None)
@given(value=TREES)
def test_nothing_else_is_raised_when_senml_has_odd_shapes(value: object) -> None:
    options = orjson.OPT_NON_STR_KEYS
    payload = orjson.dumps([value], default=lambda found: found.hex(), option=options)
    check(SenmlOptions(), "x", payload)


@settings(max_examples=500, deadline=None)
@given(text=st.text(alphabet='cpu,= \\"\n1i.eE+-#tT\r', max_size=60))
def test_nothing_else_is_raised_when_lines_are_odd(text: str) -> None:
    check(InfluxOptions(), "x", text.encode())
    check(ColumnsOptions(), "x", text.encode())
    check(CsvOptions(), "x", text.encode())


@pytest.mark.parametrize("options", ALL, ids=ids)
def test_time_stays_short_when_payloads_are_nasty(options: Options) -> None:
    """A second for a megabyte is generous; what grows with the square would take hours."""
    decode = options.build()
    for piece in (b"a", b",", b"=", b'"', b"\\", b"1,", b" ", b"\n", b"a=b,", b"cpu,a=b ", b"#\n",
                  b"\x81", b"\x91", b"\x9f", b"\xff", b"\x00", b"\x12\x00", b"\x12\x02\x08\x01",
                  b"c v=1\n", b"c v=\n", b'c v="', b"1;"):  # fmt: skip
        payload = piece * (200_000 // len(piece))
        try:
            decode(RawMessage("spBv1.0/G/NBIRTH/N", payload, NOW_NS))
        except DecodeError:
            continue


@pytest.mark.parametrize("options", ALL, ids=ids)
def test_it_is_refused_when_it_is_over_a_megabyte(options: Options) -> None:
    with pytest.raises(DecodeError) as caught:
        options.build()(RawMessage("spBv1.0/G/NDATA/N", b"0" * 1_000_002, NOW_NS))
    assert caught.value.reason == "too_large"

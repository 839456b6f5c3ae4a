"""CBOR, MessagePack, SenML, line protocol, Cayenne LPP and CSV: what is not obvious in each."""

from typing import Any

import cbor2
import msgpack
import orjson
import pytest

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.cayenne import CayenneOptions
from gateway.profiles.codecs.cbor import CborOptions
from gateway.profiles.codecs.codec import Options
from gateway.profiles.codecs.influx import InfluxOptions
from gateway.profiles.codecs.msgpack import MsgpackOptions
from gateway.profiles.codecs.rows import CsvOptions
from gateway.profiles.codecs.senml import SenmlOptions

NOW_NS = 1_800_000_000 * 10**9


def decode(options: Options, payload: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Decode one payload."""
    data = payload.encode() if isinstance(payload, str) else payload
    return options.build()(RawMessage("x", data, NOW_NS))


def reason(options: Options, payload: bytes | str) -> str:
    """Return why a payload is refused."""
    with pytest.raises(DecodeError) as caught:
        decode(options, payload)
    return caught.value.reason


@pytest.mark.parametrize(
    ("item", "meant"),
    [
        ("f93e00", 1.5),
        ("c11a6553f100", "2023-11-14T22:13:20Z"),
        ("c1fb41d954fc40200000", "2023-11-14T22:13:20.500000Z"),
        ("c074323032332d31312d31345432323a31333a32305a", "2023-11-14T22:13:20Z"),
        ("c48221196ab3", 273.15),  # RFC 8949, 3.4.4
        ("c249010000000000000000", 2**64),
        ("d81e820103", 1 / 3),
        ("f7", None),
        ("f820", 32),
        ("d825501234567812345678123456781234 5678", "12345678-1234-5678-1234-567812345678"),
        ("a2f50140f6", {"true": 1, "": None}),
        ("5f42010243030405ff", "0102030405"),  # RFC 8949, 3.2.3
        ("d84043010203", [1, 2, 3]),
        ("d84e480100000002000000", [1, 2]),
        ("d8514440490fdb", [3.1415927410125732]),
        ("d84842ff01", [-1, 1]),
        ("d9041082820203860102030405 06", [[1, 3, 5], [2, 4, 6]]),  # column by column
        ("d903e8820102", [1, 2]),  # a tag that nobody knows
    ],
)
def test_cbor_item_is_what_the_rfc_says_when_it_has_a_tag(item: str, meant: object) -> None:
    found = decode(CborOptions(), bytes.fromhex(item))
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("d81c81d81d00", "bad_cbor"),  # refers to itself
        ("d9010083646161616164d81900", "bad_cbor"),  # texts by reference
        ("d8236128", "bad_cbor"),  # a regular expression
        ("a1810102", "bad_key"),
        ("d84101", "bad_length"),
        ("d85543000000", "bad_length"),
        ("d8288201824100", "bad_cbor"),
        ("d8280a", "bad_shape"),
        ("d828828102820102ff", "bad_cbor"),
        ("9bffffffffffffffff", "bad_cbor"),
        ("62fffe", "bad_cbor"),
        ("d9010281", "bad_cbor"),
    ],
)
def test_cbor_is_refused_when_it_is_malformed_or_a_trap(item: str, why: str) -> None:
    assert reason(CborOptions(), bytes.fromhex(item)) == why


def test_trees_are_refused_when_they_are_deep_or_wide() -> None:
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    wide = [0] * 100_001
    for options, pack in ((CborOptions(), cbor2.dumps), (MsgpackOptions(), msgpack.packb)):
        assert reason(options, pack(deep)) == "too_deep"
        assert reason(options, pack(wide)) == "too_many_values"
        assert reason(options, b"") == "empty_payload"
        assert decode(options, pack({"a": [1, {"b": None}]})) == {"a": [1, {"b": None}]}


def test_messagepack_times_keep_nanoseconds_when_they_have_them() -> None:
    value = {1: msgpack.Timestamp(1_700_000_000, 123_456_789), b"k": msgpack.ExtType(5, b"\x0f")}
    assert decode(MsgpackOptions(), msgpack.packb(value)) == {
        "1": "2023-11-14T22:13:20.123456789Z",
        "6b": "0f",
    }
    far = msgpack.packb(msgpack.Timestamp(2**40, 0))
    assert reason(MsgpackOptions(), far) == "bad_msgpack"


def senml(*records: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Resolve a pack."""
    return decode(SenmlOptions(), orjson.dumps(records))


def test_senml_base_fields_carry_over_when_later_records_say_none() -> None:
    found = senml(
        {"bn": "a:", "bt": 1_700_000_000, "bu": "V", "n": "x", "v": 1},
        {"n": "y", "u": "A", "t": 5, "v": 2},
        {"bn": "b/", "n": "x", "vb": True},
        {"bu": "Cel"},
        {"n": "z", "vs": "ok"},
    )
    assert [(r["device"], r["name"], r["value"], r["unit"], r["t"]) for r in found] == [
        ("a", "x", 1, "V", 1_700_000_000),
        ("a", "y", 2, "A", 1_700_000_005),
        ("b", "x", True, "V", 1_700_000_000),
        ("b", "z", "ok", "°C", 1_700_000_000),
    ]


def test_senml_times_are_from_now_when_they_are_small() -> None:
    found = senml({"n": "x", "t": -5.5, "v": 1}, {"n": "x", "v": 1}, {"bt": -60, "n": "x", "v": 1})
    assert [r["t"] for r in found] == [1_799_999_994.5, None, 1_799_999_940.0]


def test_senml_values_and_sums_add_their_bases_when_there_are_some() -> None:
    found = senml({"bn": "m:", "bv": 10, "bs": 100, "n": "e", "v": 1, "s": 5}, {"n": "f", "v": 2})
    assert [(r["name"], r["value"]) for r in found] == [
        ("e", 11), ("e.sum", 105), ("f", 12), ("f.sum", 100),
    ]  # fmt: skip
    assert [r["value"] for r in senml({"bv": 7, "bn": "m:", "n": "e"})] == [7]


def test_senml_device_is_the_urn_when_the_name_is_one() -> None:
    found = senml({"n": "urn:dev:mac:0024befffe804ff1:temp", "v": 1}, {"n": "plain", "v": 2})
    assert [(r["device"], r["name"]) for r in found] == [
        ("urn:dev:mac:0024befffe804ff1", "temp"),
        (None, "plain"),
    ]


@pytest.mark.parametrize(
    "record", [{"v": 1}, {"n": 3, "v": 1}, {"n": "a", "v": True}, {"n": "a", "vd": "*"}, 5]
)
def test_senml_is_refused_when_a_record_is_malformed(record: Any) -> None:  # noqa: ANN401 - JSON
    assert reason(SenmlOptions(), orjson.dumps([record])) == "bad_senml"


def line(text: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
    """Parse one line."""
    [found] = decode(InfluxOptions(**options), text)["lines"]
    return found


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("1", 1.0),
        ("-1.", -1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-9223372036854775808i", -(2**63)),
        ("18446744073709551615u", 2**64 - 1),
        ("t", True),
        ("False", False),
        (r'"a\\b\"c"', r'a\b"c'),
        (r'"a\nb"', r"a\nb"),
        ('""', ""),
    ],
)
def test_line_value_has_its_type_when_it_is_good(value: str, meant: object) -> None:
    found = line(f"m v={value}")["fields"]["v"]
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    "value",
    ["", "tRUE", "1x", "0x1f", "nan", "inf", "1e999", "-1u", "18446744073709551616u", '"a', "1ii",
     "1_0", "--1", "'a'", "1 1 1", "1 x"],
)  # fmt: skip
def test_line_is_refused_when_its_value_is_none(value: str) -> None:
    assert reason(InfluxOptions(), f"m v={value}") == "bad_line"


def test_line_names_are_unescaped_when_they_hold_separators() -> None:
    found = line(r"we\,a\ th=er,lo\=c=us\,mid\ west,host=h te\ mp=82 1465839830100400200")
    assert found["measurement"] == "we,a th=er"
    assert found["tags"] == {"lo=c": "us,mid west", "host": "h"}
    assert found["fields"] == {"te mp": 82.0}
    assert found["time"] == 1465839830100400200
    assert line(r"m,path=C:\dir\x v=1")["tags"] == {"path": r"C:\dir\x"}
    # A backslash before no separator is one, also before another backslash.
    assert line(r"m,host=two\\ words v=1")["tags"] == {"host": r"two\ words"}


def test_line_ends_when_a_carriage_return_comes_before_the_newline() -> None:
    assert line("m v=1\r\n")["fields"] == {"v": 1.0}


def test_metrics_are_lines_when_telegraf_writes_them_as_json() -> None:
    metric = b'{"name": "m", "tags": {"host": "h", "cpu": "0"}, "fields": {"v": 1}, "timestamp": 9}'
    [found] = decode(InfluxOptions(), metric)["lines"]
    assert (found["device"], found["series"], found["fields"]) == ("h", "m:0", {"v": 1})
    assert (found["time"], found["timestamp"]) == (None, 9)
    batch = decode(InfluxOptions(), b'{"metrics": [' + metric + b', {"a": 1}, 5]}')
    assert (len(batch["lines"]), batch["bad"]) == (1, 2)
    assert reason(InfluxOptions(), '{"a": 1}') == "bad_line"


def test_series_stay_apart_when_tags_differ() -> None:
    assert line("cpu,cpu=cpu0,host=h v=1")["series"] == "cpu:cpu0"
    assert line("cpu,cpu=cpu0,host=h v=1", ignore_tags=["cpu"])["series"] == "cpu"
    found = line("cpu,cpu=cpu0,host=h v=1", device_tags=["cpu"])
    assert (found["device"], found["series"]) == ("cpu0", "cpu:h")


def test_good_lines_stand_when_bad_ones_are_between_them() -> None:
    found = decode(InfluxOptions(), "a v=1\nnonsense\n\n# b v=2\nc v=3 99\nd v=4i 5\n")
    assert [f["measurement"] for f in found["lines"]] == ["a", "c", "d"]
    assert [f["time"] for f in found["lines"]] == [None, 99, 5]
    assert found["bad"] == 1


@pytest.mark.parametrize(
    ("payload", "meant"),
    [
        ("0167ffd7", [("temperature_1", -4.1, "°C")]),
        ("02 68 50", [("relative_humidity_2", 40.0, "%")]),
        ("03 73 27 94", [("barometric_pressure_3", 1013.2, "hPa")]),
        ("04 02 ff9c", [("analog_in_4", -1.0, None)]),
        ("05 65 ffff", [("luminosity_5", 65535, "lx")]),
        ("06 00 01", [("digital_in_6", 1, None)]),
        (
            "07 86 0064 ff9c 0000",
            [
                ("gyrometer_7.x", 1.0, "°/s"),
                ("gyrometer_7.y", -1.0, "°/s"),
                ("gyrometer_7.z", 0.0, "°/s"),
            ],
        ),
        ("08 74 014a", [("voltage_8", 3.3, "V")]),
    ],
)
def test_cayenne_value_is_scaled_when_its_type_says_so(payload: str, meant: object) -> None:
    found = decode(CayenneOptions(), bytes.fromhex(payload))
    assert [(v["name"], v["value"], v["unit"]) for v in found] == meant


def test_rows_keep_quoted_separators_when_they_are_csv() -> None:
    assert decode(CsvOptions(), '211,20\r\n400,"A user, ""x""",\n\n') == [
        ["211", "20"],
        ["400", 'A user, "x"', ""],
    ]
    assert decode(CsvOptions(separator="semicolon"), "a;b,c") == [["a", "b,c"]]
    assert reason(CsvOptions(), 'a,"b') == "bad_csv"
    assert reason(CsvOptions(), " \n") == "empty_payload"
    assert reason(CsvOptions(), "," * 200_000) == "too_many_values"

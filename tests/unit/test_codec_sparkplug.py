"""Sparkplug B: what births teach, what gaps ask for, and how much is kept."""

import gzip
import struct
import zlib
from typing import Any

import pytest

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.protobuf import fields, integer, length_delimited, text, varint
from gateway.profiles.codecs.sparkplug import MAX_KNOWN, MAX_NODES, Sparkplug, SparkplugOptions
from gateway.profiles.codecs.sparkplug_payload import parse_payload, rebirth_command

NOW_NS = 1_800_000_000 * 10**9
DROP = SparkplugOptions().drop


def metric(name: str = "", alias: int | None = None, datatype: int = 0, rest: bytes = b"") -> bytes:
    """Return a Metric; ``rest`` is what holds the value."""
    data = length_delimited(1, name.encode()) if name else b""
    data += b"" if alias is None else integer(2, alias)
    return length_delimited(2, data + (integer(4, datatype) if datatype else b"") + rest)


def double(value: float) -> bytes:
    """Return a metric's double."""
    return varint(13 << 3 | 1) + struct.pack("<d", value)


def payload(*metrics: bytes, seq: int | None = None) -> bytes:
    """Return a Payload."""
    return (
        integer(1, 1_750_000_000_000)
        + b"".join(metrics)
        + (b"" if seq is None else integer(3, seq))
    )


def say(codec: Sparkplug, kind: str, data: bytes, *, node: str = "N", at_ns: int = NOW_NS) -> Any:  # noqa: ANN401 - JSON
    """Decode a message of a node or, with a kind of D..., of its device D."""
    topic = f"spBv1.0/G/{kind}/{node}" + ("/D" if kind[0] == "D" else "")
    return codec.decode(RawMessage(topic, data, at_ns))


def born(node: str = "N", bd_seq: int = 1) -> Sparkplug:
    """Return a codec that knows a node with the metric A of alias 1."""
    codec = Sparkplug(DROP)
    birth = payload(
        metric("bdSeq", None, 8, integer(11, bd_seq)), metric("A", 1, 10, double(0)), seq=0
    )
    say(codec, "NBIRTH", birth, node=node)
    return codec


def data(seq: int, alias: int = 1) -> bytes:
    """Return a data payload."""
    return payload(metric("", alias, 0, double(2.5)), seq=seq)


def test_births_are_asked_for_when_data_come_before_them() -> None:
    with pytest.raises(DecodeError) as caught:
        say(Sparkplug(DROP), "NDATA", data(4))
    assert caught.value.reason == "alias_before_birth"
    request = caught.value.request
    assert request is not None
    assert request["topic"] == "spBv1.0/G/NCMD/N"
    asked = parse_payload(bytes.fromhex(request["payload"]))
    assert [(m.name, m.datatype, m.slot, m.value) for m in asked.metrics] == [
        ("Node Control/Rebirth", 11, 14, 1)
    ]
    assert asked.time_ms == NOW_NS // 10**6


def test_births_are_asked_for_once_when_much_data_come_before_them() -> None:
    codec = Sparkplug(DROP)
    requests = []
    for seconds in (0, 1, 29, 30, 31, 61):
        with pytest.raises(DecodeError) as caught:
            say(codec, "NDATA", data(4), at_ns=NOW_NS + seconds * 10**9)
        requests.append(caught.value.request is not None)
    assert requests == [True, False, False, True, False, True]


def test_values_stand_and_births_are_asked_for_when_a_number_is_missing() -> None:
    codec = born()
    assert [say(codec, "NDATA", data(seq))["gap"] for seq in (1, 2)] == [False, False]
    found = say(codec, "NDATA", data(4))
    assert found["gap"]
    assert found["metrics"][0]["value"] == 2.5
    assert found["rebirth"]["topic"] == "spBv1.0/G/NCMD/N"
    assert not say(codec, "NDATA", data(5))["gap"]


def test_numbers_are_one_row_when_node_and_device_alternate() -> None:
    codec = born()
    birth = payload(metric("B", 7, 3, integer(10, 5)), seq=1)
    assert not say(codec, "DBIRTH", birth)["gap"]
    for seq in [*range(2, 256), 0, 1]:
        kind, alias = ("NDATA", 1) if seq % 2 else ("DDATA", 7)
        found = say(
            codec,
            kind,
            payload(metric("", alias, 0, integer(10, 9) if alias == 7 else double(9)), seq=seq),
        )
        assert not found["gap"]
        assert found["rebirth"] is None
        assert [m["value"] for m in found["metrics"]] == [9]


def test_an_old_will_is_ignored_when_a_newer_session_lives() -> None:
    codec = born(bd_seq=5)
    old = payload(metric("bdSeq", None, 8, integer(11, 4)))
    assert say(codec, "NDEATH", old)["online"] == []
    assert say(codec, "NDATA", data(1))["metrics"]
    told = say(codec, "NDEATH", payload(metric("bdSeq", None, 8, integer(11, 5))))
    assert told["online"] == [{"device": "G/N", "value": False}]
    assert told["t"] is None
    with pytest.raises(DecodeError):
        say(codec, "NDATA", data(2))


def test_aliases_are_void_when_a_node_is_born_again() -> None:
    codec = born()
    say(codec, "DBIRTH", payload(metric("B", 7, 10, double(1)), seq=1))
    say(codec, "NBIRTH", payload(metric("C", 1, 10, double(1)), seq=0))
    assert say(codec, "NDATA", data(1))["metrics"][0]["name"] == "C"
    with pytest.raises(DecodeError):
        say(codec, "DDATA", data(2, alias=7))


@pytest.mark.parametrize(
    ("datatype", "sent", "meant"),
    [
        (1, 0xFB, -5),
        (1, 0xFFFFFFFB, -5),
        (2, 0xFFFB, -5),
        (3, 0xFFFFFFFB, -5),
        (3, 5, 5),
        (4, 2**64 - 5, -5),
        (5, 0xFB, 251),
        (6, 0xFFFB, 65531),
        (7, 0xFFFFFFFB, 4294967291),
        (8, 2**64 - 5, 2**64 - 5),
        (11, 1, True),
        (13, 1_700_000_000_000, 1_700_000_000_000),
    ],
)
def test_sign_and_size_are_the_datatypes_when_a_whole_number_comes(
    datatype: int, sent: int, meant: int
) -> None:
    for slot in (10, 11):
        found = say(
            born(), "NDATA", payload(metric("X", None, datatype, integer(slot, sent)), seq=1)
        )
        assert found["metrics"][0]["value"] == meant
        assert type(found["metrics"][0]["value"]) is type(meant)


def test_a_whole_number_waits_for_the_birth_when_nobody_said_its_size() -> None:
    with pytest.raises(DecodeError) as caught:
        say(born(), "NDATA", payload(metric("X", None, 0, integer(10, 251)), seq=1))
    assert caught.value.reason == "alias_before_birth"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_content_is_read_when_it_is_compressed(pack: Any) -> None:  # noqa: ANN401 - a function
    inner = payload(metric("A", None, 10, double(7.5)))
    outer = length_delimited(4, b"SPBV1.0_COMPRESSED") + length_delimited(5, pack(inner))
    found = say(born(), "NDATA", outer + integer(3, 1))
    assert [m["value"] for m in found["metrics"]] == [7.5]


def test_it_is_refused_when_it_unpacks_to_gigabytes_or_to_itself() -> None:
    mark = length_delimited(4, b"SPBV1.0_COMPRESSED")
    bomb = mark + length_delimited(5, zlib.compress(bytes(20_000_000)))
    twice = mark + length_delimited(
        5, zlib.compress(mark + length_delimited(5, zlib.compress(b"")))
    )
    for packed, reason in (
        (bomb, "too_large"),
        (twice, "too_deep"),
        (mark + length_delimited(5, b"x"), "bad_protobuf"),
    ):
        with pytest.raises(DecodeError) as caught:
            say(born(), "NDATA", packed)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/G/NDATA",
        "spBv1.0/G/NDATA/N/D",
        "spBv1.0/G/DDATA/N",
        "spBv1.0//NDATA/N",
        "spBv1.0/G/NCMD/N",
        "spBv1.0/G/DDATA/N/D/E",
    ],
)
def test_it_is_refused_when_the_topic_is_none_of_sparkplugs(topic: str) -> None:
    with pytest.raises(DecodeError) as caught:
        born().decode(RawMessage(topic, data(1), NOW_NS))
    assert caught.value.reason == "bad_topic"


def test_memory_is_bounded_when_nodes_come_and_never_come_again() -> None:
    codec = Sparkplug(DROP)
    for i in range(MAX_NODES + 50):
        say(codec, "NBIRTH", payload(metric("A", 1, 10, double(0)), seq=0), node=f"N{i}")
    assert len(codec._nodes) == MAX_NODES
    assert say(codec, "NDATA", data(1), node=f"N{MAX_NODES}")["metrics"]
    with pytest.raises(DecodeError) as caught:
        say(codec, "NDATA", data(1), node="N0")
    assert caught.value.request is not None


def test_memory_is_bounded_when_births_are_large() -> None:
    codec = Sparkplug(DROP)
    many = payload(*(metric(f"M{i}", i, 10) for i in range(9_000)), seq=0)
    for i in range(30):
        say(codec, "NBIRTH", many, node=f"N{i}")
        assert codec._known <= MAX_KNOWN
    assert codec._known == sum(node.known for node in codec._nodes.values())
    for i in range(30):
        topic = f"spBv1.0/G/DBIRTH/N29/D{i}"
        codec.decode(RawMessage(topic, many, NOW_NS))
        assert codec._known <= MAX_KNOWN
    for i in range(30):
        say(codec, "NDEATH", payload(), node=f"N{i}")
    assert codec._known == 0


def test_own_state_is_kept_when_two_rules_use_the_codec() -> None:
    first, second = SparkplugOptions().build(), SparkplugOptions().build()
    birth = RawMessage("spBv1.0/G/NBIRTH/N", payload(metric("A", 1, 10), seq=0), NOW_NS)
    first(birth)
    assert first(birth._replace(topic="spBv1.0/G/NDATA/N", payload=data(1)))["metrics"]
    with pytest.raises(DecodeError):
        second(birth._replace(topic="spBv1.0/G/NDATA/N", payload=data(1)))


def test_wire_is_read_as_written_when_fields_are_of_every_kind() -> None:
    wire = integer(1, 300) + length_delimited(2, b"ab") + b"\x1d\1\0\0\0" + b"\x21\2" + bytes(7)
    assert list(fields(wire)) == [(1, 300), (2, b"ab"), (3, 1), (4, 2)]
    assert text(b"ab") == "ab"
    for broken in (b"\x08", b"\x08\xff", b"\x12\x05a", b"\x0b", b"\x00", b"\x1d\1", b"\xff" * 11):
        with pytest.raises(DecodeError):
            list(fields(broken))


def test_command_is_the_documented_one_when_rebirth_is_asked() -> None:
    named = [v for n, v in fields(rebirth_command(7)) if n == 2]
    assert isinstance(named[0], bytes)
    assert dict(fields(named[0])) == {1: b"Node Control/Rebirth", 3: 7, 4: 11, 14: 1}

"""Verbs and keys beyond plain readings: objects, parts, parents, silence, retained values."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.asking import Asking
from gateway.errors import DecodeError
from gateway.model import Decoded, RawMessage, Request
from gateway.profiles import Catalog

NOW_NS = 1_800_000_000 * 10**9


def decode(
    folder: Path, rule: str, payload: object, *, retained: bool = False, more: str = ""
) -> Decoded:
    (folder / "p").mkdir(exist_ok=True)
    text = f'title: T\n{more}rules:\n  - topic: "x/{{d}}"\n    device: "${{t.d}}"\n{rule}'
    (folder / "p" / "profile.yaml").write_text(text)
    catalog = Catalog.load([folder], "UTC")
    assert catalog.rejected == []
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return catalog.decode(RawMessage("x/d", body, NOW_NS, retained=retained))


def only(decoded: Decoded) -> Any:  # noqa: ANN401 - a reading's value
    [reading] = decoded.readings
    return reading.value


def test_object_is_json_text_when_metric_is_reserved(tmp_path: Path) -> None:
    rule = '    emit: [{metric: $event, value: "={a: p.a, b: p.b}"}]'
    assert only(decode(tmp_path, rule, {"a": [1, None]})) == '{"a":[1,null]}'


def test_object_gives_nothing_when_step_does_not_ask_for_json(tmp_path: Path) -> None:
    assert (
        decode(tmp_path, '    emit: [{metric: m, value: "=p.a"}]', {"a": {"b": 1}}).readings == []
    )
    rule = '    emit: [{metric: m, value: "=p.a", json: true}]'
    assert only(decode(tmp_path, rule, {"a": {"b": None}})) == '{"b":null}'
    assert only(decode(tmp_path, rule, {"a": 5})) == 5
    assert decode(tmp_path, rule, {"a": ["x" * 20_000]}).readings == []


def test_part_is_decoded_when_it_has_a_codec(tmp_path: Path) -> None:
    rule = (
        "    emit:\n"
        '      - {decode: "=p.d", encoding: base64, codec: json, as: y, emit: [{flatten: "=y"}]}'
    )
    assert only(decode(tmp_path, rule, {"d": "eyJhIjogMX0="})) == 1
    assert decode(tmp_path, rule, {"e": 1}).readings == []
    for wrong, reason in (("?", "bad_base64"), ("eyJ", "bad_"), (5, "bad_shape")):
        with pytest.raises(DecodeError, match=reason):
            decode(tmp_path, rule, {"d": wrong})


def test_request_is_handed_on_when_device_is_to_be_asked(tmp_path: Path) -> None:
    rule = '    emit: [{request: "=p.r"}]'
    found = decode(tmp_path, rule, {"r": {"topic": "a/b", "payload": "6869"}})
    assert found.requests == (Request("a/b", b"hi"),)
    assert decode(tmp_path, rule, {}).requests == ()
    with pytest.raises(DecodeError, match="bad_shape"):
        decode(tmp_path, rule, {"r": {"topic": "a/#", "payload": ""}})


def test_parents_and_silence_are_told_when_profile_says_them(tmp_path: Path) -> None:
    rule = (
        '    parent: hub\n    expires: "=p.s"\n'
        '    emit: [{each: "=p.l", device: "=x.n", parent: "${t.d}", emit: [{flatten: "=x"}]}]'
    )
    found = decode(tmp_path, rule, {"s": 60, "l": [{"n": "a"}, {"n": "b"}]})
    assert found.parents == {"a": "d", "b": "d", "d": "hub"}
    assert found.expires_s == 60
    assert decode(tmp_path, rule, {"s": -1}).expires_s is None


@pytest.mark.parametrize(
    ("more", "own", "payload", "count"),
    [
        ("", "", {"a": 1}, 0),
        ("", "", {"a": 1, "t": 1_700_000_000}, 2),
        ("retained: state\n", "", {"a": 1}, 1),
        ("", "    retained: state\n", {"a": 1}, 1),
        ("retained: state\n", "    retained: old\n", {"a": 1}, 0),
    ],
)
def test_retained_value_counts_when_profile_or_time_says_so(
    tmp_path: Path, more: str, own: str, payload: object, count: int
) -> None:
    rule = own + '    ts: [{from: "=p.t", as: unix}]\n    emit: [{flatten: "=p"}]'
    assert len(decode(tmp_path, rule, payload, retained=True, more=more).readings) == count
    assert decode(tmp_path, rule, payload, more=more).readings


def test_retained_word_counts_when_metric_is_reserved(tmp_path: Path) -> None:
    rule = '    codec: text\n    emit: [{online: "=p"}]'
    assert only(decode(tmp_path, rule, b"offline", retained=True)) is False


def test_empty_payload_is_null_when_profile_says_so(tmp_path: Path) -> None:
    rule = (
        "    codec: {name: json, empty: true}\n"
        '    emit: [{metric: $removed, value: "=true", where: "p == null"}]'
    )
    assert only(decode(tmp_path, rule, b"")) is True


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("get(p, p.k)", 1),
        ("at(p, 'l.1')", 20),
        ("at(p, 'l.9')", None),
        ("to_string(compact(p.n))", '{"y":2}'),
        ("to_string(unpairs(pairs(p.n)))", '{"x":null,"y":2}'),
        ("if(p.no, 'a', p.no)", False),
        ("match(p.s, '([a-z]+)-([0-9]+)')[1]", "12"),
        ("match(p.s, 'z')", None),
        ("slice(p.s, `0`, `2`)", "ab"),
        ("path(p.s, p.none, p.l[0])", "ab-12/10"),
        ("number('1.5')", 1.5),
        ("number('x')", None),
        ("from_json('{\"a\": 3}').a", 3),
        ("from_json('{')", None),
        ("from_base64('AQID')", "010203"),
        ("from_base64('_-8')", "ffef"),
        ("unhex('0A ff')", "0aff"),
        ("hex(p.l)", "0a14"),
        ("unpack('>H', '0102')[0]", 258),
        ("to_hex(`255`, `4`)", "00ff"),
        ("sub(`3`, `1`)", 2),
        ("pow(`2`, `3`)", 8),
        ("round(`1.26`, `1`)", 1.3),
        ("to_string(chunks(p.l, `1`))", "[[10],[20]]"),
        ("to_string(zip(['a', 'b'], p.l))", '[{"k":"a","v":10},{"k":"b","v":20}]'),
    ],
)
def test_function_gives_its_value_when_called(
    tmp_path: Path, expression: str, value: object
) -> None:
    payload = {"k": "v", "v": 1, "l": [10, 20], "n": {"x": None, "y": 2}, "s": "ab-12", "no": False}
    rule = f"    emit: [{{metric: m, value: {orjson.dumps('=' + expression).decode()}}}]"
    found = decode(tmp_path, rule, payload).readings
    assert [r.value for r in found] == ([] if value is None else [value])


@pytest.mark.parametrize(
    "expression", ["unhex('x')", "from_base64('?')", "unpack('>I', '01')", "hex(p.s)",
                   "replace('a', 'a', '\\9')", "pairs(p.s)"],
)  # fmt: skip
def test_message_is_refused_when_a_function_cannot_work_with_it(
    tmp_path: Path, expression: str
) -> None:
    rule = f"    emit: [{{metric: m, value: {orjson.dumps('=' + expression).decode()}}}]"
    with pytest.raises(DecodeError, match="bad_shape"):
        decode(tmp_path, rule, {"s": "t"})


def test_negation_of_a_path_is_refused_when_it_cannot_mean_that(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "profile.yaml").write_text(
        'title: T\nrules:\n  - {topic: "x", device: d, emit: [{flatten: "=p", where: "!p.a"}]}'
    )
    rejected = Catalog.load([tmp_path], "UTC").rejected
    assert any("write '!(p.a)'" in error.reason for error in rejected)


def test_device_is_asked_once_when_requests_come_often() -> None:
    sent: list[str] = []
    clock = [100.0]
    asking = Asking(lambda topic, _: sent.append(topic), lambda: clock[0])
    for _ in range(3):
        asking.ask([Request("a", b""), Request("b", b"")])
    clock[0] = 111.0
    asking.ask([Request("a", b"")])
    assert sent == ["a", "b", "a"]


def test_message_says_what_was_left_out_when_a_part_of_it_is_malformed(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "profile.yaml").write_text(
        "title: T\nrules:\n  - {topic: x, device: d, codec: {name: influx},"
        " emit: [{each: '=p.lines', emit: [{flatten: '=x.fields'}]}]}"
    )
    catalog = Catalog.load([tmp_path], "UTC")
    found = catalog.decode(RawMessage("x", b"a v=1\na v=\na w=2", NOW_NS))
    assert [reading.value for reading in found.readings] == [1.0, 2.0]
    assert found.flaw is not None
    assert found.flaw == (1, "1 of 3 lines: 'a v='")
    assert catalog.decode(RawMessage("x", b"a v=1\na w=2", NOW_NS)).flaw is None

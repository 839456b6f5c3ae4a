"""Loading profiles: what counts, what is set aside and why; and what a rule makes of a message."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from gateway.errors import DecodeError, ProfileError, UnclaimedError
from gateway.model import RawMessage, Reading
from gateway.profiles import Catalog
from gateway.profiles.files import load_yaml
from gateway.profiles.rules import CompiledRule
from gateway.profiles.schema import json_schema
from gateway.profiles.vectors import read_vectors

NOW_NS = 1_800_000_000 * 10**9
SHIPPED = Path(__file__).parents[2] / "firmware_profiles"

GOOD = """\
title: Good
rules:
  - topic: "x/{d}"
    device: "${t.d}"
    emit: [{flatten: "=p"}]
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).mkdir(parents=True, exist_ok=True)
    file = folder / name / "profile.yaml"
    file.write_text(text)
    return file


def rule(folder: Path, emit: str, more: str = "") -> Catalog:
    text = (
        f'title: T\nrules:\n  - topic: "x/{{d}}"\n    device: "${{t.d}}"\n    emit: {emit}\n{more}'
    )
    write(folder, "t", text)
    catalog = Catalog.load([folder], "UTC")
    assert catalog.rejected == []
    return catalog


def readings(catalog: Catalog, payload: object, topic: str = "x/d1") -> dict[str, Any]:
    found = catalog.decode(RawMessage(topic, orjson.dumps(payload), NOW_NS)).readings
    return {r.metric: (r.value, r.unit) for r in found}


@pytest.mark.parametrize(
    ("change", "line", "field", "reason"),
    [
        (("device:", "devise:"), 4, "rules.0.devise", "unknown key; did you mean 'device'?"),
        (("=p", "=p."), 5, "rules.0.emit.0.flatten", "not a JMESPath expression"),
        (("=p", "=nope(p)"), 5, "rules.0.emit.0.flatten", "unknown function nope"),
        (("x/{d}", "x/#"), 3, "rules.0.topic", "captures"),
        (("flatten", "flaten"), 5, "rules.0.emit.0", "say one of the verbs"),
        (("title: Good", "title: ''"), 1, "title", "at least 1 character"),
        (("title: Good\n", ""), 1, "title", "required"),
        (('device: "${t.d}"', "codec: nope"), 4, "rules.0.codec", "'json'"),
        (("rules:", "rules: ["), 3, "", "not YAML"),
        (("title: Good", "priority: high"), 1, "priority", "integer"),
    ],
)
def test_profile_is_set_aside_when_it_is_wrong(
    tmp_path: Path, change: tuple[str, str], line: int, field: str, reason: str
) -> None:
    write(tmp_path, "good", GOOD.replace("x/{d}", "good/{d}"))
    bad = write(tmp_path, "bad", GOOD.replace(*change))
    catalog = Catalog.load([tmp_path], "UTC")
    assert [p.name for p in catalog.profiles] == ["good"]
    wrong = {(e.file, e.field) for e in catalog.rejected}
    assert (f"{bad}:{line}", field) in wrong
    assert any(reason in e.reason for e in catalog.rejected)
    assert readings(catalog, {"a": 1}, "good/d") == {"a": (1, None)}


def test_profile_is_set_aside_when_it_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "profile.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "profile.yaml").write_text("- 1\n- 2\n")
    write(tmp_path, "d", "")
    catalog = Catalog.load([tmp_path], "UTC")
    assert catalog.profiles == []
    assert len(catalog.rejected) == 3


def test_later_folder_counts_when_two_have_a_profile_of_one_name(tmp_path: Path) -> None:
    write(tmp_path / "a", "p", GOOD)
    mine = write(tmp_path / "b", "p", GOOD.replace("Good", "Mine"))
    dirs = [tmp_path / "a", tmp_path / "missing", tmp_path / "b"]
    [profile] = Catalog.load(dirs, "UTC").profiles
    assert (profile.name, profile.title, profile.file) == ("p", "Mine", mine)
    assert profile.rules == (("x/{d}",),)


def test_earlier_folder_stays_when_the_later_profile_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "a", "p", GOOD)
    write(tmp_path / "b", "p", GOOD.replace("title", "titel"))
    catalog = Catalog.load([tmp_path / "a", tmp_path / "b"], "UTC")
    assert [p.title for p in catalog.profiles] == ["Good"]
    assert catalog.rejected


def test_order_is_priority_then_name_when_several_claim_a_topic(tmp_path: Path) -> None:
    for name, priority in (("b", 100), ("a", 100), ("z", 5), ("generic", 900)):
        write(tmp_path, name, GOOD.replace("rules:", f"priority: {priority}\nrules:"))
    catalog = Catalog.load([tmp_path], "UTC")
    assert [p.name for p in catalog.profiles] == ["z", "a", "b", "generic"]
    claim = catalog.claim("x/1")
    assert claim is not None
    assert (claim.profile, claim.rule, claim.pattern, claim.captures) == (
        "z", 1, "x/{d}", {"d": "1"},
    )  # fmt: skip
    assert catalog.claim("y/1") is None
    with pytest.raises(UnclaimedError):
        catalog.decode(RawMessage("y/1", b"{}", NOW_NS))


def test_filters_are_the_smallest_cover_when_patterns_overlap(tmp_path: Path) -> None:
    write(tmp_path, "a", GOOD.replace('"x/{d}"', '["x/{d}", "x/{e}/y", "x/{d+}", "$aws/{d}"]'))
    write(tmp_path, "b", GOOD.replace("x/{d}", "y/{d}/z"))
    assert Catalog.load([tmp_path], "UTC").filters == ["x/+/#", "y/+/z", "$aws/+"]


def test_system_topics_are_asked_for_when_the_rest_is_everything(tmp_path: Path) -> None:
    write(tmp_path, "a", GOOD.replace('"x/{d}"', '["{d+}/x", "a/{d}", "$aws/{d}"]'))
    assert Catalog.load([tmp_path], "UTC").filters == ["#", "$aws/+"]


def test_first_rule_counts_and_excluded_topics_go_on_when_rules_overlap(tmp_path: Path) -> None:
    text = GOOD.replace('"x/{d}"\n', '"x/{d+}"\n    not: ["x/{_+}/set"]\n')
    second = '  - {topic: "x/{d}/set", device: "set-${t.d}", codec: none}\n'
    write(tmp_path, "a", text + second)
    catalog = Catalog.load([tmp_path], "UTC")
    assert catalog.decode(RawMessage("x/1/set", b"\xff", NOW_NS))[:4] == ("a", "set-1", [], [])
    claim = catalog.claim("x/1/2")
    assert claim is not None
    assert claim.rule == 1


def test_profile_is_set_aside_when_it_is_nested_without_end(tmp_path: Path) -> None:
    write(tmp_path, "a", "title: " + "[" * 50_000)
    write(tmp_path, "b", "title: &x [*x]")
    catalog = Catalog.load([tmp_path], "UTC")
    assert {Path(e.file.split(":")[0]).parent.name for e in catalog.rejected} == {"a", "b"}


def test_words_stay_texts_when_yaml_1_1_would_make_them_booleans() -> None:
    assert load_yaml("[ON, off, yes, no, true]") == ["ON", "off", "yes", "no", True]


@pytest.mark.parametrize(
    "file", sorted(SHIPPED.glob("*/profile.yaml")), ids=lambda f: f.parent.name
)
def test_shipped_profile_fits_the_published_schema(file: Path) -> None:
    data = orjson.loads(orjson.dumps(load_yaml(file.read_text()), option=orjson.OPT_NON_STR_KEYS))
    jsonschema.Draft202012Validator(orjson.loads(json_schema())).validate(data)


def test_published_schema_refuses_what_is_no_profile() -> None:
    validator = jsonschema.Draft202012Validator(orjson.loads(json_schema()))
    data = load_yaml(GOOD)
    assert validator.is_valid(data)
    assert not validator.is_valid(data | {"titel": "x"})
    data["rules"][0]["emit"] = [{"flaten": "=p"}]
    assert not validator.is_valid(data)


def test_readings_are_told_with_all_fields_when_flattened(tmp_path: Path) -> None:
    catalog = rule(tmp_path, '[{flatten: "=p"}]', '    ts: [{from: "=p.t", as: unix}]\n')
    message = RawMessage("x/d1", b'{"t": 1700000000, "a": {"b": [1.5, true]}}', NOW_NS)
    decoded = catalog.decode(message)
    time_ns = 1_700_000_000 * 10**9
    assert decoded.profile == "t"
    assert decoded.device == "d1"
    assert decoded.readings == [
        Reading("d1", "t", 1_700_000_000, None, time_ns, own_time=True),
        Reading("d1", "a.b.0", 1.5, None, time_ns, own_time=True),
        Reading("d1", "a.b.1", True, None, time_ns, own_time=True),
    ]


@pytest.mark.parametrize(
    ("emit", "payload", "expected"),
    [
        ('[{flatten: "=p", drop: [a, "b.*"]}]', {"a": {"x": 1}, "b": {"c": 1}, "d": 1}, {"d": 1}),
        ('[{flatten: "=p", keep: ["a", "b.c"]}]', {"a": {"x": 1}, "b": {"c": 2, "d": 3}},
         {"a.x": 1, "b.c": 2}),
        ('[{flatten: "=p.a", prefix: "z.${t.d}"}]', {"a": {"b": 1}}, {"z.d1.b": 1}),
        ('[{flatten: "=p", collapse: [value]}]', {"a": {"value": 1, "u": 2}, "value": 3},
         {"a": 1, "a.u": 2}),
        ('[{flatten: "=p"}]', {"a": None, "b": "nan", "c": "", "d": "None", "e": "x" * 1025}, {}),
        ('[{flatten: "=p"}]', {"a": "x" * 1024}, {"a": "x" * 1024}),
        ('[{flatten: "=p"}]', {"a": "12"}, {"a": "12"}),
        ('[{flatten: "=p", numbers: true}]', {"a": "12", "b": "007", "c": "1.50", "d": "1e3x",
         "e": "-2e1"}, {"a": 12, "b": "007", "c": 1.5, "d": "1e3x", "e": -20.0}),
        ('[{flatten: "=p", numbers: true}]', {"a": "9" * 30, "b": "9" * 31, "c": "1e999"},
         {"a": float("9" * 30), "b": "9" * 31}),
        ('[{flatten: "=p"}]', {"$online": False, "$x": {"y": 1}, "a": 1}, {"a": 1}),
        ('[{flatten: "=p.none"}]', {"a": 1}, {}),
        ('[{metric: "m.${p.k}", value: "=p.v"}]', {"k": "x", "v": 3}, {"m.x": 3}),
        ('[{metric: "m.${p.k}", value: "=p.v"}]', {"v": 3}, {}),
        ('[{metric: m, value: "=p.v"}]', {"v": {"a": 1}}, {}),
        ('[{metric: m, value: "=p.v", where: "p.v>`2`"}]', {"v": 2}, {}),
        ('[{metric: m, value: "=mul(p.v, p.v)"}]', {"v": 2**63}, {"m": float(2**126)}),
        ('[{metric: m, value: "=mul(p.v, p.v)"}]', {"v": 1e200}, {}),
        ('[{each: "=p", emit: [{each: "=x.l", as: y,'
         ' emit: [{metric: "${x.n}.${y.n}", value: "=y.v"}]}]}]',
         [{"n": "a", "l": [{"n": 1, "v": 5}, {"n": 2, "v": 6}]}], {"a.1": 5, "a.2": 6}),
        ('[{each: "=p.none", emit: []}]', {}, {}),
        ('[{online: "=p.up"}]', {"up": 1}, {"$online": True}),
        ('[{online: "=p.up", down: ["on"]}]', {"up": " ON "}, {"$online": False}),
    ],
)  # fmt: skip
def test_values_come_out_when_the_step_says_so(
    tmp_path: Path, emit: str, payload: object, expected: dict[str, object]
) -> None:
    found = {k: v for k, (v, _) in readings(rule(tmp_path, emit), payload).items()}
    assert repr(found) == repr(expected)


def test_units_and_values_are_treated_when_a_glob_matches(tmp_path: Path) -> None:
    units = """\
    units:
      - ["volt", {unit: V, scale: 0.001, missing: [-1, "off"]}]
      - ["t.*", {unit: "=p.u || 'C'"}]
      - [relay, {values: {"ON": true, "OFF": false, 2: "half"}}]
      - ["e*", {unit: kWh, scale: "=p.factor"}]
units:
  - ["volt", never]
  - ["z", °C]
"""
    catalog = rule(tmp_path, '[{flatten: "=p"}]', units)
    payload = {"volt": 2675, "t": {"a": 1}, "relay": "ON", "e": 2, "z": 0, "factor": 10, "u": "F"}
    assert readings(catalog, payload) == {
        "volt": (2.675, "V"),
        "t.a": (1, "°F"),
        "relay": (True, None),
        "e": (20, "kWh"),
        "z": (0, "°C"),
        "factor": (10, None),
        "u": ("F", None),
    }
    assert readings(catalog, {"volt": -1, "relay": 2}) == {"relay": ("half", None)}
    assert readings(catalog, {"volt": "off", "t": {"a": True}}) == {"t.a": (True, None)}
    assert readings(catalog, {"volt": True, "relay": "odd"}) == {
        "volt": (True, None), "relay": ("odd", None),
    }  # fmt: skip


def test_unit_of_the_step_wins_when_tables_say_another(tmp_path: Path) -> None:
    emit = '[{metric: a, value: "=p.a", unit: W}, {flatten: "=p", units: [[a, kW]]}]'
    catalog = rule(tmp_path, emit, "    units: [[a, mW]]\n")
    found = catalog.decode(RawMessage("x/d1", b'{"a":1}', NOW_NS)).readings
    assert [r.unit for r in found] == ["W", "kW"]


@pytest.mark.parametrize(
    ("emit", "payload", "reason"),
    [
        ('[{each: "=p", emit: []}]', b"{}", "bad_shape"),
        ('[{each: "=pairs(p)", emit: []}]', b"[]", "bad_shape"),
        ('[{each: "=p", emit: []}]', b"[" + b"1," * 4096 + b"1]", "too_many_values"),
        ('[{metric: "${p.k}", value: "=p.v"}]', b'{"k":"$online","v":1}', "bad_metric"),
        ('[{metric: "${p.k}", value: "=p.v"}]', b'{"k":"a\\u0007","v":1}', "bad_metric"),
        ('[{metric: m, value: "=p.v", device: "${p.d}"}]', b'{"v":1}', "no_device"),
        ('[{metric: m, value: "=p.v", device: "${p.d}"}]', b'{"v":1,"d":"\\n"}', "bad_device"),
        ('[{metric: m, value: "=p.v", fs: "=p.fs"}]', b'{"v":[1],"fs":0}', "bad_rate"),
        ('[{metric: m, value: "=p.v", fs: 10}]', b'{"v":[1,null]}', "bad_samples"),
        ('[{metric: m, value: "=p.v", fs: 10}]', b'{"v":[1e300]}', "bad_samples"),
        ('[{metric: m, value: "=p.v", fs: 10}]', b'{"v":3}', "bad_samples"),
        ('[{online: "=p"}]', b'"perhaps"', "unknown_state"),
        ('[{metric: m, value: "=hex(p.v)"}]', b'{"v":[256]}', "bad_shape"),
        ('[{flatten: "=p"}]', b'{"a":' * 18 + b"1" + b"}" * 18, "too_deep"),
    ],
)
def test_message_is_refused_when_a_step_cannot_use_it(
    tmp_path: Path, emit: str, payload: bytes, reason: str
) -> None:
    catalog = rule(tmp_path, emit)
    with pytest.raises(DecodeError) as caught:
        catalog.decode(RawMessage("x/d1", payload, NOW_NS))
    assert (caught.value.reason, caught.value.profile) == (reason, "t")


def test_memory_of_keys_is_bounded_when_they_never_come_again(tmp_path: Path) -> None:
    catalog = rule(tmp_path, '[{flatten: "=p"}]')
    for i in range(30):
        readings(catalog, {f"{i}-{j}": j for j in range(4000)})
    [claimed] = [catalog._claims.of("x/d1")]
    assert isinstance(claimed.rule, CompiledRule)
    [step] = claimed.rule._steps
    [cells] = [c.cell_contents for c in step.__closure__ or () if hasattr(c.cell_contents, "grow")]
    assert cells._count <= 54_001


def test_number_codec_reads_numbers_and_refuses_the_rest(tmp_path: Path) -> None:
    catalog = rule(tmp_path, '[{metric: v, value: "=p"}]', "    codec: number\n")

    def value(payload: bytes) -> list[object]:
        return [r.value for r in catalog.decode(RawMessage("x/d1", payload, NOW_NS)).readings]

    assert value(b" 21.5\n") == [21.5]
    assert value(b"NaN") == []
    with pytest.raises(DecodeError, match="bad_number"):
        value(b"warm")


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        ("{name: raw, header: {fmt: 'IH', names: [a, b]}}", "byte order"),
        ("{name: raw, header: {fmt: '<IH', names: [a]}}", "2 fields"),
        ("{name: raw, header: {fmt: '<Q?z', names: [a]}}", "fmt"),
        ("{name: raw, axes: n}", "no field of the header"),
        ("{name: raw, axes: 0}", "1 to 64"),
        ("{name: raw, dtype: i5}", "'i2'"),
    ],
)
def test_raw_codec_is_refused_when_its_options_do_not_fit(
    tmp_path: Path, codec: str, reason: str
) -> None:
    write(tmp_path, "t", GOOD + f"    codec: {codec}\n")
    [error, *_] = Catalog.load([tmp_path], "UTC").rejected
    assert reason in error.reason
    assert error.file.endswith(":6")


@pytest.mark.parametrize(
    "text", ["- id: 1", "- {id: a, topic: b, payload: c}", "[", "- {id: a, tpoic: b}"]
)
def test_vectors_are_refused_when_malformed(tmp_path: Path, text: str) -> None:
    (tmp_path / "vectors.yaml").write_text(text)
    with pytest.raises(ProfileError):
        read_vectors(tmp_path / "vectors.yaml")

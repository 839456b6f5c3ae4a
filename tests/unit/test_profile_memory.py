"""What messages teach about others: units, meanings, and topics that need no rule."""

from pathlib import Path

import pytest

from gateway.errors import DecodeError, UnclaimedError
from gateway.model import RawMessage, Reading
from gateway.profiles import Catalog
from gateway.profiles.memory import MAX_LESSONS, Lesson, Memory
from gateway.profiles.template import template

NOW_NS = 1_800_000_000 * 10**9

PROFILE = """\
title: Learner
rules:
  - topic: "meta/{d}/{m}/unit"
    codec: text
    device: "${t.d}"
    emit: [{learn: "${t.m}", unit: "=p"}]
  - topic: "meta/{d}/{m}/type"
    codec: text
    device: "${t.d}"
    emit: [{learn: "${t.m}", type: "=p", on: "='AN'", off: "='AUS'"}]
  - topic: "place/{d}"
    codec: {name: json, empty: true}
    device: "${t.d}"
    emit:
      - {learn: "=p.metric", unit: "=p.unit", topic: "=p.topic", template: "=p.template", where: p}
  - topic: "data/{d}"
    device: "${t.d}"
    emit: [{flatten: "=p", numbers: true}]
    units: [[mV, {unit: V, scale: 0.001}]]
  - topic: "one/{d}/{m}"
    codec: text
    device: "${t.d}"
    emit: [{metric: "${t.m}", value: "=p", numbers: true}]
"""
PLAIN = """\
title: Plain
priority: 50
rules:
  - {topic: "plain/{d}", codec: text, device: "${t.d}",
     emit: [{metric: v, value: "=p", numbers: true}]}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for name, text in (("learner", PROFILE), ("plain", PLAIN)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "profile.yaml").write_text(text)
    loaded = Catalog.load([tmp_path], "UTC")
    assert loaded.rejected == []
    return loaded


def say(catalog: Catalog, topic: str, payload: str, *, retained: bool = False) -> list[Reading]:
    return catalog.decode(RawMessage(topic, payload.encode(), NOW_NS, retained=retained)).readings


def values(readings: list[Reading]) -> list[tuple[str, object, str | None]]:
    return [(r.metric, r.value, r.unit) for r in readings]


def test_unit_is_put_on_readings_when_it_was_learned(catalog: Catalog) -> None:
    assert values(say(catalog, "data/d", '{"a": 1}')) == [("a", 1, None)]
    assert say(catalog, "meta/d/a/unit", "kPa") == []
    assert values(say(catalog, "data/d", '{"a": 1}')) == [("a", 1, "kPa")]
    assert values(say(catalog, "data/other", '{"a": 1}')) == [("a", 1, None)]


def test_unit_of_the_table_stays_when_the_table_scales(catalog: Catalog) -> None:
    say(catalog, "meta/d/mV/unit", "mV")
    assert values(say(catalog, "data/d", '{"mV": 3000}')) == [("mV", 3.0, "V")]


def test_text_stays_a_text_when_its_type_was_learned(catalog: Catalog) -> None:
    assert values(say(catalog, "one/d/v", "1.10")) == [("v", 1.1, None)]
    say(catalog, "meta/d/v/type", "string")
    assert values(say(catalog, "one/d/v", "1.10")) == [("v", "1.10", None)]


def test_word_becomes_true_or_false_when_it_was_learned(catalog: Catalog) -> None:
    say(catalog, "meta/d/v/type", "boolean")
    given = ["AN", "AUS", "true", "False", "what"]
    found = [say(catalog, "one/d/v", word)[0].value for word in given]
    assert found == [True, False, True, False, "what"]


def test_parts_are_joined_when_several_topics_teach(catalog: Catalog) -> None:
    say(catalog, "meta/d/v/type", "text")
    say(catalog, "meta/d/v/unit", "V")
    assert values(say(catalog, "one/d/v", "5")) == [("v", "5", "V")]
    say(catalog, "meta/d/v/unit", "")
    assert values(say(catalog, "one/d/v", "5")) == [("v", "5", None)]


def test_topic_needs_no_rule_when_it_was_told_of(catalog: Catalog) -> None:
    told = '{"metric": "t", "unit": "°C", "topic": "x/y", "template": "{{ value_json.a[0].t }}"}'
    with pytest.raises(UnclaimedError):
        say(catalog, "x/y", "1")  # remembered as nobody's, and looked up again later
    say(catalog, "place/d", told)
    assert "x/y" in catalog.filters
    assert say(catalog, "x/y", '{"a": [{"t": "21.5"}]}') == [
        Reading("d", "t", 21.5, "°C", NOW_NS, False)
    ]
    assert say(catalog, "x/y", '{"a": []}') == []
    assert say(catalog, "x/y", '{"a": [{"t": 1}]}', retained=True) == []
    with pytest.raises(DecodeError, match="bad_json"):
        say(catalog, "x/y", "{")
    say(catalog, "place/d", "")
    with pytest.raises(UnclaimedError):
        say(catalog, "x/y", '{"a": [{"t": 1}]}')
    assert "x/y" not in catalog.filters


def test_unit_reaches_another_profile_when_its_topic_was_told_of(catalog: Catalog) -> None:
    assert values(say(catalog, "plain/d", "5")) == [("v", 5, None)]
    say(catalog, "place/d", '{"metric": "t", "unit": "W", "topic": "plain/d"}')
    decoded = catalog.decode(RawMessage("plain/d", b"5", NOW_NS))
    assert decoded.profile == "plain"
    assert values(decoded.readings) == [("v", 5, "W")]


def test_nothing_is_learned_when_topic_or_template_cannot_be_followed(catalog: Catalog) -> None:
    for topic, form in (("a/#", ""), ("x/z", "{{ states('x') }}"), ("y" * 300, "")):
        say(catalog, "place/d", f'{{"metric": "t", "topic": "{topic}", "template": "{form}"}}')
        with pytest.raises(UnclaimedError):
            say(catalog, topic, "1")


def said(topic: str, on: str, mode: str | None) -> Lesson:
    return Lesson("d", "$online", on=on, off="no", topic=topic, template=template(None), mode=mode)


@pytest.mark.parametrize(
    ("mode", "after_a", "after_b"), [("all", True, False), ("any", True, True), (None, True, False)]
)
def test_presence_follows_its_mode_when_two_topics_tell_of_it(
    mode: str | None, after_a: object, after_b: object
) -> None:
    memory = Memory(lambda _: False)
    memory.teach("m", [said("a", "here", mode), said("b", "up", mode)])

    def online(topic: str, word: str) -> object:
        place = memory.places[topic]["d", "$online"]
        found = memory.reading(topic, "d", "$online", place.value(word))
        return None if found is None else found[0]

    assert online("a", "here") is after_a
    assert online("b", "no") is after_b
    assert online("b", "here") is None  # each topic has its own word for it


def test_place_stays_when_another_message_still_tells_of_it() -> None:
    memory = Memory(lambda _: False)
    memory.teach("m1", [said("a", "here", None)])
    memory.teach("m2", [said("a", "here", None)])
    memory.teach("m1", [])
    assert ("d", "$online") in memory.places["a"]
    memory.teach("m2", [])
    assert memory.places == {}


def test_knowledge_is_gone_when_catalog_is_fresh(catalog: Catalog) -> None:
    say(catalog, "meta/d/a/unit", "kPa")
    assert values(say(catalog.fresh(), "data/d", '{"a": 1}')) == [("a", 1, None)]


def test_lessons_are_refused_when_memory_is_full() -> None:
    memory = Memory(lambda _: False)
    memory.teach("full", [Lesson("d", str(i), unit="V") for i in range(MAX_LESSONS)])
    memory.teach("more", [Lesson("d", "x", unit="V")])
    assert memory.refused == 1
    assert "x" not in memory.facts["d"]
    memory.teach("full", [])
    assert memory.facts == {}
    memory.teach("more", [Lesson("d", "x", unit="V")])
    assert memory.facts["d"]["x"].unit == "V"


@pytest.mark.parametrize(
    ("text", "payload", "value"),
    [
        ("", "5", "5"),
        ("{{ value }}", "5", "5"),
        ("{{ value | float }}", "5.5", 5.5),
        ("{{value|int}}", "5.5", 5),
        ("{{ value_json.a.b }}", {"a": {"b": 1}}, 1),
        ("{{ value_json['a b']['c'] }}", {"a b": {"c": 2}}, 2),
        ('{{ value_json["a"][1] }}', {"a": [1, 3]}, 3),
        ("{{ value_json.t | round(1) }}", {"t": 1.26}, 1.3),
        ("{{ value_json.t | float(0) | round(2) }}", {"t": "1.256"}, 1.26),
        ("{{ value_json.t / 10 }}", {"t": 215}, 21.5),
        ("{{ value_json.t | float * 0.5 }}", {"t": "3"}, 1.5),
        ("{{ (value_json.t / 10) | round(1) }}", {"t": 216}, 21.6),
        ("{{ (value_json.t | float(0)) * 2 }}", {"t": "1.5"}, 3),
        ("{{ value_json.t | is_defined }}", {}, None),
        ("{{ value_json.t | default('x') }}", {"t": 1}, 1),
        ("{{ value_json.t | float }}", {"t": "warm"}, None),
    ],
)
def test_template_gives_a_value_when_it_needs_no_jinja(
    text: str, payload: object, value: object
) -> None:
    made = template(text)
    assert made is not None
    assert made.value(payload) == value


@pytest.mark.parametrize(
    "text",
    [
        "{% if value_json.a %}1{% endif %}", "{{ states('sensor.x') }}", "{{ value_json.a + b }}",
        "{{ value.a }}", "{{ value_json.a }} W", "{{ value_json | tojson }}", "x" * 500,
        "{{ value_json.a if value_json.b else 0 }}", "{{ value_json.__class__() }}",
        "{{ (value_json.a + value_json.b) | round(1) }}", "{{ (value_json.a }}",
    ],
)  # fmt: skip
def test_template_is_not_followed_when_it_is_more(text: str) -> None:
    assert template(text) is None

"""What helps people who write profiles: explain, nearest, lint; and reloading."""

from pathlib import Path

import orjson
import pytest

from gateway.model import RawMessage
from gateway.profiles import Catalog, ProfileDirectory
from gateway.profiles.explain import explain
from gateway.profiles.lint import lint
from gateway.profiles.nearest import Recognition
from gateway.profiles.vectors import read_vectors

NOW_NS = 1_800_000_000 * 10**9
SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
GOOD = """\
title: Good
docs: https://example.org
rules:
  - topic: "x/{d}"
    device: "${t.d}"
    ts: [{from: "=p.ts", as: unix}, {from: "=p.time", as: iso}]
    emit:
      - {flatten: "=p", drop: [ts, time], keep: ["a*", "b"]}
      - {metric: m, value: "=p.m", where: "p.on"}
      - each: "=p.list"
        emit: [{metric: "${x.n}", value: "=x.v"}]
    units: [[b, {missing: [-999]}]]
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).mkdir(parents=True, exist_ok=True)
    file = folder / name / "profile.yaml"
    file.write_text(text)
    return file


def test_each_expression_and_dropped_value_is_told_when_explained(tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    catalog = Catalog.load([tmp_path], "UTC")
    payload = {"ts": 5, "time": "soon", "a1": 1, "b": -999, "c": 3, "a2": None, "on": False,
               "list": [{"n": "q", "v": 9}]}  # fmt: skip
    found = explain(catalog, RawMessage("x/d", orjson.dumps(payload), NOW_NS), "UTC")
    told = {f"{note.where} {note.says}": note.gave for note in found.notes}
    assert [claim.profile for claim in found.claims] == ["good"]
    assert told["device ${t.d}"] == "'d'"
    assert "not plausible" in told["ts.0 =p.ts as unix"]
    assert "not readable" in told["ts.1 =p.time as iso"]
    assert told["ts "] == "the time of arrival"
    assert "glob of drop" in told["emit.0.flatten ts"]
    assert "missing" in told["emit.0.flatten b"]
    assert "no glob of keep" in told["emit.0.flatten c"]
    assert "null" in told["emit.0.flatten a2"]
    assert "does not hold" in told["emit.1 where: p.on"]
    assert told["emit.2[0].emit.0.metric ${x.n}"] == "'q'"
    assert found.decoded is not None
    assert [r.metric for r in found.decoded.readings] == ["a1", "q"]


def test_reason_is_told_when_message_is_refused_or_nobodys(tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    catalog = Catalog.load([tmp_path], "UTC")
    refused = explain(catalog, RawMessage("x/d", b"{", NOW_NS), "UTC")
    assert "bad_json" in refused.refused
    assert "refused" in refused.notes[-1].gave
    assert explain(catalog, RawMessage("y", b"{", NOW_NS), "UTC").claims == []


@pytest.mark.parametrize(
    "vector",
    [v for f in sorted(SHIPPED.glob("*/vectors.yaml")) for v in read_vectors(f)[:3]],
    ids=lambda v: v.id,
)
def test_explanation_is_given_when_profile_is_a_shipped_one(vector: object) -> None:
    message = vector.message()  # type: ignore[attr-defined] # a Vector; pytest knows objects
    explain(SHIPPED_CATALOG, message, "UTC")


SHIPPED_CATALOG = Catalog.load([SHIPPED], "UTC")


def test_profile_comes_near_when_topic_or_payload_is_like_its_own() -> None:
    recognition = Recognition(SHIPPED_CATALOG)
    payload = b'{"Time":"2024-05-01T12:00:00","ENERGY":{"Total":1,"Power":5,"Voltage":230}}'
    found = recognition.nearest("home/tele/plug/SENSORS", payload)
    assert found[0].profile == "tasmota"
    assert any("keys are in its vectors" in why for why in found[0].why)
    assert recognition.nearest("qq/ww/ee", b"\xff\xfe") == []


def test_little_is_near_when_one_word_is_shared() -> None:
    recognition = Recognition(SHIPPED_CATALOG)
    assert all(near.score < 0.7 for near in recognition.nearest("state/GuestAC", b"false"))
    tasmota = RawMessage("tele/plug/SENSOR", b"{}", NOW_NS)
    found = recognition.nearest_to_any([RawMessage("qq/ww", b"", NOW_NS), tasmota])
    assert found[0].profile == "tasmota"


def test_lint_says_what_is_wrong_and_what_may_be(tmp_path: Path) -> None:
    write(tmp_path / "others", "another", GOOD)
    file = write(tmp_path / "mine", "good", GOOD.replace("flatten:", "flaten:"))
    [error, *_] = lint(file, [tmp_path / "others"], "UTC").errors
    assert f"{file}:8" in error
    file.write_text(GOOD)
    assert "vectors.yaml" in lint(file, [], "UTC").errors[0]
    vectors = file.with_name("vectors.yaml")
    vectors.write_text('- {id: a, topic: x/d, payload: "{}", source: s, expect: []}')
    found = lint(file, [tmp_path / "others"], "UTC")
    assert found.errors == ()
    said = "profile another (priority 100, x/{d}) takes it, by name first, and not good"
    assert any(said in w for w in found.warnings)
    assert any("none shows a reading" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("priority", "said"),
    [
        (50, "x/d: profile mine (priority 50, {d+}) takes it, the lower priority first, and not"
             " theirs (priority 100, x/{d})"),
        (200, "x/d: profile theirs (priority 100, x/{d}) takes it, the lower priority first, and"
              " not mine (priority 200, {d+})"),
    ],
)  # fmt: skip
def test_lint_names_both_patterns_when_a_profile_takes_anothers_topic(
    tmp_path: Path, priority: int, said: str
) -> None:
    vector = "- {id: a, topic: TOPIC, payload: '{}', source: composed, expect: []}\n"
    theirs = write(tmp_path / "others", "theirs", GOOD)
    theirs.with_name("vectors.yaml").write_text(vector.replace("TOPIC", "x/d"))
    greedy = GOOD.replace("x/{d}", "{d+}").replace("title: Good", f"title: G\npriority: {priority}")
    mine = write(tmp_path, "mine", greedy)
    own_topic = "y/z" if priority == 50 else "x/d"
    mine.with_name("vectors.yaml").write_text(vector.replace("TOPIC", own_topic))
    assert said in lint(mine, [tmp_path / "others"], "UTC").warnings


def test_order_is_told_when_two_profiles_claim_a_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "b", GOOD)
    write(tmp_path, "a", GOOD)
    write(tmp_path, "later", GOOD.replace("title: Good", "title: Good\npriority: 200"))
    catalog = Catalog.load([tmp_path], "UTC")
    for device in ("d", "e"):
        assert catalog.decode(RawMessage(f"x/{device}", b"{}", NOW_NS)).profile == "a"
    assert catalog.overlaps == {("a", "b"): "x/d"}
    assert [claim.profile for claim in catalog.claims("x/d")] == ["a", "b", "later"]
    assert len(caplog.records) == 1


def test_good_profile_stays_when_its_file_becomes_bad(tmp_path: Path) -> None:
    file = write(tmp_path, "good", GOOD)
    profiles = ProfileDirectory([tmp_path], "UTC")
    message = RawMessage("x/d", b'{"a": 1}', NOW_NS)
    assert len(profiles.decode(message).readings) == 1
    file.write_text(GOOD.replace("flatten:", "flaten:"))
    profiles.reload()
    assert len(profiles.decode(message).readings) == 1
    assert f"{file}:8" in str(profiles.catalog.rejected[0])
    file.write_text(GOOD.replace('"a*"', '"z*"') + "\n")
    profiles.reload()
    assert profiles.decode(message).readings == []
    assert profiles.catalog.rejected == []


def test_knowledge_stays_when_another_profile_changes(tmp_path: Path) -> None:
    learner = (
        'title: L\nrules:\n  - {topic: "u/{d}", codec: text, device: "${t.d}",\n'
        '     emit: [{learn: a, unit: "=p"}]}\n'
        '  - {topic: "v/{d}", device: "${t.d}", emit: [{flatten: "=p"}]}\n'
    )
    write(tmp_path, "learner", learner)
    profiles = ProfileDirectory([tmp_path], "UTC")
    profiles.decode(RawMessage("u/d", b"W", NOW_NS))
    write(tmp_path, "good", GOOD)
    profiles.reload()
    [reading] = profiles.decode(RawMessage("v/d", b'{"a": 1}', NOW_NS)).readings
    assert reading.unit == "W"
    assert len(profiles.decode(RawMessage("x/d", b'{"a": 1}', NOW_NS)).readings) == 1

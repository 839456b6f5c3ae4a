"""A first profile, drafted from messages that nobody reads."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import RawMessage, Reading
from gateway.profiles import Catalog
from gateway.profiles.draft import Draft, draft
from gateway.profiles.files import load_yaml
from gateway.profiles.guesses import is_command, unit_of
from gateway.profiles.lint import lint
from gateway.profiles.vectors import read_vectors, run_vectors
from gateway.profiles.yaml_text import flow

NOW_NS = 1_800_000_000 * 10**9
NOBODY = Catalog.load([], "UTC")


def heard(*messages: tuple[str, bytes], retained: bool = False) -> list[RawMessage]:
    return [RawMessage(t, p, NOW_NS + i, retained=retained) for i, (t, p) in enumerate(messages)]


def loaded(folder: Path, drafted: Draft, *more: Path) -> Catalog:
    """Return the draft as it counts when it is copied to the others; its vectors pass."""
    (folder / "new").mkdir()
    (folder / "new" / "profile.yaml").write_text(drafted.profile)
    (folder / "new" / "vectors.yaml").write_text(drafted.vectors)
    catalog = Catalog.load([*more, folder], "UTC")
    assert catalog.rejected == []
    vectors = read_vectors(folder / "new" / "vectors.yaml")
    assert [r.difference for r in run_vectors(catalog, vectors, "UTC")] == [()] * len(vectors)
    return catalog


def readings(catalog: Catalog, topic: str, payload: bytes) -> list[Reading]:
    return catalog.decode(RawMessage(topic, payload, NOW_NS)).readings


METEO = heard(
    ("meteo/roof-2/report", b'{"ts": 1700000000, "air": {"temperature": 21.5}, "rain": "3"}'),
    ("meteo/roof-3/report", b'{"ts": 1700000060, "air": {"temperature": 20.5}, "rain": "0"}'),
    ("meteo/roof-2/alive", b"online"),
    ("meteo/roof-2/wind", b"3.2"),
    ("meteo/roof-2/blob", b"\xff\xfe\x00"),
    ("odd/{d}/a+b", b"1"),
)


def test_draft_decodes_what_was_heard(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, draft("new", METEO, NOBODY))
    first = catalog.decode(METEO[0])
    assert first.device == "roof-2"
    assert [(r.metric, r.value, r.unit) for r in first.readings] == [
        ("air.temperature", 21.5, "°C"), ("rain", 3, None),
    ]  # fmt: skip
    assert first.readings[0].time_ns == 1_700_000_000 * 10**9
    assert [r.metric for r in catalog.decode(METEO[2]).readings] == ["$online"]
    assert [(r.metric, r.value) for r in catalog.decode(METEO[3]).readings] == [("wind", 3.2)]


def test_topic_is_json_when_objects_come_with_a_bare_word_now_and_then(tmp_path: Path) -> None:
    messages = heard(
        ("state/hall", b'{"id": "hall", "up": true, "rssi": -54}'),
        ("state/hall", b"false"),
        ("state/attic", b'{"id": "attic", "up": true}'),
        ("state/attic", b"7.5"),
        ("state/attic", b""),
        ("state/attic", b"not JSON"),
    )
    catalog = loaded(tmp_path, draft("new", messages, NOBODY))
    assert [r[:3] for r in readings(catalog, "state/x", b"false")] == [("x", "$online", False)]
    assert [r.value for r in readings(catalog, "state/x", b"7.5")] == [True, 7.5]
    assert [r.value for r in readings(catalog, "state/x", b"not JSON")] == [True, "not JSON"]
    assert readings(catalog, "state/x", b"") == []
    assert readings(catalog, "state/x", b'{"rssi": -1}')[1].unit == "dBm"


def test_device_is_back_when_an_object_comes_after_a_bare_false(tmp_path: Path) -> None:
    messages = heard(("state/hall", b'{"id": "hall", "up": 3}'), ("state/hall", b"false"))
    catalog = loaded(tmp_path, draft("new", messages, NOBODY))
    assert [r.value for r in readings(catalog, "state/x", b"false")] == [False]
    assert readings(catalog, "state/x", b'{"up": 4}')[0][:3] == ("x", "$online", True)


def test_commands_are_left_out_and_stay_nobodys(tmp_path: Path) -> None:
    messages = heard(
        ("state/hall/status", b'{"temp": 21}'), ("command/hall/control", b'{"target": 22}')
    )
    drafted = draft("new", messages, NOBODY)
    assert drafted.commands == ("command/hall/control",)
    catalog = loaded(tmp_path, drafted)
    assert catalog.claims("command/hall/control") == []
    assert readings(catalog, "state/hall/status", b'{"temp": 21}')[0].device == "hall"
    assert "rejects: unclaimed" in drafted.vectors
    assert "rejects: bad_json" in drafted.vectors


@pytest.mark.parametrize("topic", ["cmnd/x/POWER", "x/light/set", "a/command", "a/get", "a/req/b"])
def test_topic_is_a_command_when_a_level_says_so(topic: str) -> None:
    assert is_command(topic)


def test_vectors_are_without_repetitions() -> None:
    drafted = draft("new", heard(*[("a/b1/c", b'{"t": 1}')] * 5), NOBODY)
    assert drafted.vectors.count("expect:") == 1


def test_draft_is_asked_first_when_another_takes_and_refuses(tmp_path: Path) -> None:
    greedy = tmp_path / "others" / "greedy"
    greedy.mkdir(parents=True)
    (greedy / "profile.yaml").write_text(
        "title: Greedy\npriority: 60\nrules:\n"
        '  - {topic: "{d+}/status", codec: text, device: "${t.d}", emit: [{online: "=p"}]}\n'
    )
    others = Catalog.load([greedy], "UTC")
    messages = heard(("state/hall/status", b'{"temp": 21}'))
    drafted = draft("new", messages, others, ["greedy"])
    assert "priority: 59 # before greedy (60)" in drafted.profile
    (tmp_path / "mine").mkdir()
    catalog = loaded(tmp_path / "mine", drafted, greedy)
    assert catalog.decode(messages[0]).profile == "new"


def test_like_topics_become_one_rule() -> None:
    messages = heard(*[(f"pump7/{m}/state", b"1.5") for m in ("flow", "temp", "volt")])
    document = load_yaml(draft("new", messages, NOBODY).profile)
    assert [rule["topic"] for rule in document["rules"]] == ["{d}/{m:flow|temp|volt}/state"]


def test_kept_values_are_state_when_the_broker_kept_some() -> None:
    messages = heard(("a/b1/c", b'{"t": 1}'), retained=True)
    assert load_yaml(draft("new", messages, NOBODY).profile)["retained"] == "state"


def test_guesses_are_marked() -> None:
    drafted = draft("new", heard(("a/b1/c", b'{"ts": 1700000000, "temp": 1}')), NOBODY)
    for line in drafted.profile.splitlines():
        if any(word in line for word in ("device:", " ts:", "°C")):
            assert line.endswith("# guess")


def test_lint_tells_of_guesses_that_nobody_has_looked_over(tmp_path: Path) -> None:
    loaded(tmp_path, draft("new", heard(("a/b1/c", b'{"temp": 1}')), NOBODY))
    file = tmp_path / "new" / "profile.yaml"
    assert any("still marked" in warning for warning in lint(file, [], "UTC").warnings)
    file.write_text(file.read_text().replace(" # guess", ""))
    assert not any("still marked" in warning for warning in lint(file, [], "UTC").warnings)


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("power", [12.5], "W"), ("power", [True], None), ("power", [1, True], None),
        ("energyPower", [1], "kWh"), ("power_factor", [0.9], None), ("activePower", [-3], "W"),
        ("energy", [772_600], None), ("temp", [21], "°C"), ("temperature2", [21], "°C"),
        ("template", [3], None), ("humidity", [40], "%"), ("hum", [400], None),
        ("battery", [90], "%"), ("batteryVoltage", [3.1], "V"), ("soc", [55], "%"),
        ("rssi", [-60], "dBm"), ("rssi", [60], None), ("pressure", [1013], "hPa"),
        ("current", [0.5], "A"), ("current", ["heat"], None), ("lux", [5], "lx"),
    ],
)  # fmt: skip
def test_unit_is_guessed_by_name_and_every_value(
    name: str, values: list[object], unit: str | None
) -> None:
    assert unit_of(name, values) == unit


@given(st.text(max_size=20))
def test_text_is_itself_when_it_is_read_again(text: str) -> None:
    assert load_yaml(f"- {flow([text, {'k': text}])}\n") == [[text, {"k": text}]]


LEVEL = st.sampled_from(["state", "=x", "a b", "{", "$x", "x|y", "", "7f00aa", "\x01", "'", "é"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=10).map("/".join).filter(bool)
PAYLOAD = st.sampled_from(
    [b"", b"1", b"false", b"ON", b"\xff", b"[1, {}]", b'{"ts": "now", "a": {"temp": "7"}}', b"{",
     b'"x"', b"null", b'{"": 1, "$a": 2, "id": "state"}', b"text: {of} #some 'kind\""]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TOPIC, PAYLOAD), min_size=1, max_size=8))
def test_draft_loads_and_its_vectors_pass_whatever_was_heard(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[str, bytes]]
) -> None:
    messages = heard(("a/b1/c", b"1"), *found)
    loaded(tmp_path_factory.mktemp("drafted"), draft("new", messages, NOBODY))

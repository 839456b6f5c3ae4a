"""``weir profile``: what it prints and how it ends."""

from pathlib import Path

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli import profile_list
from gateway.cli.profile import profile

VECTORS = """\
- id: fine
  topic: zz/d
  payload: '{"a": 1}'
  source: composed
  expect: [{device: d, metric: a, value: 1}]
- id: wrong
  topic: zz/d
  payload: '{"a": 1}'
  source: composed
  expect: [{device: d, metric: a, value: 2}]
"""
PROFILE = 'title: Z\nrules:\n  - {topic: "zz/{d}", device: "${t.d}", emit: [{flatten: "=p"}]}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine" / "zz"
    made.mkdir(parents=True)
    (made / "profile.yaml").write_text(PROFILE)
    (made / "vectors.yaml").write_text(VECTORS)
    return made


def run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(profile, [*arguments, "--state-dir", str(tmp_path / "state")])
    return result.exit_code, result.output


def test_list_fits_into_80_columns_and_says_what_is_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "state/profiles/zz"
    own.mkdir(parents=True)
    (own / "profile.yaml").write_text(PROFILE)
    monkeypatch.setattr(profile_list, "out", Console(width=80, highlight=False))
    code, said = run(tmp_path, "list")
    assert code == 0
    table, _, rest = said.partition("zz is yours:")
    lines = table.splitlines()
    assert len(lines) > 80
    assert max(map(len, lines)) <= 80
    names = {line.split(" ")[0] for line in lines}
    assert {"tasmota", "zz", "azure-opc-publisher"} <= names
    assert str(own) in rest
    [ours] = [row for row in orjson.loads(run(tmp_path, "list", "--json")[1])["profiles"]
              if row["name"] == "zz"]  # fmt: skip
    assert (ours["folder"], ours["priority"]) == (str(own), 100)


@pytest.mark.parametrize("which", ["zz", "."])
def test_vectors_are_counted_when_a_users_folder_is_tested(
    tmp_path: Path, folder: Path, which: str
) -> None:
    code, said = run(tmp_path, "test", str(folder.parent / which), "--json")
    document = orjson.loads(said)
    assert code == 1
    assert (document["total"], document["passed"]) == (2, 1)
    [failed] = document["failed"]
    assert (failed["id"], failed["firmware"]) == ("wrong", "zz")
    assert failed["difference"] == ["d a: 1, should be 2"]


def test_table_is_run_through_the_shipped_profiles_when_vectors_are_named(tmp_path: Path) -> None:
    row = {
        "id": "x", "firmware": "Tasmota", "topic": "tele/plug/LWT", "payload": "Online",
        "payload_encoding": "utf8", "retained": True, "kind": "liveness", "source": "composed",
        "expected_mode": "exact",
        "expected": [{"device": "plug", "metric": "$online", "value": True, "unit": None,
                      "ts": None}],
    }  # fmt: skip
    file = tmp_path / "table.jsonl"
    file.write_bytes(orjson.dumps(row))
    code, said = run(tmp_path, "test", "--vectors", str(file))
    assert code == 0
    assert "1 of 1 vector passed" in said
    assert "Tasmota" in said


def test_profiles_are_listed_and_shown_when_asked_for(tmp_path: Path) -> None:
    code, said = run(tmp_path, "list", "--json")
    names = [each["name"] for each in orjson.loads(said)["profiles"]]
    assert code == 0
    assert {"tasmota", "zigbee2mqtt", "example"} <= set(names)
    code, said = run(tmp_path, "show", "tasmota")
    assert code == 0
    assert "tele/{d}/SENSOR" in said
    assert run(tmp_path, "show", "nope")[0] == 78


def test_rule_and_readings_are_shown_when_explained(tmp_path: Path) -> None:
    code, said = run(tmp_path, "explain", "tele/plug/SENSOR", '{"ENERGY":{"Power":12}}', "--json")
    document = orjson.loads(said)
    assert code == 0
    assert document["claims"][0]["profile"] == "tasmota"
    assert [(r["metric"], r["unit"]) for r in document["readings"]] == [("ENERGY.Power", "W")]
    code, said = run(tmp_path, "explain", "q/tele/plug/SENSORS", '{"ENERGY":{"Power":12}}')
    assert code == 1
    assert "profile tasmota" in said


def test_lines_are_told_when_a_profile_is_wrong(tmp_path: Path, folder: Path) -> None:
    (folder / "profile.yaml").write_text(PROFILE.replace("device", "devise"))
    code, said = run(tmp_path, "lint", str(folder))
    assert code == 1
    assert "profile.yaml:3" in said.replace("\n", "")


def test_draft_needs_a_running_gateway(tmp_path: Path) -> None:
    code, _ = run(tmp_path, "draft", "x", "--seconds", "0.1", "--out", str(tmp_path))
    assert code == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("name", "where", "reason"),
    [
        ("zz", "mine", "is there already"),
        ("tasmota", "mine", "would be replaced"),
        ("new", "state/profiles", "active at once"),
        ("../new", "mine", "letters, digits"),
    ],
)
def test_draft_is_not_written_when_it_would_replace_or_count_at_once(
    tmp_path: Path, folder: Path, name: str, where: str, reason: str
) -> None:
    before = (folder / "profile.yaml").read_text()
    code, said = run(tmp_path, "draft", name, "--out", str(tmp_path / where))
    assert code == 78
    assert reason in said.replace("\n", " ")
    assert (folder / "profile.yaml").read_text() == before


def test_profile_is_found_by_its_name_when_a_command_speaks_of_it(tmp_path: Path) -> None:
    code, said = run(tmp_path, "test", "example", "--json")
    document = orjson.loads(said)
    assert code == 0
    assert 0 < document["total"] < 50
    code, said = run(tmp_path, "lint", "example", "--json")
    assert code == 0
    assert orjson.loads(said)["errors"] == []
    code, said = run(tmp_path, "explain", "weir-example/h/alive", "weg", "--profile", "example")
    assert code == 0
    assert "$online" in said


def test_profile_is_found_by_its_folder_when_it_is_not_active(tmp_path: Path, folder: Path) -> None:
    code, said = run(tmp_path, "explain", "zz/d", '{"a": 1}', "--profile", str(folder), "--json")
    assert code == 0
    assert [r["metric"] for r in orjson.loads(said)["readings"]] == ["a"]
    assert run(tmp_path, "explain", "zz/d", '{"a": 1}')[0] == 1
    code, said = run(tmp_path, "show", str(folder))
    assert code == 0
    assert "zz/{d}" in said


def test_likely_name_is_told_when_there_is_no_such_profile(tmp_path: Path) -> None:
    for command in ("show", "lint", "test"):
        code, said = run(tmp_path, command, "tasmotta")
        assert code == 78
        assert "did you mean 'tasmota'?" in said


def test_own_folder_is_told_when_profiles_are_listed(tmp_path: Path) -> None:
    _, said = run(tmp_path, "list")
    assert f"yours go into {tmp_path}/state/profiles" in said.replace("\n", "")

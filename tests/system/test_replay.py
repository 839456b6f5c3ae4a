"""A table of real measurements through the whole gateway, and questions to it while it runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from benchmarks.stand import Stand, stand
from benchmarks.truth import at_hub
from tests.conftest import ROOT, Weir

MAX_PACKET_BYTES = 512
CONFIG = """
[gateway]
name = "replayed"
state_dir = "{state_dir}"
[mqtt]
port = 0
[hub]
url = "{leaf_url}"
[metrics]
port = -1
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(tmp_path_factory.mktemp("replay")) as made:
        made.start_hub()
        made.write_config(CONFIG)
        made.start_gateway()
        yield made


@pytest.fixture(scope="module")
def replayed(here: Stand, shared: Path, weir: Weir) -> dict[str, Any]:
    table = shared / "data/skab/valve1-0.csv"
    said = weir("replay", str(table), "--state-dir", str(here.state_dir), "--json")
    assert said.returncode == 0, said.stderr
    here.settle()
    return {"table": table, **json.loads(said.stdout)}


def test_each_value_is_stored_once_when_a_table_is_replayed(
    here: Stand, replayed: dict[str, Any]
) -> None:
    lines = replayed["table"].read_text().splitlines()
    rows, metrics = len(lines) - 1, len(lines[0].split(";")) - 3  # time and two labels
    assert (replayed["rows"], replayed["metrics"]) == (rows, metrics)
    query = "SELECT count(*), count(DISTINCT (metric, time)) FROM readings"
    assert here.ask("/sql", query)["rows"] == [[rows * metrics, rows * metrics]]
    first = dict(zip(lines[0].split(";"), lines[1].split(";"), strict=True))
    found = here.ask("/sql", "SELECT metric, arg_min(value, time) FROM readings GROUP BY metric")
    assert dict(found["rows"]) == {name: float(first[name]) for name, _ in found["rows"]}


async def test_packets_are_small_and_valid_when_they_arrive_at_the_hub(
    here: Stand, replayed: dict[str, Any]
) -> None:
    schema = json.loads((ROOT / "gateway/outcomes/packet.schema.json").read_text())
    validator = Draft202012Validator(schema)
    told = await at_hub(here.hub_url)
    assert len(told) >= 1
    assert {t.source for t in told} == {replayed["device"]}
    for each in told:
        assert len(each.payload) <= MAX_PACKET_BYTES
        validator.validate(json.loads(each.payload))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM reading",
        "CREATE TABLE mine (x INTEGER)",
        "COPY reading TO '/tmp/weir-reading.csv'",
        "SELECT 1; DROP TABLE reading",
        "PRAGMA memory_limit='1GB'",
        "SELECT * FROM read_text('/etc/hostname')",
        "ATTACH ':memory:' AS other",
        "CALL pragma_version()",
        "SET threads = 4",
    ],
)
def test_sql_is_refused_when_it_does_more_than_read(
    here: Stand, weir: Weir, statement: str
) -> None:
    before = here.ask("/sql", "SELECT count(*) FROM reading")["rows"]
    said = weir("sql", statement, "--state-dir", str(here.state_dir))
    assert said.returncode == 1, said.stdout
    assert said.stderr.startswith("error: ")
    assert here.ask("/sql", "SELECT count(*) FROM reading")["rows"] == before


def test_sql_is_answered_when_it_reads(here: Stand, weir: Weir) -> None:
    said = weir("sql", "SELECT 6 * 7 AS n", "--state-dir", str(here.state_dir), "--json")
    assert json.loads(said.stdout) == {"columns": ["n"], "rows": [[42]]}


def test_a_second_gateway_is_refused_when_one_runs_on_the_same_state(
    here: Stand, weir: Weir
) -> None:
    said = weir("run", "-c", str(here.folder / "gateway.toml"))
    assert said.returncode == 78
    assert "another gateway is running on it" in said.stderr

"""Stores of other versions: brought forward with a copy kept, used as they are, or refused."""

import asyncio
import lzma
import shutil
from collections import namedtuple
from pathlib import Path

import duckdb
import pytest

from gateway.errors import ConfigError, StoreError
from gateway.features import migration
from gateway.features.migration import Stamp, copies, forget_copies, prepare, read_stamp, set_aside
from gateway.features.schema import OLDEST_READER, STEPS, VERSION, Step
from gateway.features.store import DuckStore
from gateway.model import Decoded, RawMessage, Reading
from gateway.settling import settle

SECOND = 1_000_000_000
OLD = Path(__file__).parents[1] / "data/store-version-1.duckdb.xz"
"""Made by the code of the first feature store: 200 readings of plug-1, which is pump-1's."""
BREAKING = (*STEPS, Step(VERSION + 1, VERSION + 1, "ALTER TABLE series RENAME unit TO units"))

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "weir.duckdb"
    path.write_bytes(lzma.decompress(OLD.read_bytes()))
    return path


def opened(path: Path) -> DuckStore:
    made = DuckStore(path, {"plug-1": "pump-1"}, 600 * SECOND)
    made.recover()
    return made


def tell(store: DuckStore, number: int) -> bool:
    """Store a reading of plug-1; say whether it was new."""
    at_ns = (1_790_000_000 + number) * SECOND
    raw = RawMessage("t/plug-1", str(number).encode(), at_ns, 1, False, True)
    reading = Reading("plug-1", "power", float(number), "W", at_ns, True)
    appended = store.append([(raw, Decoded("json", "plug-1", [reading], []))])
    store.recent.append(appended.batch)
    return appended.readings == 1


def count(path: Path) -> int:
    with duckdb.connect(str(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM readings").fetchall()[0]
    return int(rows)


def test_all_is_there_and_a_copy_is_kept_when_an_older_store_is_opened(store: Path) -> None:
    made = opened(store)
    mark = made.marks["machine-anomaly"]["pump-1"]
    assert (mark.end_ns, mark.label, mark.state) == (1_790_000_150 * SECOND, "normal", b"learned")
    assert not tell(made, 7), "what was acknowledged is known again"
    assert tell(made, 200)
    made.close()
    assert read_stamp(store) == Stamp(VERSION, OLDEST_READER)
    (copy,) = copies(store)
    assert (count(store), count(copy)) == (201, 200)
    assert read_stamp(copy) == Stamp(1, 1)


def test_nothing_is_copied_when_the_store_is_of_this_version_or_new(tmp_path: Path) -> None:
    path = tmp_path / "weir.duckdb"
    opened(path).close()
    opened(path).close()
    assert read_stamp(path) == Stamp(VERSION, OLDEST_READER)
    assert [f.name for f in tmp_path.iterdir()] == ["weir.duckdb"]


def test_the_older_version_goes_on_with_all_of_it_when_only_columns_were_added(
    store: Path,
) -> None:
    opened(store).close()
    added = Step(VERSION + 1, OLDEST_READER, "ALTER TABLE reading ADD COLUMN quality INTEGER")
    prepare(store, VERSION + 1, (*STEPS, added))
    assert read_stamp(store) == Stamp(VERSION + 1, OLDEST_READER)
    made = opened(store)
    assert tell(made, 200)
    made.close()
    assert count(store) == 201
    assert read_stamp(store) == Stamp(VERSION + 1, OLDEST_READER)
    assert not set_aside(store)


def test_the_copy_is_used_and_nothing_deleted_when_the_older_version_cannot_read_the_newer(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store).close()
    prepare(store, VERSION + 1, BREAKING)
    made = opened(store)
    assert "machine-anomaly" in made.marks
    assert tell(made, 200)
    made.close()
    (newer,) = set_aside(store)
    assert read_stamp(newer) == Stamp(VERSION + 1, VERSION + 1)
    assert count(store) == 201
    assert str(newer) in caplog.text
    assert "not in it" in caplog.text


def test_a_newer_store_is_refused_and_left_alone_when_no_copy_is_left(store: Path) -> None:
    opened(store).close()
    prepare(store, VERSION + 1, BREAKING)
    forget_copies(store)
    before = store.read_bytes()
    with pytest.raises(ConfigError, match="Install the newer version again"):
        opened(store)
    assert store.read_bytes() == before


def test_the_copy_is_used_when_the_file_is_beyond_this_duckdb(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(store).close()
    beyond = store.read_bytes()
    connect = migration._connect

    def refuse(path: Path) -> duckdb.DuckDBPyConnection:
        if path.read_bytes() == beyond:
            raise duckdb.IOException(
                "IO Error: Trying to read a database file with version number 99, but we can only "
                "read versions between 64 and 68."
            )
        return connect(path)

    monkeypatch.setattr(migration, "_connect", refuse)
    prepare(store)
    (newer,) = set_aside(store)
    assert newer.read_bytes() == beyond
    assert read_stamp(store) == Stamp(VERSION, OLDEST_READER), "of the copy, brought forward"


def test_the_store_is_as_it_was_when_a_step_fails(store: Path) -> None:
    wrong = Step(VERSION + 1, OLDEST_READER, "ALTER TABLE nothing ADD COLUMN x INTEGER")
    with pytest.raises(StoreError, match=f"version {VERSION + 1}"):
        prepare(store, VERSION + 1, (*STEPS, wrong))
    assert read_stamp(store) == Stamp(1, 1)
    assert count(store) == 200


@pytest.mark.parametrize(("short_bytes", "is_kept"), [(0, True), (1, False)])
def test_the_copy_is_made_when_there_is_room_for_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, short_bytes: int, *, is_kept: bool
) -> None:
    free = store.stat().st_size + 64_000_000 - short_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free * 2, free, free))
    prepare(store)
    assert read_stamp(store) == Stamp(VERSION, OLDEST_READER), "it is still brought forward"
    assert bool(copies(store)) == is_kept


def test_a_store_that_the_older_version_could_not_use_stays_when_there_is_no_room_for_the_copy(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 10))
    with pytest.raises(StoreError, match="no room for a copy"):
        prepare(store, VERSION + 1, BREAKING)
    assert read_stamp(store) == Stamp(1, 1)


def test_older_copies_go_when_a_newer_one_is_made(store: Path) -> None:
    prepare(store)
    prepare(store, VERSION + 1, BREAKING)
    assert [copy.suffix for copy in copies(store)] == [f".before-{VERSION + 1}"]


async def test_the_copy_is_given_up_when_the_new_version_was_healthy_without_a_break(
    store: Path,
) -> None:
    prepare(store)
    health = [True, True, False, True, True, True]
    looks: list[bool] = []

    def look() -> bool:
        assert copies(store), "not before"
        looks.append(health[len(looks)])
        return looks[-1]

    task = asyncio.create_task(
        settle(look, lambda: forget_copies(store), after_s=0.003, look_s=0.001)
    )
    async with asyncio.timeout(10):
        while copies(store):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.001)
    assert looks == health
    task.cancel()


def test_each_step_leads_one_version_further() -> None:
    assert [step.to for step in STEPS] == list(range(2, VERSION + 1))
    assert STEPS[-1].oldest_reader == OLDEST_READER

"""The feature store on real DuckDB files."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.features import Appended, Bounds, DeadLetter, FeatureService, Mark, QueryError
from gateway.features.columns import Item
from gateway.features.store import DuckStore
from gateway.model import Decoded, RawMessage, Reading, Waveform, WindowSpec

SECOND = 1_000_000_000
NOW = time.time_ns() // SECOND * SECOND
BOUNDS = Bounds(max_age_s=86400, max_rows=10**7, max_bytes=10**9)


def append(store: DuckStore, items: list[Item]) -> Appended:
    appended = store.append(items)
    store.recent.append(appended.batch)
    return appended


def message(
    device: str, at_ns: int, *, qos: int = 1, redelivered: bool = False, **values: float | str
) -> Item:
    readings = [Reading(device, m, v, "W", at_ns, True) for m, v in values.items()]
    raw = RawMessage(f"t/{device}", f"{at_ns}{values}".encode(), at_ns, qos, False, redelivered)
    return raw, Decoded("json", device, readings, [])


def open_store(path: Path) -> DuckStore:
    store = DuckStore(path / "weir.duckdb", {}, keep_ns=600 * SECOND)
    store.recover()
    return store


def test_readings_are_stored_once_when_a_message_is_redelivered_after_a_crash(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    raw, _ = message("plug", NOW, power=1.0)
    arrival = Decoded("json", "plug", [Reading("plug", "power", 1.0, "W", NOW)], [])
    assert append(store, [(raw, arrival)]).readings == 1
    store.close()
    store = open_store(tmp_path)
    later = Decoded("json", "plug", [Reading("plug", "power", 1.0, "W", NOW + SECOND)], [])
    again = append(store, [(raw._replace(redelivered=True, received_ns=NOW + SECOND), later)])
    assert again.duplicate == [True]
    assert append(store, [(raw, later)]).duplicate == [False], "a plug may say the same twice"
    store.close()


def test_reading_is_a_duplicate_when_series_time_and_value_are_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    first = append(store, [message("a", NOW, x=1.0, y=2.0), message("a", NOW, x=1.0)])
    assert (first.readings, first.duplicate_readings, first.duplicate) == (2, 1, [False, True])
    append(store, [message("a", NOW + i * SECOND, x=float(i)) for i in range(1, 100)])
    second = append(store, [message("a", NOW, x=1.0), message("a", NOW, x=5.0, y=2.0)])
    assert second.duplicate == [True, False]
    assert second.readings == 1
    store.close()


def test_series_has_the_new_unit_when_a_profile_was_corrected(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    raw, decoded = message("plug", NOW, home=22.5)
    append(store, [(raw, decoded)])
    corrected = Reading("plug", "home", 22.6, "°C", NOW + SECOND, True)
    append(store, [(raw, decoded._replace(readings=[corrected]))])
    unitless = Reading("plug", "home", 22.7, None, NOW + 2 * SECOND, True)
    append(store, [(raw, decoded._replace(readings=[unitless]))])
    assert store.register.series[0].unit == "°C"
    store.close()
    store = open_store(tmp_path)
    assert [s.unit for s in store.register.series] == ["°C"]
    kept = store.cursor().execute("SELECT DISTINCT unit FROM readings").fetchall()
    assert kept == [("°C",)]
    store.close()


def test_text_and_waveform_are_kept_when_a_message_carries_them(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    samples = np.sin(np.arange(1000) / 5).astype(np.float32)
    wave = Waveform("vib", "acc.x", "g", NOW, 1000.0, samples)
    raw, decoded = message("vib", NOW, state="open", level=3.0)
    append(store, [(raw, decoded._replace(waveforms=[wave]))])
    query = store.cursor().execute
    rms = query("SELECT value FROM readings WHERE metric = 'acc.x.rms'").fetchone()
    assert rms is not None
    assert rms[0] == pytest.approx(float(samples.std()), rel=1e-5)
    kept = query("SELECT rate_hz, len(samples), samples[11] FROM waveform").fetchone()
    assert kept is not None
    assert kept == (1000.0, 1000, pytest.approx(float(samples[10])))
    assert query("SELECT value FROM text_reading").fetchall() == [("open",)]
    store.close()


def test_readings_show_states_as_they_were_when_asked_in_sql(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [message("door", NOW, state="open", lock=True, level=3.0)])
    append(store, [message("door", NOW + SECOND, state="shut", lock=False, level=1.0)])
    for _ in range(2):
        found = store.cursor().execute(
            "SELECT device, metric, unit, value, text FROM readings ORDER BY metric, time"
        )
        assert found.fetchall() == [
            ("door", "level", "W", 3.0, None), ("door", "level", "W", 1.0, None),
            ("door", "lock", "W", 1.0, "true"), ("door", "lock", "W", 0.0, "false"),
            ("door", "state", "W", None, "open"), ("door", "state", "W", None, "shut"),
        ]  # fmt: skip
        assert [s.metric for s in store.register.series if s.switch] == ["lock"]
        [(_, text)] = store.register.texts.values()
        assert text == "shut"
        store.close()
        store = open_store(tmp_path)
    store.close()


def test_store_of_an_earlier_version_has_the_view_when_it_is_opened(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [message("door", NOW, state="open", level=3.0)])
    store.cursor().execute(
        "DROP VIEW readings; ALTER TABLE series DROP COLUMN kind; UPDATE meta SET version = 1;"
        "CREATE VIEW readings AS SELECT time, value FROM reading"
    )
    store.close()
    store = open_store(tmp_path)
    append(store, [message("door", NOW + SECOND, lock=True)])
    found = store.cursor().execute("SELECT metric, value, text FROM readings ORDER BY metric")
    assert found.fetchall() == [
        ("level", 3.0, None), ("lock", 1.0, "true"), ("state", None, "open"),
    ]  # fmt: skip
    store.close()


def test_waveforms_are_kept_in_order_when_they_take_several_statements(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    raw, decoded = message("vib", NOW)
    waves = [
        Waveform("vib", "acc.x", "g", NOW + n * SECOND, 1000.0, np.full(300_000, n, np.float32))
        for n in range(4)
    ]
    append(store, [(raw, decoded._replace(waveforms=waves))])
    kept = store.cursor().execute(
        "SELECT len(samples), samples[1], samples[300000] FROM waveform ORDER BY time"
    )
    assert kept.fetchall() == [(300_000, float(n), float(n)) for n in range(4)]
    store.close()


def test_dead_letter_is_kept_with_its_sample(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.append([], [DeadLetter(NOW, "t", "bad_json", "line 1", "json", 7, "\\x00abc")])
    found = store.cursor().execute("SELECT reason, sample, bytes FROM dead_letter").fetchall()
    assert found == [("bad_json", "\\x00abc", 7)]
    store.close()


def test_file_stays_bounded_when_rows_exceed_the_bound(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for part in range(4):
        start = NOW - (100_000 - part * 25_000) * 1_000_000
        readings = [
            Reading("a", "x", float(i), None, start + i * 1_000_000, True) for i in range(25_000)
        ]
        raw = RawMessage("t", str(part).encode(), NOW)
        append(store, [(raw, Decoded("json", "a", readings, []))])
    deleted = store.sweep(Bounds(max_age_s=86400, max_rows=50_000, max_bytes=10**9))
    left = store.cursor().execute("SELECT count(*), min(value) FROM reading").fetchone()
    assert left is not None
    assert deleted + left[0] == 100_000
    assert 35_000 <= left[0] <= 50_000
    assert store.sweep(Bounds(max_age_s=1e-6, max_rows=10**6, max_bytes=10**9)) == left[0]
    store.close()


def test_newest_readings_are_at_hand_in_order_when_the_store_is_opened_again(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    times_ns = [NOW - age_s * SECOND for age_s in range(700, -1, -10)]
    for at_ns in times_ns:
        append(store, [message("a", at_ns, x=at_ns / SECOND)])
    store.close()
    store = open_store(tmp_path)
    kept_ns, values = store.recent.rows(0, 0, NOW)
    assert kept_ns.tolist() == times_ns[-60:]
    assert values.tolist() == [at_ns / SECOND for at_ns in times_ns[-60:]]
    assert store.recent.covers(0, NOW - 600 * SECOND)
    assert not store.recent.covers(0, NOW - 610 * SECOND)
    store.close()


def test_marks_and_states_are_the_same_when_old_ones_were_swept(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for n in range(1, 6):
        marks = {"c": Mark(NOW + n * SECOND, "normal", NOW, b"c%d" % n)}
        if n == 2:
            marks["d"] = Mark(NOW + n * SECOND, state=b"d2")
        store.write_marks({"p": marks, "q": {"c": Mark(NOW, state=b"q%d" % n)}}, [])
    before = store.marks
    store.sweep(BOUNDS)
    for table, rows in (("watermark", 3), ("plugin_state", 2)):
        kept = store.cursor().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        assert kept == (rows,), table
    store.close()
    store = open_store(tmp_path)
    assert store.marks == before
    assert store.marks["p"]["d"].state == b"d2"
    store.close()


async def opened(path: Path) -> FeatureService:
    service = FeatureService(path / "weir.duckdb", {"a": "machine", "b": "machine"}, BOUNDS)
    await service.open()
    return service


async def test_window_joins_the_devices_of_an_asset_when_they_share_one(tmp_path: Path) -> None:
    service = await opened(tmp_path)
    await service.add_plugin("p", WindowSpec(length_s=3, steps=3, step_s=1.0, max_channels=3))
    items = [message("a", NOW + i * SECOND, x=float(i)) for i in (1, 2, 3)]
    items += [message("b", NOW + 2 * SECOND + 5000, y=9.0)]
    await service.append(items, [])
    windows = await service.take("p", 10)
    assert windows is not None
    assert windows.sources == ["machine"] * 2  # the first reading only begins
    assert [c.metric for c in windows.channels[1]] == ["a.x", "b.y"]
    np.testing.assert_array_equal(windows.values[1][:, 0], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(windows.values[1][:, 1], [np.nan, np.nan, 9.0])
    assert np.isnan(windows.values[1][:, 2]).all()
    assert (await service.take("p", 10)) is None
    await service.close()


async def test_sql_features_have_a_row_for_each_window_when_many_are_due(tmp_path: Path) -> None:
    service = await opened(tmp_path)
    sql = (
        "SELECT source, end_ns, avg(value) AS mean, count(*) AS n"
        " FROM \"window\" WHERE metric = 'x' GROUP BY source, end_ns"
    )
    await service.add_plugin("p", WindowSpec(length_s=2, hop_s=1, sql=sql))
    items = [message(d, NOW + i * SECOND, x=float(i)) for i in (1, 2, 3) for d in ("c", "d")]
    items += [message("e", NOW + i * SECOND, z=1.0) for i in (1, 2)]
    await service.append(items, [])
    windows = await service.take("p", 10)
    assert windows is not None
    assert windows.feature_names == ("mean", "n")
    by_window = dict(
        zip(
            zip(windows.sources, windows.end_ns - NOW, strict=True),
            windows.features.tolist(),
            strict=True,
        )
    )
    assert by_window["c", 3 * SECOND] == [2.5, 2.0]
    assert by_window["d", 2 * SECOND] == [1.5, 2.0]
    assert np.isnan(by_window["e", 2 * SECOND][0])
    await service.close()


async def test_windows_not_yet_marked_are_due_again_when_the_gateway_restarts(
    tmp_path: Path,
) -> None:
    service = await opened(tmp_path)
    spec = WindowSpec(length_s=2, steps=2, step_s=1.0)
    await service.add_plugin("p", spec)
    await service.append([message("c", NOW + i * SECOND, x=float(i)) for i in range(1, 6)], [])
    first = await service.take("p", 100)
    assert first is not None
    done = Mark(int(first.end_ns[1]), "normal", 5000, b"state")
    await service.write_marks({"p": {"c": done}}, [])
    await service.close()
    service = await opened(tmp_path)
    await service.add_plugin("p", spec)
    again = await service.take("p", 100)
    assert again is not None
    np.testing.assert_array_equal(again.end_ns, first.end_ns[2:])
    np.testing.assert_array_equal(again.values, first.values[2:])
    assert service.marks("p")["c"] == done
    await service.close()


async def test_plugin_does_not_judge_the_past_when_it_is_new(tmp_path: Path) -> None:
    service = await opened(tmp_path)
    await service.append([message("c", NOW + i * SECOND, x=1.0) for i in range(1, 6)], [])
    await service.add_plugin("late", WindowSpec())
    assert service.due("late") == 0
    await service.append([message("c", NOW + i * SECOND, x=1.0) for i in (6, 7)], [])
    assert service.due("late") == 1
    await service.close()


async def test_no_window_is_lost_when_more_are_due_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.features.service._MOST_DUE", 50)
    monkeypatch.setattr("gateway.features.service._CATCH_UP_ROWS", 70)
    service = await opened(tmp_path)
    await service.add_plugin("p", WindowSpec(length_s=1, steps=1, step_s=1.0))
    for i in range(1, 500):
        await service.append([message(d, NOW + i * SECOND, x=1.0) for d in ("c", "d")], [])
        assert service.due("p") <= 50 + 2 + 1
    seen: list[tuple[str, int]] = []
    while service.due("p"):
        windows = await service.take("p", 16)
        if windows is not None:
            seen += zip(windows.sources, (windows.end_ns - NOW).tolist(), strict=True)
    await service.append([message(d, NOW + 500 * SECOND, x=1.0) for d in ("c", "d")], [])
    assert service.due("p") == 2
    assert sorted(seen) == [(d, i * SECOND) for d in ("c", "d") for i in range(2, 500)]
    await service.close()


async def test_readings_are_told_when_they_are_older_than_what_is_kept(tmp_path: Path) -> None:
    service = await opened(tmp_path)
    day = 86_400 * SECOND
    fresh, old = message("a", NOW, x=1.0), message("b", NOW - 3 * day, x=1.0, s="t")
    both = fresh[0], fresh[1]._replace(readings=fresh[1].readings + old[1].readings)
    wave = Waveform("vib", "acc.x", "g", NOW - 2 * day, 1000.0, np.ones(4, np.float32))
    waves = old[0], Decoded("json", "vib", [], [wave])
    alive = RawMessage("t/a", b"", NOW), Decoded("json", "a", [], [])
    items = [fresh, both, waves, alive]
    assert service.too_old(items[:1], await service.append(items[:1], [])) is None
    appended = await service.append(items, [])
    found = service.too_old(items, appended)
    assert found is not None
    described = len({s.metric for s in service.register.series if s.device == "vib"}) - 1
    assert (found.messages, found.readings) == (1, 2 + described)
    assert (found.device, found.time_ns) == ("b", NOW - 3 * day)
    again = await service.append([old], [])
    assert again.duplicate == [False], "a text is never a repetition"
    repeated = service.too_old([old], again)
    assert repeated is not None
    assert (repeated.messages, repeated.readings) == (1, 1)
    await service.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM reading", "only reading is allowed, this is DELETE"),
        ("SELECT 1; DROP TABLE reading", "one statement"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("COPY reading TO '/tmp/x.csv'", "only reading"),
        ("SELECT nope FROM reading", "nope"),
    ],
)
async def test_query_is_refused_when_it_is_not_reading(
    tmp_path: Path, statement: str, reason: str
) -> None:
    service = await opened(tmp_path)
    with pytest.raises(QueryError, match=reason):
        await service.query(statement)
    assert (await service.query("SELECT 1 AS one")) == (["one"], [(1,)])
    await asyncio.sleep(0)
    await service.close()

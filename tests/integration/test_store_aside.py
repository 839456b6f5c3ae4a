"""Stores that cannot be opened, on real DuckDB files: set aside, and what can be read kept."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from prometheus_client import CollectorRegistry

from gateway.aftermath import end_when_damaged, tell_set_aside
from gateway.errors import ConfigError, StoreError
from gateway.features import Appended, Bounds, FeatureService, Mark, damage
from gateway.features.aside import Case, cases, shed
from gateway.features.columns import Item
from gateway.features.damage import Broken
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import Decoded, RawMessage, Reading, WindowSpec
from gateway.notices import FAULT, NAME, Notices
from gateway.outcomes.packet import decode
from gateway.telling import Site, Surroundings
from tests.memory_outbox import MemoryOutbox

SECOND = 1_000_000_000
NOW = time.time_ns() // SECOND * SECOND - 6 * 3600 * SECOND
BOUNDS = Bounds(max_age_s=86400, max_rows=10**8, max_bytes=10**9)
STEP = SECOND // 10  # from one reading to the next
BATCH = 2000
FILE, LOG = 70, 10
ALL = FILE + LOG
BLOCK = 262_144
FIRST_BLOCK = 12_288

MAKE = """
import asyncio, os, sys
from pathlib import Path
from tests.integration import test_store_aside as tests
tests.NOW = int(sys.argv[4])
store = asyncio.run(tests.fill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
os.kill(os.getpid(), 9)
"""


def message(number: int, device: str = "plug", **values: float) -> Item:
    at_ns = NOW + number * STEP
    readings = [Reading(device, m, v, "W", at_ns, True) for m, v in values.items()]
    raw = RawMessage(f"t/{device}", f"{number}{values}".encode(), at_ns, 1, False, False)
    return raw, Decoded("json", device, readings, [])


def service(folder: Path) -> FeatureService:
    return FeatureService(folder / "weir.duckdb", {}, BOUNDS)


async def put(store: FeatureService, batch: int) -> Appended:
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    return await store.append([message(n, f"plug-{n % 20}", x=n / 7) for n in numbers], [])


async def fill(folder: Path, in_file: int, in_log: int) -> FeatureService:
    """Store batches, the last of them in the log alone, with a mark behind each."""
    store = service(folder)
    await store.open()
    for batch in range(in_file + in_log):
        await put(store, batch)
        end_ns = NOW + (batch + 1) * BATCH * STEP
        await store.write_marks({"anomaly": {"plug-1": Mark(end_ns, "", 0, b"learned")}}, [])
        if batch == in_file - 1:
            await store.sweep()
    return store


async def filled(folder: Path) -> None:
    await (await fill(folder, 1, 0)).close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Return the file and the log of a store whose process was killed."""
    folder = tmp_path_factory.mktemp("made")
    arguments = [str(folder), str(FILE), str(LOG), str(NOW)]
    subprocess.run([sys.executable, "-c", MAKE, *arguments], check=False)
    return (folder / "weir.duckdb").read_bytes(), (folder / "weir.duckdb.wal").read_bytes()


def lay(folder: Path, file: bytes, log: bytes | None) -> None:
    (folder / "weir.duckdb").write_bytes(file)
    if log is not None:
        (folder / "weir.duckdb.wal").write_bytes(log)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


async def counted(store: FeatureService) -> int:
    return int((await store.query("SELECT count(*) FROM reading"))[1][0][0])


async def reopened(folder: Path) -> tuple[int, Mark | None]:
    """Open, store one more batch as a gateway would, and return the readings and the mark."""
    store = service(folder)
    await store.open()
    before, mark = await counted(store), store.marks("anomaly").get("plug-1")
    assert (await put(store, 1000 + before // BATCH)).readings == BATCH
    try:
        await store.sweep()
    except StoreError:  # damage that showed only now: the gateway ends, and starts anew
        assert store.damaged
        store.note_damage()
        await store.close()
        return await reopened(folder)
    assert await counted(store) == before + BATCH
    await store.close()
    return before, mark


async def test_all_is_there_when_the_process_was_killed(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    lay(tmp_path, *made)
    readings, mark = await reopened(tmp_path)
    assert (readings, mark and mark.end_ns) == (ALL * BATCH, NOW + ALL * BATCH * STEP)
    assert not cases(tmp_path)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda file: b"",
    "text": lambda file: b"no database at all\n" * 1000,
    "zeros": lambda file: bytes(len(file)),
    "truncated in its head": lambda file: file[:5000],
    "truncated in its middle": lambda file: file[: len(file) // 3],
    "flipped magic": lambda file: flipped(file, 9),
    "flipped version": lambda file: flipped(file, 12),
    "flipped first header": lambda file: flipped(file, 4100),
    "flipped first block": lambda file: flipped(file, FIRST_BLOCK + 100),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_a_store_is_set_aside_and_a_new_one_begun_when_it_cannot_be_opened(
    tmp_path: Path, made: tuple[bytes, bytes], what: str
) -> None:
    file = DAMAGES[what](made[0])
    lay(tmp_path, file, made[1])
    await reopened(tmp_path)
    (case,) = cases(tmp_path)
    assert (case.what, case.told) == ("store", False)
    assert (case.folder / "weir.duckdb").read_bytes() == file
    assert (case.folder / "weir.duckdb.wal").read_bytes().startswith(made[1])
    assert case.error
    assert case.files["weir.duckdb"]["bytes"] == len(file)
    assert (await reopened(tmp_path))[0] % BATCH == 0
    assert len(cases(tmp_path)) == 1


async def test_what_can_be_read_is_kept_whichever_block_is_damaged(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    """Learned states and marks survive damage among the readings, which are most of the blocks."""
    file = made[0]
    kept: list[tuple[int, Mark | None]] = []
    for number, at in enumerate(range(FIRST_BLOCK + BLOCK + 4096, len(file), 2 * BLOCK)):
        folder = tmp_path / str(number)
        folder.mkdir()
        lay(folder, flipped(file, at), made[1])
        kept.append(await reopened(folder))
        found = cases(folder)
        assert len(found) <= 1
        if found and found[0].salvaged and "reading" in found[0].salvaged.lost:
            lost = found[0].salvaged.lost["reading"]
            assert kept[-1][0] in {ALL * BATCH - lost, (ALL + 1) * BATCH - lost}, (
                "each portion is there or counted as lost"
            )
    partly = [mark for readings, mark in kept if 0 < readings < ALL * BATCH]
    assert partly, kept
    assert all(mark and mark.state == b"learned" for mark in partly)


async def test_only_the_rest_of_the_log_is_lost_when_an_entry_of_it_is_damaged(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    file, log = made
    lay(tmp_path, file, flipped(log, len(log) // 2))
    readings, mark = await reopened(tmp_path)
    assert (FILE + 2) * BATCH <= readings <= (ALL - 2) * BATCH
    assert mark
    assert (mark.end_ns - NOW) // (BATCH * STEP) in {readings // BATCH, readings // BATCH - 1}
    (case,) = cases(tmp_path)
    assert case.what == "log"
    assert len(log) // 3 < case.lost_bytes <= len(log) * 2 // 3
    assert (case.folder / "weir.duckdb.wal").read_bytes() == flipped(log, len(log) // 2)


@pytest.mark.parametrize("at", [0, 4, 5, 14])
async def test_a_log_that_duckdb_would_leave_out_without_a_word_is_set_aside(
    tmp_path: Path, made: tuple[bytes, bytes], at: int
) -> None:
    """Its beginning, and the size of an entry: to DuckDB the end of what was written."""
    file, log = made
    lay(tmp_path, file, flipped(log, at))
    assert (await reopened(tmp_path))[0] == FILE * BATCH
    (case,) = cases(tmp_path)
    assert (case.what, case.files["weir.duckdb.wal"]["bytes"]) == ("log", len(log))


async def test_nothing_is_set_aside_when_a_power_cut_broke_the_last_write_off(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    file, log = made
    lay(tmp_path, file, log[:-1000])
    assert (await reopened(tmp_path))[0] >= (ALL - 1) * BATCH
    assert not cases(tmp_path)


def test_the_log_is_read_as_this_duckdb_writes_it(
    made: tuple[bytes, bytes], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_bytes(made[1])
    assert damage.in_log(log) is None
    log.write_bytes(b"x" + made[1][1:])
    assert damage.in_log(log) == Broken(0, "the log does not begin as a log does")
    log.write_bytes(b"")
    assert damage.in_log(log) is None


async def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = await fill(tmp_path, 1, 0)
    await store.close()
    with duckdb.connect(str(tmp_path / "weir.duckdb")) as connection:
        connection.execute("UPDATE meta SET version = 99, oldest_reader = 99")
    before = (tmp_path / "weir.duckdb").read_bytes()
    with pytest.raises(ConfigError, match="Install the newer version"):
        await service(tmp_path).open()
    assert (tmp_path / "weir.duckdb").read_bytes() == before
    assert not cases(tmp_path)


def test_a_store_that_another_process_has_open_is_left_alone(tmp_path: Path) -> None:
    asyncio.run(filled(tmp_path))
    code = "import duckdb,sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "weir.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(StoreError, match="lock"):
            asyncio.run(service(tmp_path).open())
        other.send_signal(signal.SIGKILL)
    assert not cases(tmp_path)
    assert asyncio.run(reopened(tmp_path))[0] == BATCH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('IO Error: Could not write file "w": No space left on device', False),
        ('IO Error: Cannot open file "w": Read-only file system', False),
        ('IO Error: Cannot open file "w": Permission denied', False),
        ("IO Error: Failure while replaying WAL file: No space left on device", False),
        ('IO Error: Could not sync file "w": Input/output error', False),
        ('IO Error: Could not read from file "w": Input/output error', True),
        ("Catalog Error: Table with name reading does not exist!", True),
    ],
)
def test_it_is_damage_when_the_file_is_what_is_wrong(text: str, expected: bool) -> None:
    assert damage.is_damage(duckdb.IOException(text)) == expected


async def test_the_files_of_the_newest_alone_are_kept_when_it_happens_often(tmp_path: Path) -> None:
    for number in range(4):
        lay(tmp_path, b"no database %d" % number, None)
        await reopened(tmp_path)
    found = cases(tmp_path)
    assert len(found) == 4, "that it happened is not forgotten"
    assert [(case.folder / "weir.duckdb").exists() for case in found] == [False, False, True, True]
    assert shed(tmp_path) == 2 * len(b"no database 0")
    assert not any((case.folder / "weir.duckdb").exists() for case in found)
    assert len(cases(tmp_path)) == 4


async def test_what_was_read_is_brought_over_when_the_gateway_was_killed_before(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    lay(tmp_path, made[0], made[1])
    store = service(tmp_path)
    (tmp_path / "weir.duckdb.damaged").write_text("Corrupt database file")
    await store.open()
    await store.close()
    (case,) = cases(tmp_path)
    assert case.salvaged
    assert case.salvaged.rows["reading"] == ALL * BATCH
    reason = case.folder / "reason.json"
    reason.write_text(json.dumps(json.loads(reason.read_text()) | {"salvaged": None}))
    (tmp_path / "weir.duckdb").unlink()
    assert (await reopened(tmp_path))[0] == ALL * BATCH
    assert len(cases(tmp_path)) == 1


SPEC = WindowSpec(length_s=2.0, hop_s=1.0, metrics=("x",), rows=8)


async def windows(store: FeatureService) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while taken := await store.take("p", 100):
        found += zip(taken.sources, taken.end_ns.tolist(), strict=True)
    return sorted(found)


async def test_the_store_goes_on_when_duckdb_has_given_it_up(tmp_path: Path) -> None:
    """A checkpoint that fails is fatal to DuckDB, and so is a commit that comes to one."""
    untouched, hit = tmp_path / "untouched", tmp_path / "hit"
    ends = []
    for folder in (untouched, hit):
        folder.mkdir()
        store = service(folder)
        await store.open()
        await store.add_plugin("p", SPEC)
        await put(store, 0)
        if folder == hit:
            store._store._connection.execute("SET debug_checkpoint_abort = 'before_header'")
            with pytest.raises(StoreError, match="checkpoint"):
                await store.sweep()
        again = await put(store, 1)
        assert (again.readings, again.duplicate_readings) == (BATCH, 0)
        if folder == hit:
            connection = store._store._connection
            connection.execute("SET debug_checkpoint_abort = 'before_header'")
            connection.execute("SET wal_autocheckpoint = '1KB'")
            with pytest.raises(StoreError):
                await put(store, 2)
        for batch in (2, 3):
            await put(store, batch)
        assert await counted(store) == 4 * BATCH, "once each, whether the commit had held or not"
        ends.append(await windows(store))
        await store.close()
        assert (await reopened(folder))[0] == 4 * BATCH
    assert ends[0] == ends[1]
    assert len(ends[0]) > 20
    assert not cases(hit)


async def test_a_store_that_shows_damage_while_it_is_open_is_set_aside_at_the_next_start(
    tmp_path: Path, made: tuple[bytes, bytes]
) -> None:
    lay(tmp_path, made[0], made[1])
    store = service(tmp_path)
    await store.open()
    watch = asyncio.create_task(end_when_damaged(store))
    await asyncio.sleep(0)
    content = (tmp_path / "weir.duckdb").read_bytes()
    with (tmp_path / "weir.duckdb").open("r+b") as file:  # blocks that were not read yet
        for at in range(FIRST_BLOCK + 4096, len(content), BLOCK):
            os.pwrite(file.fileno(), bytes(4096), at)
    with pytest.raises(StoreError):
        await store._on_store(store._store.rows, 0, 0, 2**62)
    with pytest.raises(StoreError, match="damaged; ending"):
        await asyncio.wait_for(watch, 5)
    await store.close()
    await reopened(tmp_path)
    (case,) = cases(tmp_path)
    assert case.what == "store"
    assert not (tmp_path / "weir.duckdb.damaged").exists()


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox(10**6)


async def told(folder: Path, outbox: MemoryOutbox) -> FeatureService:
    """Run the parts that tell of it, until all is told."""
    store = service(folder)
    await store.open()
    around = Surroundings(
        site=Site("gw-1"),
        store=store,
        outbox=outbox,
        panel=lambda _topic, _payload: None,
        ledger=Ledger(),
        latencies=Latencies(CollectorRegistry()),
    )
    notices = Notices(around)
    running = [
        asyncio.create_task(notices.run()),
        asyncio.create_task(tell_set_aside(folder, notices, "gw-1")),
    ]
    async with asyncio.timeout(10):
        while not all(case.told for case in cases(folder)):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.05)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    marks, sent = notices.telling.settled()
    await store.write_marks({NAME: marks}, sent)
    return store


async def test_an_outcome_says_so_once_when_a_store_was_set_aside(
    tmp_path: Path, outbox: MemoryOutbox
) -> None:
    for number in range(1, 3):  # the second time it has the same label, and is told all the same
        lay(tmp_path, b"no database", None)
        await (await told(tmp_path, outbox)).close()
        assert len(outbox.stored) == number
        await (await told(tmp_path, outbox)).close()
        assert len(outbox.stored) == number, "not after a restart again"
    packet = decode(next(iter(outbox.stored.values())).payload)
    assert (packet.kind, packet.label, packet.source) == (FAULT, "store-set-aside", "gw-1")


async def test_it_has_the_same_id_when_the_gateway_was_killed_before_it_noted_that_it_told(
    tmp_path: Path, outbox: MemoryOutbox
) -> None:
    lay(tmp_path, b"no database", None)
    await (await told(tmp_path, outbox)).close()
    (case,) = cases(tmp_path)
    reason = case.folder / "reason.json"
    for lost in (False, True):  # with the mark that it was told, and without it
        reason.write_text(json.dumps(json.loads(reason.read_text()) | {"told": False}))
        if lost:
            (tmp_path / "weir.duckdb").unlink()
        await (await told(tmp_path, outbox)).close()
        assert len(outbox.stored) == 1
    assert isinstance(cases(tmp_path)[0], Case)

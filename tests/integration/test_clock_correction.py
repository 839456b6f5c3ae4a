"""What the store makes of a clock that is set right: with real DuckDB files."""

from pathlib import Path

import numpy as np

from gateway.clock import BoxClock, Change, Standing
from gateway.features import Bounds, FeatureService, Item, Mark
from gateway.model import Decoded, RawMessage, Reading, Waveform, WindowSpec
from tests.fake_system import DAY, NOW, SECOND, YEAR, FakeSystem

BOUNDS = Bounds(max_age_s=86_400, max_rows=10**7, max_bytes=10**9)
SPEC = WindowSpec(length_s=2, steps=2, step_s=1.0)


class Box:
    """A store, and the clock of the box on which it is."""

    def __init__(self, path: Path, system: FakeSystem) -> None:
        self.path = path
        self.system = system

    async def start(self) -> "Box":
        self.clock = BoxClock(self.system, follow_after_s=1)
        self.store = FeatureService(self.path / "weir.duckdb", {}, BOUNDS, self.clock)
        await self.store.open()
        return self

    async def hear(self, device: str, own_ns: int | None = None, text: str = "on") -> None:
        """Have a device speak, a second after what was heard last."""
        self.system.pass_s(1)
        at_ns = self.clock.now_ns() if own_ns is None else own_ns
        readings = [
            Reading(device, "x", 1.5, None, at_ns, own_ns is not None),
            Reading(device, "mode", text, None, at_ns, own_ns is not None),
        ]
        wave = Waveform(device, "acc", "g", at_ns, 10.0, np.ones(4, np.float32))
        raw = RawMessage(f"t/{device}", str(at_ns).encode(), self.clock.now_ns(), 1)
        item: Item = raw, Decoded("json", device, readings, [wave])
        await self.store.append([item], [])

    async def take(self) -> list[int]:
        """Evaluate what is due, and return the windows' ends."""
        windows = await self.store.take("p", 100)
        if windows is None:
            return []
        for source, end_ns in zip(windows.sources, windows.end_ns.tolist(), strict=True):
            await self.store.write_marks({"p": {source: Mark(end_ns, "l", end_ns, b"s")}}, [])
        return [int(end_ns) for end_ns in windows.end_ns]

    async def follow(self) -> int:
        """Look until the clock is to be moved, and move it; return how many rows moved with it."""
        for _ in range(5):
            self.system.pass_s(1)
            change = self.clock.look()
            if change and change.step_ns:
                return await self.store.move(change)
            if change:
                await self.store.write_era(change)
        raise AssertionError("nothing is followed")

    async def times(self, table: str = "reading", metric: str = "x") -> list[int]:
        _, rows = await self.store.query(
            f"SELECT epoch_us(time) * 1000 FROM {table} JOIN series ON series = id"  # noqa: S608
            f" WHERE metric = '{metric}' ORDER BY {table}.rowid"
        )
        return [at_ns for (at_ns,) in rows]


async def test_what_was_stamped_before_the_clock_was_set_is_corrected(tmp_path: Path) -> None:
    box = await Box(tmp_path, FakeSystem(wall_ns=0)).start()
    await box.store.add_plugin("p", SPEC)
    began_ns = box.clock.now_ns()
    for _ in range(4):
        await box.hear("c")
    first = await box.take()
    assert len(first) == 3
    assert box.clock.standing is Standing.UNSET
    await box.store.close()
    await box.start()  # it does not know better, and forgets nothing
    await box.store.add_plugin("p", SPEC)
    assert await box.take() == []
    await box.hear("c")
    assert len(await box.take()) == 1
    box.system.wall_ns, box.system.synced = NOW, True
    assert (
        await box.follow() == 25
    )  # of each message: a number, a text, a waveform and what describes it
    right = [began_ns + i * SECOND + box.clock.moved_since_ns(0) for i in range(1, 6)]
    for table, metric in (("reading", "x"), ("text_reading", "mode"), ("waveform", "acc")):
        assert [at // 1000 for at in await box.times(table, metric)] == [at // 1000 for at in right]
    device = box.store.register.devices["c"]
    assert (device.first_seen_ns, device.last_seen_ns) == (right[0], right[-1])
    assert box.store.last(0) == (right[-1] // 1000 * 1000, 1.5)
    assert await box.take() == [], "no window comes twice"
    await box.hear("c")
    assert len(await box.take()) == 1
    assert (await box.store.query("SELECT DISTINCT era FROM reading ORDER BY 1"))[1] == [(0,), (1,)]
    await box.store.close()
    await box.start()
    await box.store.add_plugin("p", SPEC)
    assert await box.take() == [], "nor after the next start"
    assert box.store.marks("p")["c"].state == b"s"
    await box.store.close()


async def test_own_times_stay_when_the_clock_is_corrected(tmp_path: Path) -> None:
    box = await Box(tmp_path, FakeSystem(wall_ns=NOW - 3600 * SECOND)).start()
    await box.store.add_plugin("p", SPEC)
    own = [box.system.wall_ns + i * SECOND - 5 * SECOND for i in range(3)]
    for at_ns in own:
        await box.hear("own", at_ns)
        await box.hear("plain")
    marked = await box.take()
    mark = box.store.marks("p")["own"]
    assert len(marked) > 2
    box.system.wall_ns += 3600 * SECOND
    await box.follow()
    own_times = await box.store.query(
        "SELECT epoch_us(time) * 1000 FROM readings"
        " WHERE device = 'own' AND metric = 'x' ORDER BY 1"
    )
    assert [at_ns for (at_ns,) in own_times[1]] == own
    assert box.store.marks("p")["own"] == mark
    assert box.store.marks("p")["plain"].end_ns > mark.end_ns + 3500 * SECOND
    await box.store.close()


async def test_windows_go_on_at_once_when_a_step_back_leaves_times_in_the_future(
    tmp_path: Path,
) -> None:
    system = FakeSystem(wall_ns=NOW + YEAR, synced=True)  # somebody keeps it, and wrong
    box = await Box(tmp_path, system).start()
    await box.store.add_plugin("p", SPEC)
    for i in range(3):
        await box.hear("c")
        await box.hear("own", system.wall_ns + i * SECOND)
    assert await box.take()
    notice = Mark(box.clock.now_ns(), "disk-full", box.clock.now_ns())
    await box.store.write_marks({"weir": {"gateway-fault/gw": notice}}, [])
    system.wall_ns -= YEAR
    await box.follow()
    now_ns = box.clock.now_ns()
    assert max(await box.times()) <= now_ns
    assert box.store.marks("weir")["gateway-fault/gw"].end_ns <= now_ns
    assert box.store.marks("weir")["gateway-fault/gw"].label == "disk-full"
    for _ in range(2):
        await box.hear("c")
        await box.hear("own", box.clock.now_ns())
    ends = await box.take()
    assert len(ends) == 4
    assert max(ends) <= box.clock.now_ns()
    await box.store.close()


async def test_all_is_as_before_when_a_step_is_followed_and_undone(tmp_path: Path) -> None:
    for step_ns in (YEAR, -YEAR):
        (folder := tmp_path / str(step_ns)).mkdir()
        box = await Box(folder, FakeSystem()).start()
        await box.store.add_plugin("p", SPEC)
        for _ in range(3):
            await box.hear("c")
            await box.hear("own", box.system.wall_ns)
        ends = sorted(await box.take())
        before = await box.times(), box.store.marks("p")
        box.system.wall_ns += step_ns
        await box.follow()
        assert await box.take() == []
        await box.store.sweep()
        box.system.wall_ns -= step_ns
        await box.follow()
        await box.store.sweep()
        assert box.store.swept == 0
        assert (await box.times(), box.store.marks("p")) == before
        await box.hear("c")
        assert min(await box.take()) > max(ends)
        await box.store.close()


async def test_nothing_is_swept_or_too_old_when_the_clock_jumps_ahead(tmp_path: Path) -> None:
    box = await Box(tmp_path, FakeSystem(synced=True)).start()
    await box.hear("c")
    box.system.synced = False
    box.system.wall_ns += YEAR
    await box.follow()
    await box.store.sweep()
    assert (len(await box.times()), box.store.swept) == (1, 0)
    own = Reading("own", "x", 1.0, None, NOW, True)
    item: Item = RawMessage("t/own", b"", box.clock.now_ns()), Decoded("json", "own", [own], [])
    assert box.store.too_old([item], await box.store.append([item], [])) is None
    await box.store.close()
    await box.start()
    await box.store.sweep()
    assert box.store.swept == 0
    box.system.pass_s(2 * DAY / SECOND)
    await box.store.sweep()
    assert box.store.swept == 4, "a day has passed, whatever the clock says"
    await box.store.close()


async def test_the_correction_is_done_once_when_the_gateway_is_killed_around_it(
    tmp_path: Path,
) -> None:
    box = await Box(tmp_path, FakeSystem(wall_ns=0)).start()
    await box.hear("c")
    box.system.wall_ns, box.system.synced = NOW, True
    await box.store.close()
    await box.start()  # killed before it
    await box.follow()
    (at_ns,) = await box.times()
    await box.store.close()
    await box.start()  # and after it
    box.system.pass_s(1)
    change = box.clock.look()
    assert change == Change(box.clock.era, 0) or change is None
    assert await box.times() == [at_ns]
    assert abs(box.clock.now_ns() - box.system.wall_ns) < SECOND
    await box.store.close()


async def test_the_correction_is_done_once_when_the_store_failed_to_say_that_it_was(
    tmp_path: Path,
) -> None:
    box = await Box(tmp_path, FakeSystem(wall_ns=0)).start()
    await box.hear("c")
    box.system.wall_ns, box.system.synced = NOW, True
    was = Change(box.clock.era, 0)
    await box.follow()
    before = await box.times()
    box.clock.begin(was)  # as if the answer to the commit had been lost
    await box.follow()
    assert await box.times() == before
    assert abs(box.clock.now_ns() - box.system.wall_ns) < SECOND
    await box.store.close()


async def test_a_plugin_that_is_new_in_doubt_does_not_judge_the_past_later(tmp_path: Path) -> None:
    box = await Box(tmp_path, FakeSystem(wall_ns=0)).start()
    for _ in range(3):
        await box.hear("c")
    await box.store.add_plugin("p", SPEC)
    box.system.wall_ns, box.system.synced = NOW, True
    await box.follow()
    assert await box.take() == []
    for _ in range(3):
        await box.hear("c")
    assert len(await box.take()) == 2
    await box.store.close()

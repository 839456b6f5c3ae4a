"""What the guard makes of devices, against a real store; its clock is ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.config import DevicesSection
from gateway.devices import Guard, Surrounding
from gateway.devices.memory import FILE
from gateway.features import Bounds, FeatureService
from gateway.ingest import Inbox
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import Decoded, RawMessage, Reading
from gateway.notices import NAME, Notices
from gateway.outcomes.packet import PacketContent, decode
from gateway.presence import ONLINE, Presence
from gateway.telling import Site, Surroundings
from tests.memory_outbox import MemoryOutbox

EPOCH_NS = 1_800_000_000 * 10**9
POLICY = DevicesSection(learn_s=60, limit_after_s=3, quarantine_after_s=5)


class Box:
    """A gateway's guard, store and notices, and a clock that is turned by hand."""

    def __init__(self, folder: Path, around: Surroundings) -> None:
        self.folder = folder
        self.around = around
        self.now_s = 1000.0
        self.link: int | None = 1
        self.cameras: dict[str, bool] = {}
        self.start()

    def start(self) -> None:
        """Begin, or begin again, with what was kept."""
        self.inbox = Inbox(Ledger(), 1000, 1_000_000)
        self.presence = Presence()
        self.notices = Notices(self.around)
        self.guard = Guard(
            Surrounding(
                gateway="gw-1",
                policy=POLICY,
                store=self.around.store,
                inbox=self.inbox,
                presence=self.presence,
                notices=self.notices,
                link=lambda: self.link,
                cameras=lambda: self.cameras,
                device_of=lambda topic: topic.partition("/")[2] or None,
                path=self.folder / FILE,
                clock=self.around.clock,
            )
        )

    @property
    def now_ns(self) -> int:
        return EPOCH_NS + int(self.now_s * 1e9)

    async def say(self, *devices: str, online: bool | None = None) -> None:
        """Have devices speak once."""
        items = []
        for device in devices:
            raw = RawMessage(f"t/{device}", b"", self.now_ns, 1)
            metric, value = ("m", 1.0) if online is None else (ONLINE, online)
            decoded = Decoded("p", device, [Reading(device, metric, value, None, self.now_ns)], [])
            if self.inbox.put(raw) and not self.guard.keeper.refuses(raw, decoded):
                items.append((raw, decoded))
        await self.around.store.append(items, [])

    def look(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.guard.look(self.now_s, self.now_ns)

    def wait(self, seconds: int) -> None:
        """Let time pass in which nobody speaks."""
        for _ in range(seconds):
            self.look()

    async def say_each(self, interval_s: int, times: int, *devices: str) -> None:
        """Have devices speak in a regular rhythm."""
        for _ in range(times):
            await self.say(*devices)
            self.wait(interval_s)

    async def told(self) -> list[PacketContent]:
        """Return what was told since the start of the test, once it is written."""
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.notices.run())
            while not self.notices.telling.is_idle:  # noqa: ASYNC110 - plain state
                await asyncio.sleep(0.01)
            running.cancel()
        moved, sent = self.notices.telling.settled()
        await self.around.store.write_marks({NAME: moved}, sent)
        self.notices.telling.written(moved, sent)
        assert isinstance(self.around.outbox, MemoryOutbox)
        return [decode(packet.payload) for packet in self.around.outbox.stored.values()]

    async def labels(self) -> list[tuple[str, str]]:
        return [(content.source, content.label) for content in await self.told()]


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    store = FeatureService(tmp_path / "weir.duckdb", {}, Bounds(1e9, 10**6, 10**9))
    await store.open()
    around = Surroundings(
        site=Site("gw-1"),
        store=store,
        outbox=MemoryOutbox(10**6),
        panel=lambda _topic, _payload: None,
        ledger=Ledger(),
        latencies=Latencies(CollectorRegistry()),
    )
    made = Box(tmp_path, around)
    made.look()
    yield made
    await store.close()


async def test_regular_device_is_told_once_when_it_falls_silent_and_once_when_it_is_back(
    box: Box,
) -> None:
    await box.say_each(20, 40, "a", "b")
    for _ in range(15):
        await box.say_each(20, 1, "b")
    [told] = await box.told()
    assert (told.source, told.kind, told.label) == ("a", "device-silent", "silent")
    assert told.numbers["usual_s"] == pytest.approx(20, abs=0.1)
    assert 200 <= told.numbers["silent_s"] <= 230
    assert box.guard.silent() == ["a"]
    box.guard.look(box.now_s, box.now_ns)
    await box.say("a")
    box.wait(6)
    assert await box.labels() == [("a", "silent"), ("a", "back")]
    assert box.guard.silent() == []


async def test_device_that_fell_silent_is_told_once_when_the_gateway_was_restarted(
    box: Box,
) -> None:
    await box.say_each(20, 40, "a", "b")
    box.wait(300)
    assert await box.labels() == [("a", "silent"), ("b", "silent")]
    box.guard._save()
    box.now_s += 3600
    box.start()
    box.wait(400)
    assert await box.labels() == [("a", "silent"), ("b", "silent")], "not twice, and not back"
    await box.say("b")
    box.wait(6)
    assert (await box.labels())[2:] == [("b", "back")]


async def test_device_that_died_while_the_gateway_was_away_is_told_after_its_interval(
    box: Box,
) -> None:
    await box.say_each(20, 40, "a")
    box.guard._save()
    box.now_s += 3600
    box.start()
    box.wait(190)
    assert await box.labels() == []
    box.wait(30)
    assert await box.labels() == [("a", "silent")]


async def test_nobody_is_silent_when_the_broker_or_the_gateway_was_away(box: Box) -> None:
    await box.say_each(20, 40, "a", "b", "c")
    box.link = None
    box.wait(1000)
    box.link = 2
    box.wait(150)
    await box.say("a", "b", "c")
    box.look()
    box.look(600)  # the gateway was stopped
    box.wait(150)
    assert await box.labels() == []
    box.wait(100)
    assert len(await box.labels()) == 3


async def test_a_whole_site_is_told_as_one_when_it_falls_silent(box: Box) -> None:
    names = [f"d{n}" for n in range(200)]
    await box.say_each(20, 40, *names)
    box.wait(300)
    told = await box.told()
    assert len(told) == 21
    assert (told[-1].source, told[-1].label, told[-1].numbers) == (
        "gw-1",
        "silent",
        {"devices": 180},
    )
    assert len(box.guard.silent()) == 200
    await box.say(*names)
    box.wait(6)
    assert [label for label in await box.labels() if label == ("gw-1", "back")] == [
        ("gw-1", "back")
    ]
    assert box.guard.silent() == []


async def test_last_will_counts_at_once_and_its_children_do_not_speak_for_themselves(
    box: Box,
) -> None:
    box.presence.parents["child"] = "hub"
    await box.say("hub", "child")
    box.look()
    await box.say("hub", online=True)
    box.look()
    await box.say("hub", online=False)
    box.wait(6)
    assert await box.labels() == [("hub", "silent")]
    await box.say("hub")  # values are repeated, the word counts
    box.wait(6)
    assert await box.labels() == [("hub", "silent")]
    await box.say("hub", online=True)
    box.wait(6)
    assert await box.labels() == [("hub", "silent"), ("hub", "back")]


async def test_what_the_profile_allows_counts_for_a_device_without_a_rhythm(box: Box) -> None:
    box.presence.expires_s["a"] = 30.0
    await box.say("a", "b")
    box.wait(4)
    await box.say("a", "b")
    box.wait(28)
    assert await box.labels() == []
    box.wait(10)
    assert await box.labels() == [("a", "silent")]


async def test_camera_is_told_when_it_gives_no_picture_for_long(box: Box) -> None:
    box.cameras = {"gate": True, "hall": True}
    box.wait(10)
    box.cameras["gate"] = False
    box.wait(110)
    assert await box.labels() == []
    box.wait(30)
    box.cameras["gate"] = True
    box.wait(10)
    told = await box.told()
    assert [(each.kind, each.source, each.label) for each in told] == [
        ("camera-silent", "gate", "silent"),
        ("camera-silent", "gate", "back"),
    ]


async def shout(box: Box, seconds: int) -> None:
    for _ in range(seconds):
        await box.say(*["loud"] * 400, "calm")
        box.look()


async def test_loud_device_stays_in_quarantine_over_a_restart_until_it_is_released(
    box: Box,
) -> None:
    await box.say_each(1, 70, "loud", "calm")
    await shout(box, 10)
    told = await box.told()
    assert [(each.source, each.label) for each in told] == [
        ("loud", "limited"),
        ("loud", "quarantined"),
    ]
    assert told[0].numbers["rate_hz"] == 400
    assert told[0].numbers["usual_hz"] == pytest.approx(1, abs=0.2)
    assert box.inbox.gate.keys() == {"t/loud"}
    box.guard._save()

    box.start()
    assert [(each["device"], each["state"]) for each in box.guard.cases()] == [
        ("loud", "quarantined")
    ]
    before = box.around.store.register.devices["loud"].messages
    await shout(box, 5)
    assert box.around.store.register.devices["loud"].messages == before
    assert box.around.store.register.devices["calm"].messages == 85
    assert box.guard.release("loud")
    assert not box.guard.release("loud")
    await box.say("loud")
    assert box.around.store.register.devices["loud"].messages == before + 1
    assert (await box.labels())[2:] == [("loud", "released")]


async def test_quarantined_device_is_not_silent_and_is_released_when_it_behaves(box: Box) -> None:
    await box.say_each(1, 70, "loud")
    await shout(box, 10)
    box.wait(605)
    assert await box.labels() == [
        ("loud", "limited"),
        ("loud", "quarantined"),
        ("loud", "released"),
    ]


async def test_backlog_is_no_offence_when_the_device_was_away(box: Box) -> None:
    await box.say_each(1, 100, "a")
    box.wait(3000)
    for _ in range(10):
        await box.say(*["a"] * 600)
        box.look()
    assert [label for label in await box.labels() if label[1] == "limited"] == []
    assert box.around.store.register.devices["a"].messages == 6100

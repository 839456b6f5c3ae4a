"""What is kept from the others before it is decoded."""

import pytest

from gateway.devices.gatekeeper import Gatekeeper
from gateway.ingest import Inbox
from gateway.ledger import Ledger
from gateway.model import Decoded, RawMessage, Reading

NOW = 1_800_000_000 * 10**9


def message(topic: str, qos: int = 0) -> RawMessage:
    return RawMessage(topic, b"x", NOW, qos)


def decoded(device: str, time_ns: int = NOW, *, own_time: bool = False) -> Decoded:
    return Decoded("p", device, [Reading(device, "m", 1.0, None, time_ns, own_time)], [])


def device_of(topic: str) -> str | None:
    """Return what topics under ``own`` say; those under ``shared`` say nothing."""
    kind, _, name = topic.partition("/")
    return name.partition("/")[0] if kind == "own" else None


@pytest.fixture
async def inbox() -> Inbox:
    return Inbox(Ledger(), 100, 10_000)


@pytest.fixture
def keeper(inbox: Inbox) -> Gatekeeper:
    return Gatekeeper(inbox, device_of)


def ledger(inbox: Inbox) -> Ledger:
    return inbox._ledger


async def test_topics_of_a_loud_device_are_closed_at_the_gate_and_no_others(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.watch("loud")
    for topic in ("own/loud/a", "own/loud/b", "own/calm/a"):
        assert not keeper.refuses(message(topic), decoded(device_of(topic) or ""))
    keeper.limit("loud", 2)
    let_in = [inbox.put(message("own/loud/a", qos=n % 2)) for n in range(5)]
    assert let_in == [True, True, False, False, False]
    assert not inbox.put(message("own/loud/b"))
    assert inbox.put(message("own/calm/a"))
    assert ledger(inbox).quarantined == {"loud": 4}
    assert ledger(inbox).received == 7
    assert ledger(inbox).in_hand() == 3
    keeper.limit("loud", 1)
    assert inbox.put(message("own/loud/b"))
    keeper.free("loud")
    assert not inbox.gate
    assert all(inbox.put(message("own/loud/a")) for _ in range(5))


async def test_only_the_loud_device_is_refused_when_it_shares_a_topic(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.limit("loud", 0)
    shared = message("shared/all")
    assert inbox.put(shared)
    assert keeper.refuses(shared, decoded("loud"))
    assert inbox.put(shared)
    assert not keeper.refuses(shared, decoded("calm"))
    assert not inbox.gate
    assert ledger(inbox).quarantined == {"loud": 1}
    assert ledger(inbox).in_hand() == 1


async def test_a_new_topic_of_a_quarantined_device_is_closed_when_it_comes(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.limit("loud", 0)  # as after a restart: no topic is known
    first = message("own/loud/new")
    assert inbox.put(first)
    assert keeper.refuses(first, decoded("loud"))
    assert not inbox.put(first)
    assert ledger(inbox).quarantined == {"loud": 2}
    assert ledger(inbox).in_hand() == 0


async def test_what_a_device_brings_late_is_counted_when_it_says_so(keeper: Gatekeeper) -> None:
    watched = keeper.watch("d")
    topic = message("own/d/a")
    keeper.refuses(topic, decoded("d", NOW - 61 * 10**9, own_time=True))
    keeper.refuses(topic, decoded("d", NOW - 59 * 10**9, own_time=True))
    keeper.refuses(topic, decoded("d", NOW - 61 * 10**9))
    assert watched.late == 1


async def test_garbage_on_a_topic_without_a_device_is_closed_by_its_topic(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    assert keeper.name("shared/x") == "shared/x"
    assert keeper.name("own/d/x") == "d"
    watched = keeper.watch("shared/x")
    keeper.note_bad("shared/x", "shared/x")
    assert not keeper.refuses(message("shared/x"), decoded("somebody"))
    assert watched.good == 1
    keeper.limit("shared/x", 0)
    assert not inbox.put(message("shared/x"))
    assert inbox.put(message("shared/y"))


async def test_topics_are_bounded_when_a_device_makes_them_up(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.limit("loud", 0)
    for n in range(1500):
        assert keeper.refuses(message(f"own/loud/{n}"), decoded("loud"))
    assert len(inbox.gate) == 1000


async def test_others_need_not_wait_behind_what_came_before_it_was_limited(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.watch("loud")
    keeper.refuses(message("own/loud/a"), decoded("loud"))
    for n in range(20):
        inbox.put(message("own/loud/a", qos=n // 19))
        inbox.put(message("own/calm/a"))
    keeper.limit("loud", 0)
    taken = await inbox.take(100)
    assert [each.topic for each in taken] == ["own/loud/a"] + ["own/calm/a"] * 20
    assert taken[0].qos == 1, "it is acknowledged once it is stored"
    assert ledger(inbox).quarantined == {"loud": 19}
    assert ledger(inbox).in_hand() == 21


async def test_nothing_is_taken_when_all_that_waited_was_let_go(
    inbox: Inbox, keeper: Gatekeeper
) -> None:
    keeper.watch("loud")
    keeper.refuses(message("own/loud/a"), decoded("loud"))
    inbox.put(message("own/loud/a"))
    keeper.limit("loud", 0)
    assert await inbox.take(100) == []
    inbox.put(message("own/calm/a"))
    assert len(await inbox.take(100)) == 1

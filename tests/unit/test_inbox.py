import asyncio

from gateway.ingest import Inbox
from gateway.ledger import Ledger
from gateway.model import RawMessage


def message(number: int, qos: int = 0, topic: str = "a/b", size_bytes: int = 1) -> RawMessage:
    return RawMessage(topic, b"x" * size_bytes, number, qos, message_id=number if qos else 0)


def numbers(messages: list[RawMessage]) -> list[int]:
    return [each.received_ns for each in messages]


async def test_all_is_taken_in_order_when_there_is_room() -> None:
    inbox = Inbox(Ledger(), 10, 1000)
    for n in range(5):
        inbox.put(message(n))
    assert numbers(await inbox.take(3)) == [0, 1, 2]
    assert numbers(await inbox.take(3)) == [3, 4]
    assert len(inbox) == 0


async def test_take_waits_when_there_is_nothing() -> None:
    inbox = Inbox(Ledger(), 10, 1000)
    taking = asyncio.create_task(inbox.take(10))
    await asyncio.sleep(0.02)
    assert not taking.done()
    await asyncio.to_thread(inbox.put, message(1))
    assert numbers(await asyncio.wait_for(taking, 2.0)) == [1]
    again = asyncio.create_task(inbox.take(10))
    await asyncio.sleep(0.02)
    assert not again.done()
    again.cancel()


async def test_take_goes_on_when_its_limit_left_some() -> None:
    inbox = Inbox(Ledger(), 10, 1000)
    for n in range(4):
        inbox.put(message(n, qos=n % 2))
    taken = [await asyncio.wait_for(inbox.take(1), 1.0) for _ in range(4)]
    assert sorted(numbers([each for one in taken for each in one])) == [0, 1, 2, 3]


async def test_oldest_at_qos_0_are_shed_by_topic_when_too_many() -> None:
    ledger = Ledger()
    inbox = Inbox(ledger, 4, 1000)
    for n in range(4):
        inbox.put(message(n, topic=f"t/{n % 2}"))
    for n in range(4, 7):
        inbox.put(message(n, topic="t/2"))
    assert numbers(await inbox.take(10)) == [3, 4, 5, 6]
    assert ledger.shed == {"t/0": 2, "t/1": 1}
    assert ledger.received == 7
    assert ledger.in_hand() == 4


async def test_oldest_at_qos_0_are_shed_when_too_many_bytes() -> None:
    ledger = Ledger()
    inbox = Inbox(ledger, 100, 1000)
    for n in range(5):
        inbox.put(message(n, size_bytes=300))
    assert numbers(await inbox.take(10)) == [2, 3, 4]
    assert ledger.shed.total() == 2
    for n in range(3):  # what was taken and shed counts no more
        inbox.put(message(n, size_bytes=300))
    assert ledger.shed.total() == 2


async def test_qos_1_is_never_shed_when_over_the_bounds() -> None:
    ledger = Ledger()
    inbox = Inbox(ledger, 3, 100)
    for n in range(10):
        inbox.put(message(n, qos=1, size_bytes=50))
    inbox.put(message(10))
    assert numbers(await inbox.take(100)) == list(range(10))
    assert ledger.shed == {"a/b": 1}


async def test_shed_topics_are_counted_together_when_there_are_very_many() -> None:
    ledger = Ledger()
    inbox = Inbox(ledger, 1, 1000)
    for n in range(1502):
        inbox.put(message(n, topic=f"t/{n}"))
    assert len(ledger.shed) == 1001
    assert ledger.shed["(other topics)"] == 501
    assert ledger.shed.total() == 1501

"""Which lane an outcome is put in, and that order is kept across the lanes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.outcomes.lanes import Lanes, in_order
from gateway.topics import OUTQ_LATE, OUTQ_LIVE


def test_lane_is_late_until_the_hub_was_heard() -> None:
    assert Lanes(10).choose() == OUTQ_LATE


def test_lane_is_live_when_the_hub_is_up_and_nothing_waits() -> None:
    assert Lanes(10, hub_up=True).choose() == OUTQ_LIVE


def test_lane_is_late_while_a_short_backlog_is_brought_over() -> None:
    lanes = Lanes(10, hub_up=True)
    lanes.put_late(10, 10)
    assert lanes.choose() == OUTQ_LATE
    lanes.forwarded_late(list(range(1, 10)))
    assert (lanes.choose(), lanes.waiting) == (OUTQ_LATE, 1)
    lanes.forwarded_late([10])
    assert lanes.choose() == OUTQ_LIVE


def test_lane_is_live_when_the_backlog_is_long() -> None:
    lanes = Lanes(10, hub_up=True)
    lanes.put_late(11, 11)
    assert lanes.choose() == OUTQ_LIVE
    lanes.forwarded_late([1])
    assert lanes.choose() == OUTQ_LATE


def test_repeated_packets_count_once_when_a_session_begins_again() -> None:
    lanes = Lanes(10, hub_up=True)
    lanes.put_late(5, 5)
    lanes.forwarded_late([1, 2, 3])
    lanes.forwarded_late([1, 2, 3, 4])
    assert lanes.waiting == 1


def test_recount_takes_over_what_the_leaf_says() -> None:
    lanes = Lanes(10, hub_up=True)
    lanes.put_late(5, 500)
    lanes.recounted(2, 7, 9)  # the store was lost, and its sequences began again
    assert (lanes.choose(), lanes.waiting) == (OUTQ_LATE, 2)
    lanes.forwarded_late([7, 9])
    assert lanes.choose() == OUTQ_LIVE
    lanes.recounted(0, 0, 0)
    assert lanes.choose() == OUTQ_LIVE


def _late_may_go(queues: dict[str, list[int]]) -> bool:
    live, late = queues[OUTQ_LIVE], queues[OUTQ_LATE]
    return bool(late) and (not live or live[0] > late[0])


@given(st.lists(st.sampled_from(["put", "send_live", "send_late", "up", "down"]), max_size=200),
       st.integers(0, 5))  # fmt: skip
def test_hub_gets_packets_in_order_unless_the_backlog_was_long(
    steps: list[str], in_order_backlog: int
) -> None:
    """Replays the forwarder's rule: late behind older live ones, live at once."""
    lanes = Lanes(in_order_backlog)
    queues: dict[str, list[int]] = {OUTQ_LIVE: [], OUTQ_LATE: []}
    hub: list[int] = []
    overtook: set[int] = set()
    sequence = 0
    for step in steps:
        if step == "put":
            sequence += 1
            lane = lanes.choose()
            waiting = len(queues[OUTQ_LATE])
            queues[lane].append(sequence)
            if lane == OUTQ_LATE:
                lanes.put_late(1, sequence)
            elif waiting:
                overtook.add(sequence)
                assert waiting > in_order_backlog
        elif step in {"up", "down"}:
            lanes.hub_up = step == "up"
        elif step == "send_live" and queues[OUTQ_LIVE]:
            hub.append(queues[OUTQ_LIVE].pop(0))
        elif step == "send_late" and _late_may_go(queues):
            hub.append(queues[OUTQ_LATE].pop(0))
            lanes.forwarded_late([hub[-1]])
        assert lanes.waiting == len(queues[OUTQ_LATE])
    in_order = [n for n in hub if n not in overtook]
    assert in_order == sorted(in_order)


def test_only_alarms_pass_a_short_backlog_when_alarms_go_first() -> None:
    lanes = Lanes(10, alarms_first=True, hub_up=True)
    lanes.put_late(5, 5)
    assert (lanes.choose("alarm"), lanes.choose("routine")) == (OUTQ_LIVE, OUTQ_LATE)
    lanes.hub_up = False
    assert lanes.choose("alarm") == OUTQ_LATE


def test_outcomes_queue_behind_no_more_than_is_soon_gone_when_the_rate_is_limited() -> None:
    assert in_order(5000, 0) == 5000
    assert in_order(5000, 20) == 100
    assert in_order(50, 20) == 50

"""When systemd may be told that a process works."""

import os

import pytest

from gateway.notify import Notifier
from gateway.watchdog import Vitals


def test_nothing_is_silent_when_all_showed_signs_within_the_patience() -> None:
    vitals = Vitals(["store", "leaf"], patience_s=30, now_s=100)
    assert vitals.silent(130) == []
    vitals.seen("store", 120)
    vitals.seen("leaf", 125)
    assert vitals.silent(150) == []


def test_a_part_is_silent_when_it_showed_no_sign_for_longer_than_the_patience() -> None:
    vitals = Vitals(["store", "leaf"], patience_s=30, now_s=100)
    vitals.seen("store", 120)
    assert vitals.silent(130.1) == ["leaf"]
    assert vitals.silent(151) == ["store", "leaf"]
    vitals.seen("leaf", 151)
    vitals.seen("store", 151)
    assert vitals.silent(152) == []


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdogs_time_is_read_when_it_is_meant_for_this_process(
    environment: dict[str, str], watchdog_s: float
) -> None:
    assert Notifier.of(environment).watchdog_s == watchdog_s

"""Faults under load, each quick kind once; `make faults` plays many rounds of all."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.system.faults.disk import missing
from tests.system.faults.kinds import BY_NAME
from tests.system.faults.runner import Plan, play
from tests.system.faults.world import Layout

SEED = 11
EMBEDDED = (
    "gateway killed", "leaf killed", "worker killed", "hub killed", "link cut", "link half-open",
    "everything killed", "power cut",
)  # fmt: skip
INSTALLED = ("gateway killed", "leaf's unit killed", "Mosquitto killed")


def assert_books_agree(folder: Path, layout: Layout, names: tuple[str, ...]) -> None:
    kinds = [BY_NAME[name] for name in names if layout.disks or not BY_NAME[name].disk]
    plan = Plan(SEED, len(kinds), folder, [layout], {layout.name: kinds}, each_once=True)
    played = play(plan, lambda _: None)
    assert [one.kinds for one in played.rounds] == [[kind.name] for kind in kinds]
    bad = [asdict(one) for one in played.rounds if not one.is_good]
    assert bad == []
    assert min(one.outcomes for one in played.rounds) > 0


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_twice_when_parts_fail_under_load(tmp_path: Path) -> None:
    assert_books_agree(tmp_path, Layout(disks=not missing(tmp_path)), EMBEDDED)


@pytest.mark.timeout(300)
def test_nothing_is_lost_but_by_mosquitto_when_parts_of_an_installed_box_fail(
    tmp_path: Path, mosquitto: str
) -> None:
    assert_books_agree(tmp_path, Layout(mosquitto), INSTALLED)

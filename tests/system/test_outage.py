"""The hub away for a while under load: all arrives, once, in order; what is new may overtake."""

from dataclasses import asdict
from pathlib import Path

from benchmarks.outage import Case, run

AWAY_S = 6.0
IN_ORDER = 200


async def test_all_arrives_in_order_when_the_hub_was_away(tmp_path: Path) -> None:
    outage = await run(tmp_path, Case(AWAY_S))
    assert outage.backlog > 1000, asdict(outage)
    assert outage.outcomes.exact, asdict(outage)
    assert outage.outcomes.disordered == 0


async def test_new_outcomes_overtake_when_a_long_backlog_comes_over_a_cut_link(
    tmp_path: Path,
) -> None:
    outage = await run(tmp_path, Case(AWAY_S, cut=True, in_order_backlog=IN_ORDER))
    assert outage.backlog > 1000, asdict(outage)
    assert outage.outcomes.exact, asdict(outage)
    # Until the cut is noticed, which takes up to a few seconds, outcomes go into the live lane.
    assert outage.late > IN_ORDER, asdict(outage)
    assert (outage.late_disordered, outage.live_disordered) == (0, 0)
    assert outage.overtook > 0, asdict(outage)

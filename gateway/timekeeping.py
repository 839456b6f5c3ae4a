"""Follows the system's clock when it is set right, with all that was stamped before.

The gateway's own clock goes on undisturbed whatever the system's does (`gateway.clock`). Once a
second it is looked at whether a step is to be followed; then the pipeline stands still for a
moment, the store moves what was stamped in doubt, and the outside is told how far.
"""

import asyncio
import logging

from gateway.clock import BoxClock, Change, Standing
from gateway.errors import StoreError
from gateway.features import FeatureService
from gateway.notices import FAULT, Notice, Notices
from gateway.pipeline import Pipeline

log = logging.getLogger(__name__)

ABOUT = "clock"
LOOK_S = 1.0
_RETRY_S = 5.0


async def keep_time(clock: BoxClock, pipeline: Pipeline, store: FeatureService) -> None:
    """Follow the system's clock until cancelled."""
    tell_unset(clock, pipeline.notices)
    while True:
        await asyncio.sleep(LOOK_S)
        change = clock.look()
        if change is None:
            continue
        try:
            if not await _go_over(clock, change, pipeline, store):
                await asyncio.sleep(_RETRY_S)
        except StoreError as exc:
            log.error("the clock is followed later: %s", exc)  # noqa: TRY400 - says it all
            await asyncio.sleep(_RETRY_S)


async def _go_over(
    clock: BoxClock, change: Change, pipeline: Pipeline, store: FeatureService
) -> bool:
    """Begin another era; return whether it could be done now."""
    before, was_ns = clock.era.standing, clock.now_ns()
    since_ns = clock.era.began_ns
    if not change.step_ns:
        await store.write_era(change)
        if before is not change.era.standing:
            log.info("clock: %s, was %s", change.era.standing, before)
        return True
    rows = await pipeline.move(change)
    if rows is None:
        return False
    pipeline.notices.tell(
        Notice(
            kind=FAULT,
            source=pipeline.notices.gateway,
            label="clock-ok" if before is Standing.UNSET else "clock-stepped",
            start_ns=was_ns,
            end_ns=was_ns + change.step_ns,
            numbers={
                "step_s": change.step_ns / 1e9,
                "since_s": 0.0 if before is Standing.OK else (was_ns - since_ns) / 1e9,
                "rows": rows,
            },
            about=ABOUT,
            is_event=True,
        )
    )
    return True


def tell_unset(clock: BoxClock, notices: Notices) -> None:
    """Tell that the clock is not set, once for each time that it is found so."""
    era, last = clock.era, notices.last(FAULT, notices.gateway, ABOUT)
    if era.standing is not Standing.UNSET or (last and last.end_ns >= era.began_ns):
        return
    notices.tell(
        Notice(
            FAULT, notices.gateway, "clock-unset", era.began_ns, about=ABOUT, is_event=True
        )
    )  # fmt: skip

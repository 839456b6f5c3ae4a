"""After a store had to be set aside: the gateway ends for it, and says so once it is back."""

import asyncio
import logging
from pathlib import Path

from gateway.errors import StoreError
from gateway.features import FeatureService
from gateway.features.aside import Case, cases, mark_told
from gateway.notices import FAULT, Notice, Notices

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_AGAIN_S = 10.0


async def end_when_damaged(store: FeatureService) -> None:
    """Return by an error once the open store shows damage: it is set aside at the next start.

    Nothing is lost by ending: what was not acknowledged the broker keeps, and windows that were
    not told are judged again.

    Raises:
        StoreError: Then.
    """
    while not store.damaged:  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(_LOOK_S)
    while True:
        try:
            await asyncio.to_thread(store.note_damage)
        except OSError as exc:
            log.error("store: damaged, and that cannot be noted: %s", exc)  # noqa: TRY400 - says it all
            await asyncio.sleep(_AGAIN_S)
        else:
            raise StoreError(f"damaged; ending, to set it aside: {store.damaged}")


async def tell_set_aside(state_dir: Path, notices: Notices, gateway: str) -> None:
    """Tell of all that was set aside and not told yet, until cancelled.

    What remembers it is ``reason.json``: the watermarks were in the store that is gone. Told again
    after a crash, an outcome has the same id, which comes from the time in that file.
    """
    untold = [case for case in await asyncio.to_thread(cases, state_dir) if not case.told]
    for case in untold:
        notices.tell(notice_of(case, gateway))
    while not notices.telling.is_idle:  # noqa: ASYNC110 - plain state
        await asyncio.sleep(_LOOK_S)
    for case in untold:
        await _mark_told(case)
    await asyncio.Event().wait()  # tasks of the gateway do not end by themselves


def notice_of(case: Case, gateway: str) -> Notice:
    """Return what is told of something that was set aside."""
    is_store = case.what == "store"
    sizes = [int(about["bytes"]) for about in case.files.values()]
    numbers = {"mb": sum(sizes) / 1e6}
    if case.salvaged:
        numbers["readings_kept"] = case.salvaged.rows.get("reading", 0)
        numbers["marks_kept"] = case.salvaged.rows.get("watermark", 0)
    if not is_store:
        numbers["mb_lost"] = case.lost_bytes / 1e6
    return Notice(
        FAULT,
        gateway,
        "store-set-aside" if is_store else "store-log-cut",
        case.time_ns,
        score=1.0 if is_store else 0.5,
        numbers=numbers,
        about="store",
        is_event=True,
    )


async def _mark_told(case: Case) -> None:
    while True:
        try:
            await asyncio.to_thread(mark_told, case)
        except OSError as exc:
            log.warning("%s: %s", case.folder, exc)
            await asyncio.sleep(_AGAIN_S)
        else:
            return

"""Folders that things are dropped into while the gateway runs: when to look again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from watchfiles import awatch

log = logging.getLogger(__name__)

SETTLE_MS = 500  # without a further change: a folder that is being copied is not taken up half
SETTLE_AT_MOST_MS = 5_000
LOOK_MS = 1_000  # how often folders are looked for that were not there, or were replaced

Marks = dict[Path, tuple[int, int] | None]


async def watch_folders(
    dirs: Sequence[Path],
    on_change: Callable[[], Awaitable[None]],
    *,
    settle_ms: int = SETTLE_MS,
    settle_at_most_ms: int = SETTLE_AT_MOST_MS,
) -> None:
    """Call ``on_change`` when something in the folders may have changed, until cancelled.

    It is called once at the start too, for what changed while nobody watched. Folders that are
    not there are made, or watched as soon as they are.

    Args:
        dirs: The folders; what lies below them counts.
        on_change: Looks what it is; nothing is lost that changes while it runs.
        settle_ms: It is called once nothing changed for so long.
        settle_at_most_ms: And at the latest so long after the first change.
    """
    while True:
        marks = await asyncio.to_thread(_prepare, dirs)
        there = [path for path, mark in marks.items() if mark]
        if not there:
            await asyncio.sleep(LOOK_MS / 1e3)
            continue
        unseen = True  # whatever changed while nobody watched
        async for changes in awatch(
            *there,
            watch_filter=None,
            step=settle_ms,
            debounce=settle_at_most_ms,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            if await asyncio.to_thread(_prepare, dirs) != marks:
                break  # a directory came, went or was replaced: watch anew
            if changes or unseen:
                await on_change()
            unseen = False


def _prepare(dirs: Sequence[Path]) -> Marks:
    """Make what is missing and return each directory's identity; None where there is none."""
    marks: Marks = {}
    for path in dirs:
        try:
            path.mkdir(parents=True, exist_ok=True)
            status = path.stat()
            marks[path] = (status.st_dev, status.st_ino)
        except OSError as exc:
            log.debug("directory %s: %s", path, exc)
            marks[path] = None
    return marks

"""When a new version is trusted: then the store's copy of before it is given up."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

TRUSTED_AFTER_S = 3600.0
_LOOK_S = 10.0


async def settle(
    is_healthy: Callable[[], bool],
    forget_copies: Callable[[], Sequence[Path]],
    *,
    after_s: float = TRUSTED_AFTER_S,
    look_s: float = _LOOK_S,
) -> None:
    """Give up the copies once this version has been healthy for so long without a break.

    A restart begins anew: a version that crashes every half hour is not trusted.

    Args:
        is_healthy: Devices are served and outcomes are kept.
        forget_copies: Deletes them and returns which there were.
        after_s: How long.
        look_s: Between two looks.
    """
    healthy_s = 0.0
    while healthy_s < after_s:
        await asyncio.sleep(look_s)
        healthy_s = healthy_s + look_s if is_healthy() else 0.0
    for copy in await asyncio.to_thread(forget_copies):
        log.info("store: %s is not needed any more and was deleted", copy)
    await asyncio.Event().wait()  # tasks of the gateway do not end by themselves

"""Whether systemd may be told that this process works.

A process that runs is not one that works: each part that matters shows a sign of life by itself,
and WATCHDOG=1 is sent only while none has been silent for too long. It is sent from the event loop,
so a loop that does not turn is silent too. What then happens is systemd's: it ends the process
within ``WatchdogSec`` and starts it again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from gateway.errors import GatewayError
from gateway.notify import Notifier

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[bool]]
"""Looks whether a part works. It may take its time or never return: that is silence."""

_PINGS = 4  # in the time that systemd waits
_PATIENCE = 0.5  # a part may be silent for this share of it: a slow disk holds up healthy ones


class Vitals:
    """When each part last showed that it works. Pure: the caller brings the time.

    Args:
        parts: Their names.
        patience_s: How long one may be silent.
        now_s: From here on; none counts as silent before its first sign was due.
    """

    def __init__(self, parts: Iterable[str], patience_s: float, now_s: float) -> None:
        self._seen_s = dict.fromkeys(parts, now_s)
        self._patience_s = patience_s

    def seen(self, part: str, now_s: float) -> None:
        """Note a sign of life."""
        self._seen_s[part] = now_s

    def silent(self, now_s: float) -> list[str]:
        """Return the parts that have been silent for too long."""
        return [part for part, at_s in self._seen_s.items() if now_s - at_s > self._patience_s]


async def keep_alive(
    notifier: Notifier, checks: Mapping[str, Check], line: Callable[[], str]
) -> None:
    """Tell systemd how it is, and that it works while it does, until cancelled.

    Args:
        notifier: Says how often the watchdog wants to hear; where it does not, only the line is
            told.
        checks: By the name of the part.
        line: Gives one line for people.
    """
    patience_s = notifier.watchdog_s * _PATIENCE
    every_s = notifier.watchdog_s / _PINGS or 10.0
    vitals = Vitals(checks, patience_s or float("inf"), time.monotonic())
    async with asyncio.TaskGroup() as tasks:
        for part, check in checks.items():
            tasks.create_task(_look(part, check, vitals, every_s), name=f"check {part}")
        tasks.create_task(_tell(notifier, vitals, every_s, line), name="watchdog")


async def _look(part: str, check: Check, vitals: Vitals, every_s: float) -> None:
    while True:
        try:
            works = await check()
        except GatewayError as exc:
            log.debug("watchdog: %s: %s", part, exc)
            works = False
        if works:
            vitals.seen(part, time.monotonic())
        await asyncio.sleep(every_s)


async def _tell(
    notifier: Notifier, vitals: Vitals, every_s: float, line: Callable[[], str]
) -> None:
    told: list[str] = []
    while True:
        silent = vitals.silent(time.monotonic())
        if silent:
            notifier.status(f"{' and '.join(silent)} does not work: the watchdog is not told")
        else:
            notifier.alive()
            notifier.status(line())
        if silent != told:
            log.error("watchdog: silent: %s", ", ".join(silent) or "none any more")
            told = silent
        await asyncio.sleep(every_s)

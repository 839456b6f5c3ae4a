"""The clock: set at all, kept by NTP, not set back."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn

_FIRST_YEAR = 2024  # before it no version of this was made
_TIMEX_BYTES = 256  # struct timex has 208 on 64-bit machines; zeros ask, and set nothing
_TIME_ERROR = 5  # adjtimex(2)
_AHEAD_S = 120.0
_BY_US = ("weir.duckdb", "lock", "leaf/ports.json", "leaf/server.json", "leaf/nats-server.log")


def clock(box: Box) -> Iterator[Finding]:
    """Tell whether this box knows what time it is."""
    now = time.time()
    yield year(now)
    synchronised = _is_synchronised()
    if synchronised is None:
        yield unseen("whether the clock is kept by NTP", "")
    elif synchronised:
        yield ok("the clock is kept by NTP")
    else:
        yield warn(
            "the clock is not kept by NTP: devices without a clock of their own get a wrong time",
            "timedatectl set-ntp true; a site without internet needs an NTP server of its own "
            "(/etc/systemd/timesyncd.conf)",
        )
    yield from set_back(now, _newest(box.settings.gateway.state_dir))


def year(now: float) -> Finding:
    """Return whether the clock can be right at all."""
    at = datetime.fromtimestamp(now, UTC)
    shown = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    if at.year < _FIRST_YEAR:
        return fail(
            f"the clock is wrong: {shown}. Certificates count as not yet valid, windows are of "
            "another time",
            "timedatectl set-time '2026-01-31 12:00:00', or let it reach an NTP server",
        )
    return ok(f"it is {shown}")


def set_back(now: float, newest: float) -> Iterator[Finding]:
    """Yield that the clock has gone back.

    Args:
        now: Unix time.
        newest: When the gateway last wrote, by the clock of then; 0 for never.
    """
    if newest > now + _AHEAD_S:
        yield warn(
            f"the clock was set back by {(newest - now) / 60:,.0f} min or more since the gateway "
            "last wrote: readings without a time of their own may count as old",
            "see that NTP works, and restart: systemctl restart weir-gateway",
        )


def _is_synchronised() -> bool | None:
    """Ask the kernel, which whatever keeps the clock tells: chrony, ntpd, systemd-timesyncd."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _newest(state_dir: Path) -> float:
    newest = 0.0
    for name in _BY_US:
        with suppress(OSError):
            newest = max(newest, (state_dir / name).stat().st_mtime)
    return newest

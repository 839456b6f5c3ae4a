"""The clock: set at all, kept by NTP, not set back, and what the gateway takes the time to be."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.clock import MADE_NS, STEP_NS, LinuxSystem, Standing
from gateway.doctor.finding import Box, Document, Finding, fail, ok, unseen, warn

_AHEAD_S = 120.0
_BY_US = ("weir.duckdb", "lock", "leaf/ports.json", "leaf/server.json", "leaf/nats-server.log")
_SET = (
    "timedatectl set-time '2027-01-31 12:00:00', or let it reach an NTP server; a box that comes "
    "up with a wrong clock each time needs a battery for it, or a clock at all (RTC)"
)


def clock(box: Box) -> Iterator[Finding]:
    """Tell whether this box knows what time it is."""
    now = time.time()
    yield wrong(now)
    synced = LinuxSystem(box.settings.clock.synced_file).synced()
    if synced is None:
        yield unseen("whether the clock is kept by NTP", "")
    elif synced:
        yield ok("the clock is kept by NTP")
    else:
        yield warn(
            "the clock is not kept by NTP: devices without a clock of their own get a wrong time "
            "if it is wrong",
            "timedatectl set-ntp true; a site without internet needs an NTP server of its own "
            "(/etc/systemd/timesyncd.conf)",
        )
    yield from set_back(now, _newest(box.settings.gateway.state_dir))
    if box.status and "clock" in box.status:
        yield from taken(box.status["clock"], box.settings.clock.follow_after_s)


def wrong(now: float) -> Finding:
    """Return whether the clock can be right at all."""
    if now < MADE_NS / 1e9:
        return fail(f"the clock is wrong: {_shown(now)}. Certificates count as not yet valid", _SET)
    return ok(f"it is {_shown(now)}")


def set_back(now: float, newest: float) -> Iterator[Finding]:
    """Yield that the clock has gone back.

    Args:
        now: Unix time.
        newest: When the gateway last wrote, by the clock of then; 0 for never.
    """
    if newest > now + _AHEAD_S:
        yield warn(
            f"the clock was set back by {(newest - now) / 60:,.0f} min or more since the gateway "
            "last wrote",
            "see that NTP works; the gateway moves what it stamped meanwhile by itself",
        )


def taken(found: Document, follow_after_s: float) -> Iterator[Finding]:
    """Yield what the gateway takes the time to be, and what it has done.

    Args:
        found: What it says of its clock.
        follow_after_s: When it believes a step that nobody vouches for.
    """
    ahead_s, times = found["system_ahead_s"], found["moved"]
    if found["standing"] == Standing.UNSET:
        yield fail(
            "the gateway does not believe the system's clock and goes on from the newest time that "
            f"it knew: it takes it to be {_shown(found['now_ns'] / 1e9)}. What it stamps is "
            "marked, and moved once the clock is set",
            _SET,
        )
    elif abs(ahead_s) * 1e9 > STEP_NS:
        yield warn(
            f"the system's clock was stepped by {ahead_s:,.0f} s, and the gateway has not followed",
            f"it does when NTP keeps the clock or the step has stood for {follow_after_s:g} s; "
            "not to before this version was made, and not while outcomes wait for the leaf",
        )
    if times:
        yield ok(
            f"the gateway has followed {times} step{'s' * (times > 1)} of the clock since its "
            f"start, by {found['moved_s']:,.1f} s in all, and moved with it what was in doubt; the "
            "outcomes clock-stepped and clock-ok say which ones are to be corrected"
        )


def _shown(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _newest(state_dir: Path) -> float:
    newest = 0.0
    for name in _BY_US:
        with suppress(OSError):
            newest = max(newest, (state_dir / name).stat().st_mtime)
    return newest

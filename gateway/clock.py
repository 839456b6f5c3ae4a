"""The box's own clock: what time it takes it to be, and how sure it is of that.

The system's clock may be unset at boot (1970, or the day of the last shutdown) and may be stepped
by hours or years while the gateway runs. So the gateway's time is the system's clock at one moment
and the time since boot from then on, which no step moves. Whether a step is followed is decided
here (`BoxClock.look`), from three facts: what the system's clock says, how long the box has been
up, and whether somebody keeps the clock (NTP, PTP, a GPS). What has to be moved when one is
followed is the business of `gateway.timekeeping`.

An era is a stretch of time in which the clock was sure of itself, or was not. What the box stamps
in an era of doubt is marked in the store with the era's number, and moved if the clock is.
"""

import ctypes
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

MADE_NS = 1_793_491_200 * 10**9  # 2026-11-01T00:00:00Z
"""No version of this was made before: a clock that says less is wrong, whoever keeps it."""
STEP_NS = 2 * 10**9
"""What the system's clock may be off without anybody being told: it is followed at once."""
FOLLOW_AFTER_S = 30.0

_NOISE_NS = 5_000_000
_READ_WITHIN_NS = 100_000
_MOST_READS = 5
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 256  # struct timex has 208 on 64-bit machines; zeros ask, and set nothing
_TIME_ERROR = 5  # adjtimex(2)


class Standing(StrEnum):
    """How sure the clock is of itself; stands in every packet."""

    OK = "ok"  # somebody keeps it: NTP, say
    UNSYNCED = "unsynced"  # it is set and can be right, and nobody keeps it
    UNSET = "unset"  # the system's clock is wrong: this goes on from the newest time known


@dataclass(frozen=True, slots=True)
class Era:
    """A stretch of time in which the clock was sure, or in which it was in doubt.

    A step from doubt to doubt leaves all that was stamped in doubt: that is the same era still.

    Attributes:
        number: From 1; 0 before the first.
        boot: Which boot of the box it belongs to.
        offset_ns: Unix time less the time since boot.
        standing: How sure the clock is.
        began_ns: The clock's time when it began.
        lag_ns: How much of what has passed since the newest time known nobody has vouched for.
        lag_from_ns: Time since boot when that was so.
    """

    number: int = 0
    boot: str = ""
    offset_ns: int = 0
    standing: Standing = Standing.OK
    began_ns: int = 0
    lag_ns: int = 0
    lag_from_ns: int = 0

    @property
    def mark(self) -> int:
        """Return what the box's own stamps are marked with: 0 while it is sure."""
        return 0 if self.standing is Standing.OK else self.number


class Change(NamedTuple):
    """The era that is to begin, and how far the clock moves with it (0: not worth telling)."""

    era: Era
    step_ns: int


class Sample(NamedTuple):
    """What the system says at one moment.

    Attributes:
        wall_ns: Its clock.
        up_ns: Since boot, with the time for which it was suspended.
        synced: Whether somebody keeps its clock; None: there is no telling.
    """

    wall_ns: int
    up_ns: int
    synced: bool | None


class System(Protocol):
    """The system's clocks."""

    def up_ns(self) -> int:
        """Return the time since boot."""
        ...

    def sample(self) -> Sample:
        """Return what all of it says now."""
        ...

    def boot(self) -> str:
        """Return what names this boot; "" where nothing does."""
        ...


class LinuxSystem:
    """The clocks of a Linux system.

    Args:
        synced_file: Whether it is there says whether somebody keeps the clock. None: the kernel is
            asked, which whoever keeps it tells (chrony, ntpd, systemd-timesyncd); where that is not
            allowed, as in a container, systemd-timesyncd's own file.
    """

    def __init__(self, synced_file: Path | None = None) -> None:
        self._synced_file = synced_file

    def up_ns(self) -> int:
        """Return the time since boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def sample(self) -> Sample:
        """Return what all of it says now; both clocks within 0.1 ms of each other, if possible."""
        best: tuple[int, int, int] | None = None
        for _ in range(_MOST_READS):
            before_ns, wall_ns, after_ns = self.up_ns(), time.time_ns(), self.up_ns()
            found = after_ns - before_ns, wall_ns, (before_ns + after_ns) // 2
            best = min(best, found) if best else found
            if best[0] < _READ_WITHIN_NS:
                break
        assert best is not None  # noqa: S101 - the loop has run
        return Sample(best[1], best[2], self.synced())

    def boot(self) -> str:
        """Return what names this boot; "" where nothing does."""
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return ""

    def synced(self) -> bool | None:
        """Say whether somebody keeps the clock; None: there is no telling."""
        if self._synced_file:
            return self._synced_file.exists()
        asked = _kernel_synced()
        if asked is None and _TIMESYNCD.exists():
            return True
        return asked


def _kernel_synced() -> bool | None:
    """Ask the kernel whether somebody keeps its clock; None where it does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


class BoxClock:
    """The gateway's time. All that it stamps, judges by age and deletes by age is by this clock.

    Reading it is safe from any thread; the rest is called from one.

    Args:
        system: The system's clocks.
        follow_after_s: How long a step of the system's clock that nobody vouches for must stand
            before it is followed.

    Attributes:
        era: The one that it is in.
    """

    def __init__(
        self, system: System | None = None, follow_after_s: float = FOLLOW_AFTER_S
    ) -> None:
        self._system = system or LinuxSystem()
        self._follow_after_ns = int(follow_after_s * 1e9)
        sample = self._system.sample()
        self.era = Era(offset_ns=sample.wall_ns - sample.up_ns, began_ns=sample.wall_ns)
        self._steps = [0]  # by turn: how far the clock has been moved since the start
        self._timeline = (self.era.offset_ns, 0)
        self._refused_ns: int | None = None  # an offset of the system's clock that is wrong
        self._waiting: tuple[int, int] | None = None  # an offset, and since when it is there
        self.wall_ahead_ns = 0

    @property
    def standing(self) -> Standing:
        """Return how sure it is."""
        return self.era.standing

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""
        return self._system.up_ns() + self._timeline[0]

    def now_in_ns(self, era: Era) -> int:
        """Return what time it is in an era, which may not have begun yet."""
        return self._system.up_ns() + era.offset_ns

    def stamp(self) -> tuple[int, int]:
        """Return Unix nanoseconds, and how often the clock has been moved so far (the turn)."""
        offset_ns, turn = self._timeline
        return self._system.up_ns() + offset_ns, turn

    @property
    def turn(self) -> int:
        """Return how often the clock has been moved since the start."""
        return self._timeline[1]

    def moved_since_ns(self, turn: int) -> int:
        """Return by how much it has been moved since a turn."""
        return self._steps[-1] - self._steps[turn]

    def before_ns(self, age_ns: int) -> int:
        """Return the time before which things are of this age for certain.

        Time that has passed on nobody's word but an unsynchronised clock's does not count until
        the box has been up for as long itself: a clock that jumps ahead makes nothing old.
        """
        era, up_ns = self.era, self._system.up_ns()
        lag_ns = era.lag_ns if up_ns - era.lag_from_ns < age_ns else 0
        return up_ns + self._timeline[0] - age_ns - lag_ns

    def resume(self, kept: Era | None, seen_ns: int) -> None:
        """Begin where the store says that this clock stood.

        Args:
            kept: The era that was in the store.
            seen_ns: The newest time that the box is known to have had; 0: none is.
        """
        sample, boot = self._system.sample(), self._system.boot()
        seen_offset_ns = sample.wall_ns - sample.up_ns
        # Within a boot, what has happened to the system's clock since is a step like any other.
        same = kept and boot and kept.boot == boot
        era = kept if kept and same else _first(kept, boot, sample, seen_ns)
        if era.standing is Standing.UNSET and seen_offset_ns < era.offset_ns:
            self._refused_ns = seen_offset_ns
        self.begin(Change(era, 0))

    def begin(self, change: Change) -> None:
        """Go over to an era."""
        self._waiting = None
        if change.step_ns:
            self._refused_ns = None
            self._steps.append(self._steps[-1] + change.step_ns)
        self.era = change.era
        self._timeline = (change.era.offset_ns, len(self._steps) - 1)

    def look(self) -> Change | None:
        """Look at the system's clock; return the era that should begin, if one should.

        Nothing changes until `begin`; asked again, it gives the same.
        """
        sample, era = self._system.sample(), self.era
        offset_ns = sample.wall_ns - sample.up_ns
        self.wall_ahead_ns = offset_ns - era.offset_ns
        standing = Standing.OK if sample.synced else Standing.UNSYNCED
        if abs(self.wall_ahead_ns) <= STEP_NS:
            self._waiting = None
            return self._little(offset_ns, standing, sample)
        if self._is_wrong(sample, offset_ns):
            self._waiting = None
            doubted = era.standing is Standing.OK and not sample.synced
            return self._little(era.offset_ns, standing, sample) if doubted else None
        if not (sample.synced or self._has_stood(offset_ns, sample.up_ns)):
            return None
        return Change(_after_step(era, sample, standing), self.wall_ahead_ns)

    def _is_wrong(self, sample: Sample, offset_ns: int) -> bool:
        """Say whether the system's clock cannot be right."""
        if sample.wall_ns < MADE_NS:
            return True
        known = self._refused_ns is not None and abs(offset_ns - self._refused_ns) <= STEP_NS
        return known and not sample.synced

    def _has_stood(self, offset_ns: int, up_ns: int) -> bool:
        if self._waiting is None or abs(self._waiting[0] - offset_ns) > STEP_NS:
            self._waiting = offset_ns, up_ns
        return up_ns - self._waiting[1] >= self._follow_after_ns

    def _little(self, offset_ns: int, standing: Standing, sample: Sample) -> Change | None:
        """Return the change to another standing, or by less than is worth telling; None for none.

        In an era of doubt everything since its beginning is still in doubt, however small the step.
        """
        era = self.era
        if standing is era.standing:
            if abs(offset_ns - era.offset_ns) < _NOISE_NS:
                return None
            return Change(replace(era, offset_ns=offset_ns), 0)
        changed = replace(era, offset_ns=offset_ns, standing=standing)
        if Standing.OK in {standing, era.standing}:
            began_ns = sample.up_ns + offset_ns
            changed = replace(changed, number=era.number + 1, began_ns=began_ns)
        return Change(replace(changed, lag_ns=0) if standing is Standing.OK else changed, 0)


def _first(kept: Era | None, boot: str, sample: Sample, seen_ns: int) -> Era:
    """Return the era that begins with a boot, or with a store that knows of none."""
    known_ns = max(MADE_NS, seen_ns)
    number = kept.number + 1 if kept else 1
    if sample.wall_ns < known_ns - STEP_NS:
        offset_ns, standing = known_ns - sample.up_ns, Standing.UNSET
    else:
        offset_ns = sample.wall_ns - sample.up_ns
        standing = Standing.OK if sample.synced else Standing.UNSYNCED
    lag_ns = 0
    if standing is not Standing.OK and seen_ns:
        lag_ns = max(kept.lag_ns if kept else 0, sample.up_ns + offset_ns - seen_ns)
    began_ns = sample.up_ns + offset_ns
    return Era(number, boot, offset_ns, standing, began_ns, lag_ns, sample.up_ns)


def _after_step(era: Era, sample: Sample, standing: Standing) -> Era:
    """Return the era that begins when the system's clock is followed."""
    offset_ns = sample.wall_ns - sample.up_ns
    step_ns = offset_ns - era.offset_ns
    lag_ns, lag_from_ns = max(0, era.lag_ns + step_ns), era.lag_from_ns
    if standing is Standing.OK:
        lag_ns = 0
    elif step_ns > 0:
        lag_from_ns = sample.up_ns
    number, began_ns = era.number + 1, sample.wall_ns
    if Standing.OK not in {standing, era.standing}:  # what was in doubt still is
        number, began_ns = era.number, era.began_ns + step_ns
    return Era(number, era.boot, offset_ns, standing, began_ns, lag_ns, lag_from_ns)

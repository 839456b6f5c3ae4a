"""Room on the disk: now, and when all that is bounded has grown to its bounds."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.config import Settings
from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn
from gateway.features.aside import cases
from gateway.features.migration import copies, set_aside
from gateway.leaf import damaged

_LEAST_BYTES = 200_000_000
_LEAST_INODES = 0.03


def disk(box: Box) -> Iterator[Finding]:
    """Tell how much room there is."""
    state_dir = box.settings.gateway.state_dir
    there = next(f for f in (state_dir, *state_dir.absolute().parents) if f.exists())
    found = os.statvfs(there)
    free_bytes = found.f_bavail * found.f_frsize
    try:
        yield space(free_bytes, bound_bytes(box.settings), _used_bytes(state_dir))
    except PermissionError:
        yield unseen(f"{free_bytes / 1e6:,.0f} MB are free; what {state_dir} takes is not seen")
    if found.f_flag & os.ST_RDONLY:
        yield fail(
            f"the file system of {there} is read-only: nothing can be kept",
            "dmesg says why; after a fault of the disk: fsck, then mount it for writing",
        )
    yield from _level(box)
    if found.f_files:
        yield inodes(found.f_favail / found.f_files)
    yield from _kept(state_dir / "weir.duckdb")
    yield from _set_aside(state_dir)


def bound_bytes(settings: Settings) -> int:
    """Return what store and leaf may grow to."""
    mqtt_bytes = settings.leaf.mqtt_store_bytes if settings.mqtt.broker == "embedded" else 0
    return settings.store.max_bytes + settings.leaf.store_bytes + mqtt_bytes


def space(free_bytes: int, bounds_bytes: int, used_bytes: int) -> Finding:
    """Return whether there is room for all that may come."""
    shown = f"{free_bytes / 1e6:,.0f} MB are free; {used_bytes / 1e6:,.0f} MB are used"
    may_grow = max(0, bounds_bytes - used_bytes)
    if free_bytes < _LEAST_BYTES:
        return fail(
            f"the disk is nearly full: {shown}",
            "free some; lower [store] max_bytes or max_age_h",
        )
    if free_bytes < may_grow:
        return warn(
            f"{shown}, and store and leaf may grow by {may_grow / 1e6:,.0f} MB more",
            "lower [store] max_bytes and [leaf] store_bytes, together by "
            f"{(may_grow - free_bytes) / 1e6:,.0f} MB, or give it a larger disk",
        )
    return ok(f"{shown}; the bounds leave room ({may_grow / 1e6:,.0f} MB to grow)")


def inodes(free_share: float) -> Finding:
    """Return whether files can be made."""
    if free_share < _LEAST_INODES:
        return fail(
            f"only {free_share:.1%} of the file system's inodes are free",
            "delete many small files: df -i; [snapshots] keep",
        )
    return ok(f"{free_share:.0%} of the inodes are free")


def _used_bytes(state_dir: Path) -> int:
    used = 0
    for folder, _, files in os.walk(state_dir, onerror=_raise):
        for name in files:
            with suppress(FileNotFoundError):
                used += Path(folder, name).lstat().st_blocks * 512
    return used


def _raise(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise error


def _level(box: Box) -> Iterator[Finding]:
    """Tell what the running gateway does for want of room."""
    found = (box.status or {}).get("disk", {})
    if found.get("holds"):
        yield fail(
            f"readings are not stored now: {found['holds']}; outcomes are still kept",
            "free some: it goes on by itself within seconds; du -xsh /var/*",
        )
    elif found.get("level") == "low":
        yield warn(
            f"{found['free_bytes'] / 1e6:,.0f} MB are free, less than [store] reserve_bytes: the "
            "store grows no more, snapshots were deleted",
            "free some; below a quarter of it readings are not stored",
        )


def _set_aside(state_dir: Path) -> Iterator[Finding]:
    """Tell what was damaged and set aside."""
    try:
        found = cases(state_dir)
        streams = damaged.found(state_dir / "leaf")
    except PermissionError:
        return
    for case in found:
        what = "a store that could not be opened" if case.what == "store" else "a damaged log"
        yield warn(
            f"{what} was set aside in {case.folder}: {case.error.splitlines()[0]}",
            "look at the disk (dmesg, smartctl); SD cards that do this are to be replaced. "
            f"When it is not wanted any more: rm -r {case.folder}",
        )
    for stream in streams:
        yield warn(
            f"nats-server could not recover a stream; it was set aside: {stream}",
            "its outcomes were put again from the store; look at the disk, then delete it",
        )


def _kept(store: Path) -> Iterator[Finding]:
    for copy in copies(store):
        yield ok(f"a copy of the store of before an upgrade is kept for now: {copy.name}")
    for aside in set_aside(store):
        yield warn(
            f"a store of a newer version was set aside: {aside}. It has the readings from the "
            "upgrade to the way back",
            "install the newer version again and move it back in place, or delete it",
        )

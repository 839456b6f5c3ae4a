"""Stores of other versions: brought forward, kept a copy of, or refused.

A store says in ``meta`` which version of the schema it has and the oldest version whose code can
still use it. Docs: ``docs/decisions/0009-store-versions.md``.
"""

import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gateway.errors import ConfigError, StoreError
from gateway.features.schema import STEPS, VERSION, Step

log = logging.getLogger(__name__)

_SPARE_BYTES = 64_000_000  # must stay free beside the copy: the leaf's queue shares the disk
_DUCKDB_TOO_OLD = re.compile(
    r"version number|newer version of DuckDB|storage version", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a store says of itself.

    Attributes:
        version: Of its schema.
        oldest_reader: Code of this version or a newer one can read and write it.
    """

    version: int
    oldest_reader: int


def prepare(path: Path, version: int = VERSION, steps: Sequence[Step] = STEPS) -> None:
    """Make the store at ``path`` one that code of ``version`` can open; no store is fine too.

    Args:
        path: The store's file.
        version: What the code that will open it can do.
        steps: How to get there.

    Raises:
        StoreError: It could not be brought forward, or there is no room for the copy; it is as it
            was, and the next try may do better.
        ConfigError: It is of a newer version that this one cannot use, and no copy was kept.
    """
    if not path.exists():
        return
    stamp = read_stamp(path)
    if stamp is None or stamp.version == version:
        return
    if stamp.version < version:
        todo = [step for step in steps if stamp.version < step.to <= version]
        _keep_copy(path, version, is_needed=any(s.oldest_reader > stamp.version for s in todo))
        _migrate(path, todo)
        log.info("store: brought from version %d to %d", stamp.version, version)
    elif stamp.oldest_reader > version:
        _go_back(path, stamp, version)
        prepare(path, version, steps)  # the copy may be of a version before this one
    else:
        log.info("store: of version %d, which this version (%d) can use", stamp.version, version)


def read_stamp(path: Path) -> Stamp | None:
    """Return what a store says of itself; None for one without tables.

    Raises:
        StoreError: It cannot be opened.
    """
    try:
        with closing(_connect(path)) as connection:
            return _stamp(connection)
    except duckdb.Error as exc:
        if _DUCKDB_TOO_OLD.search(str(exc)):
            return Stamp(_UNKNOWN, _UNKNOWN)
        raise StoreError(f"{path}: {exc}") from exc


_UNKNOWN = 1_000_000
"""The version of a file that is beyond this DuckDB: newer than anything this code knows."""


def copies(path: Path) -> list[Path]:
    """Return the copies that were kept before migrations, the one of the newest version last."""
    found = path.parent.glob(f"{path.name}.before-*")
    whole = [copy for copy in found if copy.suffix.rpartition("-")[2].isdecimal()]
    return sorted(whole, key=lambda copy: int(copy.suffix.rpartition("-")[2]))


def set_aside(path: Path) -> list[Path]:
    """Return the stores of newer versions that an older one set aside, the oldest first."""
    found = path.parent.glob(f"{path.name}.newer-*")
    return sorted(file for file in found if file.suffix != ".wal")


def forget_copies(path: Path) -> list[Path]:
    """Delete the kept copies, once the new version is trusted; return which there were."""
    gone = copies(path)
    for copy in gone:
        copy.unlink(missing_ok=True)
    return gone


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(path), config={"threads": 1})


def _stamp(connection: duckdb.DuckDBPyConnection) -> Stamp | None:
    tables = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
    if "meta" not in tables:
        return None
    columns = {row[0] for row in connection.execute("DESCRIBE meta").fetchall()}
    oldest = "oldest_reader" if "oldest_reader" in columns else "NULL"
    found = connection.execute(f"SELECT max(version), max({oldest}) FROM meta").fetchone()  # noqa: S608 - our own names
    if found is None or found[0] is None:
        return None
    return Stamp(found[0], found[0] if found[1] is None else found[1])


def _keep_copy(path: Path, version: int, *, is_needed: bool) -> None:
    """Keep the store as it is beside itself, whole or not at all.

    Args:
        path: The store; nobody has it open, and closing it has emptied its log of changes.
        version: Before which.
        is_needed: Code of the store's version cannot use what it is going to be.
    """
    copy = path.with_name(f"{path.name}.before-{version}")
    older = copies(path)
    size_bytes, free_bytes = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free_bytes < size_bytes + _SPARE_BYTES:
        lack = (
            f"no room for a copy of the store before it is changed: {path.parent} has "
            f"{free_bytes / 1e6:,.0f} MB free, {(size_bytes + _SPARE_BYTES) / 1e6:,.0f} MB are "
            "needed"
        )
        if is_needed:
            raise StoreError(f"{lack}; free some, or put the version back that was there before")
        log.warning("store: %s; going on without: the older version can use it as it will be", lack)
        return
    part = copy.with_name(copy.name + ".part")
    try:
        shutil.copyfile(path, part)
        shutil.copystat(path, part)
        _sync(part)
        part.replace(copy)
        _sync(path.parent)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise StoreError(f"{copy}: cannot be written: {exc.strerror}") from exc
    for each in older:
        if each != copy:
            each.unlink(missing_ok=True)


def _migrate(path: Path, steps: Sequence[Step]) -> None:
    """Do the steps in one transaction: all of them or none."""
    try:
        with closing(_connect(path)) as connection:
            connection.begin()
            for step in steps:
                connection.execute(step.sql)
            last = steps[-1]
            connection.execute("DELETE FROM meta")
            connection.execute(
                "INSERT INTO meta (version, oldest_reader) VALUES (?, ?)",
                [last.to, max(step.oldest_reader for step in steps)],
            )
            connection.commit()
            connection.execute("CHECKPOINT")
    except duckdb.Error as exc:
        raise StoreError(f"{path}: cannot be brought to version {steps[-1].to}: {exc}") from exc


def _go_back(path: Path, stamp: Stamp, version: int) -> None:
    """Put the newest kept copy that this version can use in the place of a store it cannot use."""
    newer = "a newer version" if stamp.version == _UNKNOWN else f"version {stamp.version}"
    for copy in reversed(copies(path)):
        found = read_stamp(copy)
        if found is None or found.version > version:
            continue
        kept_at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(copy.stat().st_mtime))
        aside = path.with_name(f"{path.name}.newer-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        wal = path.with_name(path.name + ".wal")
        if wal.exists():  # DuckDB looks for it under its file's name
            wal.rename(aside.with_name(aside.name + ".wal"))
        path.rename(aside)
        copy.rename(path)
        _sync(path.parent)
        log.error(
            "store: it is of %s, which this version (%d) cannot use. Going on with the copy of %s:"
            " readings, plugins' marks and what they learned since then are not in it but in %s,"
            " which the newer version can use",
            *(newer, version, kept_at, aside),
        )
        return
    raise ConfigError(
        [
            f"{path}: the store is of {newer}, which this version ({version}) cannot use, and no "
            "copy of before is left. Install the newer version again; or, to begin without the "
            f"readings of the last hours and what plugins learned, move it away: mv {path} "
            f"{path}.away"
        ]
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

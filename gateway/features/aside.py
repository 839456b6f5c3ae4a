"""A store that cannot be opened: set aside with its evidence, and a new one begun.

``<state_dir>/set-aside/<UTC time>-<n>/`` holds the files as they were and ``reason.json``. What can
be repaired is: of a damaged log only the rest from the damage on is lost; of a damaged file what
can still be read is brought into the new one (`salvage`). What is not damage, such as a disk that
is full, a lock or a store of a newer version, leaves the files alone.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import duckdb

from gateway import __version__
from gateway.errors import StoreError
from gateway.features import damage
from gateway.features.salvage import Salvaged, salvage

log = logging.getLogger(__name__)

FOLDER = "set-aside"
REASON = "reason.json"
_KEPT = 2  # with their files; the ring of reasons is longer
_REASONS_KEPT = 20
_HASHED_BYTES = 64_000_000  # a second on a small board
_TRIES = 4

_Store = TypeVar("_Store")


@dataclass(frozen=True, slots=True)
class Case:
    """One time that something was set aside: what ``reason.json`` says.

    Attributes:
        folder: Where it lies.
        what: ``store``: the file and its log; ``log``: a copy of the log, which was cut.
        error: What was wrong.
        time_ns: When.
        files: Name to size and, of those that are not large, SHA-256.
        lost_bytes: Of the log that was cut; 0 for a store.
        salvaged: What came over into the new store; None while it is not known.
        told: An outcome that says so is in the leaf's queue.
        gateway, duckdb: Versions.
    """

    folder: Path
    what: str
    error: str
    time_ns: int
    files: dict[str, dict[str, int | str]] = field(default_factory=dict)
    lost_bytes: int = 0
    salvaged: Salvaged | None = None
    told: bool = False
    gateway: str = __version__
    duckdb: str = duckdb.__version__


def opened(path: Path, open_store: Callable[[], _Store]) -> _Store:
    """Return the opened store, however much has to be set aside for it.

    Args:
        path: The store's file.
        open_store: Opens it and reads back all that is needed.

    Raises:
        StoreError: It cannot be opened, and that is no damage: files are as they were.
        ConfigError: It is of a newer version.
    """
    _finish(path)
    noted = _marker(path)
    wal = _log_of(path)
    if noted.exists():
        why = noted.read_text(encoding="utf-8", errors="replace")
        noted.unlink()  # before: it must not be the new store that is set aside
        _replace(path, why)
    elif broken := damage.in_log(wal):
        _cut(path, broken.at, broken.why)
    for _ in range(_TRIES):
        try:
            return open_store()
        except StoreError as exc:
            if not damage.is_damage(exc):
                raise
            _repair(path, exc)
    return open_store()


def note_damage(path: Path, error: str) -> None:
    """Have the store set aside at the next start, for an error that opening it does not show."""
    _marker(path).write_text(error, encoding="utf-8")


def cases(state_dir: Path) -> list[Case]:
    """Return what was set aside, the oldest first; what cannot be read is left out."""
    found = []
    for reason in sorted((state_dir / FOLDER).glob(f"*/{REASON}")):
        try:
            content = json.loads(reason.read_text(encoding="utf-8"))
            salvaged = content.pop("salvaged")
            found.append(
                Case(
                    folder=reason.parent,
                    salvaged=Salvaged(**salvaged) if salvaged else None,
                    **content,
                )
            )
        except (OSError, ValueError, TypeError, KeyError) as exc:
            log.warning("%s: %s", reason, exc)
    return sorted(found, key=lambda case: case.time_ns)


def mark_told(case: Case) -> None:
    """Note that an outcome says so.

    Raises:
        OSError: It cannot be written now.
    """
    _write(replace(case, told=True))


def shed(state_dir: Path) -> int:
    """Give up the files of all that was set aside, for room; return how many bytes there were."""
    return sum(_give_up_files(case.folder) for case in cases(state_dir))


def size_bytes(state_dir: Path) -> int:
    """Return what all that was set aside takes."""
    return sum(file.stat().st_size for file in (state_dir / FOLDER).glob("*/*"))


def _repair(path: Path, error: StoreError) -> None:
    """Do the least that may help."""
    wal = _log_of(path)
    if damage.is_of_log(error) and wal.exists():
        _cut(path, damage.broken_at(error, wal), str(error))
    else:
        _replace(path, str(error))


def _cut(path: Path, at: int, why: str) -> None:
    """Keep a copy of the log, and cut it where it cannot be read any further."""
    wal = _log_of(path)
    size = wal.stat().st_size
    try:
        folder = _new_folder(path)
        _write(_case(folder, "log", why, [wal], size - at))
        shutil.copyfile(wal, folder / wal.name)
        os.truncate(wal, at)
        _sync(wal)
    except OSError as exc:
        raise StoreError(f"{wal}: is damaged and cannot be set aside: {exc.strerror}") from exc
    log.error("store: %d of %d bytes of its log are lost: %s; see %s", size - at, size, why, folder)
    _bound(path.parent)


def _replace(path: Path, why: str) -> None:
    """Move the store away, and begin a new one with what can be read of it."""
    wal = _log_of(path)
    there = [file for file in (wal, path) if file.exists()]
    try:
        folder = _new_folder(path)
        _write(_case(folder, "store", why, there, 0))
        for file in there:  # the log first: by itself it would be taken for that of the new store
            file.rename(folder / file.name)
        _sync(folder)
        _sync(path.parent)
    except OSError as exc:
        raise StoreError(f"{path}: is damaged and cannot be set aside: {exc.strerror}") from exc
    log.error("store: set aside in %s, a new one is begun: %s", folder, why)
    _bound(path.parent)
    _finish(path)


def _finish(path: Path) -> None:
    """Bring over what can be read of the store that was set aside last, if that is not done yet."""
    found = [case for case in cases(path.parent) if case.what == "store"]
    if not found or found[-1].salvaged is not None or path.exists():
        return
    case = found[-1]
    salvaged = salvage(case.folder / path.name, path)
    log.warning("store: of the one set aside: %s", salvaged)
    _write(replace(case, salvaged=salvaged))


def _case(folder: Path, what: str, why: str, files: list[Path], lost_bytes: int) -> Case:
    return Case(
        folder=folder,
        what=what,
        error=why,
        time_ns=time.time_ns() // 1000 * 1000,  # as a mark keeps it
        files={file.name: _evidence(file) for file in files},
        lost_bytes=lost_bytes,
    )


def _evidence(file: Path) -> dict[str, int | str]:
    size = file.stat().st_size
    found: dict[str, int | str] = {"bytes": size}
    if size <= _HASHED_BYTES:
        try:
            found["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as exc:  # the disk gives it back no more
            found["unreadable"] = str(exc)
    return found


def _write(case: Case) -> None:
    content = asdict(case)
    del content["folder"]
    part = case.folder / (REASON + ".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    _sync(part)
    part.replace(case.folder / REASON)
    _sync(case.folder)


def _new_folder(path: Path) -> Path:
    parent = path.parent / FOLDER
    parent.mkdir(mode=0o750, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while (folder := parent / f"{stamp}-{number}").exists():
        number += 1
    folder.mkdir(mode=0o750)
    return folder


def _bound(state_dir: Path) -> None:
    """Give up the files of all but the newest, and the oldest of very many."""
    found = cases(state_dir)
    for case in found[:-_KEPT]:
        _give_up_files(case.folder)
    for case in found[:-_REASONS_KEPT]:
        shutil.rmtree(case.folder, ignore_errors=True)


def _give_up_files(folder: Path) -> int:
    given_bytes = 0
    for file in folder.iterdir():
        if file.name != REASON:
            given_bytes += file.stat().st_size
            file.unlink(missing_ok=True)
    return given_bytes


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The pieces of a support bundle: text by name, each bounded, secrets still in it."""

import importlib.metadata
import platform
import stat
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway import __version__
from gateway.client import NotRunningError, RefusedError, ask
from gateway.doctor.examination import examine
from gateway.doctor.finding import Box
from gateway.doctor.units import UNITS, run

PIECE_BYTES = 8_000_000
_LOG_BYTES = 2_000_000
_LISTED = 2000
_METRICS_S = 5.0
_SYSTEM_FILES = (
    "/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg", "/proc/mounts",
    "/sys/fs/cgroup/cgroup.controllers", "/proc/device-tree/model",
)  # fmt: skip

Piece = tuple[str, str]


def pieces(box: Box, *, with_samples: bool) -> Iterator[Piece]:
    """Yield the name and the text of each piece.

    Args:
        box: The box.
        with_samples: Raw data too: what devices said last, and what nobody could read.
    """
    yield "doctor.json", _json([{"check": name, **asdict(found)} for name, found in examine(box)])
    yield "versions.txt", _versions()
    yield from _system()
    yield from _configuration(box)
    yield "files.txt", _listing(box.settings.gateway.state_dir)
    yield from _asked(box, "status.json", "/status")
    if with_samples:
        for name, what in _SAMPLES.items():
            yield from _asked(box, name, what)
    else:
        yield from _reasons(box)
    yield from _metrics(box)
    yield from _logs(box)
    yield from _units()


_SAMPLES = {
    "samples/devices.json": "/devices",
    "samples/unclaimed.json": "/unclaimed",
    "samples/deadletters.json": "/deadletters?limit=200",
    "samples/outcomes.json": "/outcomes?limit=200",
}
_REASONS = (
    "SELECT reason, profile, count(*) AS messages, max(time) AS newest FROM dead_letter"
    " GROUP BY ALL ORDER BY messages DESC LIMIT 200"
)


def _versions() -> str:
    lines = [f"weir {__version__}", f"python {platform.python_version()}", platform.platform()]
    lines += sorted(
        f"{found.metadata['Name']} {found.version}" for found in importlib.metadata.distributions()
    )
    packages = run(
        "dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${db:Status-Abbrev}\n",
        "weir-*", "mosquitto*", "python3*", "systemd", "linux-image-*",
    )  # fmt: skip
    return "\n".join([*lines, "", packages or "(no packages of dpkg)"])


def _system() -> Iterator[Piece]:
    for path in _SYSTEM_FILES:
        text = _tail(Path(path), _LOG_BYTES)
        if text is not None:
            yield f"system/{Path(path).name}.txt", text
    for name, command in {
        "listening": ("ss", "-ltnup"),
        "disks": ("df", "-hT"),
        "time": ("timedatectl", "show", "--all"),
    }.items():
        if said := run(*command):
            yield f"system/{name}.txt", said


def _configuration(box: Box) -> Iterator[Piece]:
    if box.config:
        for path in (box.config, *sorted(box.config.with_suffix(".d").glob("*.toml"))):
            text = _tail(path, _LOG_BYTES)
            yield f"configuration/{path.name}", "(not readable)" if text is None else text
    effective = box.settings.model_dump(mode="json")
    yield "configuration/effective.json", _json(effective)
    for folder in box.settings.camera_dirs:
        for path in _sorted(folder, "*.toml"):
            yield f"configuration/cameras/{path.name}", _tail(path, _LOG_BYTES) or ""


def _asked(box: Box, name: str, what: str) -> Iterator[Piece]:
    try:
        yield name, _json(ask(box.settings.socket_path, what, limit_s=10.0))
    except (NotRunningError, RefusedError) as exc:
        yield name, _json({"error": str(exc)})


def _reasons(box: Box) -> Iterator[Piece]:
    """Yield why messages could not be read, without topics and payloads."""
    try:
        found = ask(box.settings.socket_path, "/sql", _REASONS, limit_s=10.0)
    except (NotRunningError, RefusedError):
        return
    yield "deadletters.json", _json(found)


def _metrics(box: Box) -> Iterator[Piece]:
    url = box.status["metrics"] if box.status else ""
    if not url.startswith("http://"):
        return
    try:
        with urllib.request.urlopen(url, timeout=_METRICS_S) as answer:  # noqa: S310 - of this gateway
            yield "metrics.txt", answer.read(PIECE_BYTES).decode(errors="replace")
    except OSError as exc:
        yield "metrics.txt", f"{url}: {exc}"


def _logs(box: Box) -> Iterator[Piece]:
    chosen = [argument for unit in UNITS for argument in ("-u", unit)]
    said = run(
        "journalctl", *chosen, "--since", "-7d", "-n", "20000", "-o", "short-iso", "--no-pager"
    )
    yield "logs/journal.txt", said or "(no journal here, or not allowed)"
    for path in _sorted(box.settings.gateway.state_dir / "leaf", "*.log*"):
        yield f"logs/leaf/{path.name}", _tail(path, _LOG_BYTES) or ""


def _units() -> Iterator[Piece]:
    for unit in UNITS:
        if said := run("systemctl", "show", unit):
            yield f"units/{unit}.txt", said
        if said := run("systemctl", "cat", unit):
            yield f"units/{unit}.cat.txt", said


def _listing(folder: Path) -> str:
    """Return what lies in a directory: mode, owner, size, time and name, not content."""
    lines = []
    for path in _sorted(folder, "**/*")[:_LISTED]:
        try:
            found = path.lstat()
        except OSError:
            continue
        at = datetime.fromtimestamp(found.st_mtime, UTC)
        lines.append(
            f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid} {found.st_size:>12,} "
            f"{at:%Y-%m-%d %H:%M:%S} {path.relative_to(folder)}"
        )
    return "\n".join(lines) or f"{folder}: nothing, or not allowed"


def _sorted(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _tail(path: Path, most_bytes: int) -> str | None:
    """Return the end of a file, None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            if path.stat().st_size > most_bytes:
                stream.seek(-most_bytes, 2)
            return stream.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return None


def _json(document: object) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    return orjson.dumps(document, default=str, option=options).decode()

"""Devices let in: from what is typed or listed to what is to be entered into each."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from gateway.access import broker, credentials
from gateway.access.authority import Authority
from gateway.access.errors import AccessError
from gateway.access.hosts import addresses, host_names
from gateway.access.register import Device, Register
from gateway.cli.console import out, print_json
from gateway.cli.device_lines import Entry, key_lines, lines
from gateway.cli.device_topics import DEFAULT_PROFILE, Dialect, Topics
from gateway.errors import ConfigError


def lines_of(file: Path, profile: str) -> list[tuple[str, str]]:
    """Return the devices that a file lists, each with its profile.

    Args:
        file: A line ``name`` or ``name,profile`` each, empty ones and ``#...`` are passed over;
            ``-`` for standard input.
        profile: Of those that name none.

    Raises:
        ConfigError: It cannot be read, or a line is something else.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"--from {file}: not readable: {exc}"]) from exc
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        name, *rest = (part.strip() for part in line.split(","))
        if (not name and not any(rest)) or name.startswith("#"):
            continue
        if len(rest) > 1 or not name:
            problems.append(f"--from {file}, line {number}: {line!r}: must be name or name,profile")
        found.append((name, (rest and rest[0]) or profile))
    if problems:
        raise ConfigError(problems)
    return found


def topics_of(wanted: Sequence[tuple[str, str]], dirs: Sequence[Path]) -> list[tuple[str, Topics]]:
    """Return the topics of devices by their profiles, each of which is read once.

    Args:
        wanted: Names, each with its profile; "" for the default.
        dirs: Folders of profiles.

    Raises:
        ConfigError: With every profile that there is not, or that names no topics of one device.
    """
    dialects: dict[str, Dialect] = {}
    found, problems = [], list[str]()
    for name, profile in wanted:
        said = profile or DEFAULT_PROFILE
        try:
            if said not in dialects:
                dialects[said] = Dialect(said, dirs)
            found.append((name, dialects[said].topics_of(name)))
        except ConfigError as exc:
            problems += exc.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def let_in(
    folder: Path,
    devices: Sequence[tuple[str, Topics]],
    *,
    psk: bool = False,
    password: str = "",
) -> list[dict[str, Any]]:
    """Put devices into the register, tell the broker once, and return what to enter into each.

    Args:
        folder: The files of access.
        devices: Each one's user, and what it may say and hear.
        psk: They get keys in place of passwords.
        password: The one that a device has already; new ones are made when left out.

    Raises:
        AccessError: One cannot be let in so; then none is.
    """
    at, entries, rows = now(), [], []
    for name, topics in devices:
        secret = password or new_secret(psk=psk)
        hashed, key = ("", secret) if psk else (credentials.hashed(secret), "")
        rows.append(Device(name, topics.profile, topics.own, topics.reads, hashed, key, at, at))
        entries.append({
            "name": name,
            "profile": topics.profile,
            "key" if psk else "password": secret,
            "own": topics.own,
            "reads": topics.reads,
        })  # fmt: skip
    Register(folder).add(*rows)
    told = broker.reload(folder)
    return [{**entry, "broker_told": told} for entry in entries]


def new_secret(*, psk: bool) -> str:
    """Return a new key or password."""
    return credentials.new_key() if psk else credentials.new_password()


def now() -> str:
    """Return the time as the register has it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show(
    entries: Sequence[dict[str, Any]], folder: Path, host: str, *, json: bool, topic: str = ""
) -> None:
    """Print what to enter into devices.

    Args:
        entries: As `let_in` returns them.
        folder: The files of access.
        host: The box, as devices reach it; its first address when left out.
        json: A line for each.
        topic: The name in its topics of a device that has another user.
    """
    where = host or (*addresses(), host_names()[0])[0]
    if json:
        for found in entries:
            print_json({**found, "host": where})
        return
    fingerprint = _fingerprint(folder)
    for found in entries:
        name, key = found["name"], found.get("key", "")
        may = f"its own topics: {some(found['own'])}" if found["own"] else (
            f"it may read {some(found['reads'])}"
        )  # fmt: skip
        out.print(f"[green]{name}[/green] may come in; {escape(may)}", soft_wrap=True)
        if key:
            text = key_lines(where, name, key)
        else:
            entry = Entry(where, name, found["password"], topic or name, fingerprint)
            text = lines(found["profile"], entry)
        out.print(text, markup=False, soft_wrap=True)
    if not all(found["broker_told"] for found in entries):
        out.print("[dim]the device broker does not run here now; it counts from its start[/dim]")
    name = entries[0]["name"] if len(entries) == 1 else "NAME"
    out.print(f"[dim]shown this once; a new one: weir device rotate {name}[/dim]")


def some(topics: Sequence[str], most: int = 3) -> str:
    """Return the first few topics."""
    more = f" and {len(topics) - most} more" if len(topics) > most else ""
    return ", ".join(topics[:most]) + more


def _fingerprint(folder: Path) -> str:
    try:
        return Authority(folder).tasmota_fingerprint()
    except AccessError:
        return ""  # made at the broker's first start

"""Files: whose they are, who can read the secrets, when certificates end."""

import os
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn

_SOON = timedelta(days=30)
_SECRETS = ("leaf/passwords.json", "leaf/nats.conf", "mqtt/passwords", "mqtt/psk", "mqtt/ca.key",
            "mqtt/server.key")  # fmt: skip
_OPENSSL_S = 10.0
_READ_ONLY = ("plugins", "profiles")


def state(box: Box) -> Iterator[Finding]:
    """Tell whether the state directory is there, the gateway's own, and nobody else's."""
    folder = box.settings.gateway.state_dir
    try:
        found = folder.stat()
    except FileNotFoundError:
        yield ok(f"{folder} is not there yet: the first start makes it")
        return
    except PermissionError:
        yield unseen(f"{folder}: not allowed")
        return
    strangers = _not_owned_by(folder, found.st_uid)
    if strangers:
        yield fail(
            f"in {folder} these belong to another user than {folder} itself, and may not be "
            f"written: {', '.join(strangers)}",
            f"chown -R --reference={folder} {folder}",
        )
    elif not box.is_root and not os.access(folder, os.W_OK | os.X_OK):
        yield unseen(f"{folder} belongs to user {found.st_uid}; this user may not write there")
    else:
        yield ok(f"{folder} belongs to user {found.st_uid}, and all in it")
    if found.st_mode & stat.S_IRWXO:
        yield warn(f"others can look into {folder}", f"chmod o= {folder}")


def _not_owned_by(folder: Path, uid: int) -> list[str]:
    """Return what belongs to others, of the first two levels.

    Plugins and profiles may be root's: what the gateway runs, it need not be able to change.
    """
    found = []
    for pattern in ("*", "*/*"):
        for path in sorted(folder.glob(pattern)):
            try:
                kept = path.relative_to(folder).parts[0] in _READ_ONLY
                if path.lstat().st_uid not in ({uid, 0} if kept else {uid}):
                    found.append(str(path.relative_to(folder)))
            except OSError:
                continue
    return found[:5]


def secrets(box: Box) -> Iterator[Finding]:
    """Tell whether anybody can read what only the gateway may."""
    open_ones, blocked = [], False
    for path in _secret_files(box):
        try:
            if path.stat().st_mode & stat.S_IRWXO:
                open_ones.append(str(path))
        except FileNotFoundError:
            continue
        except PermissionError:
            blocked = True
    if open_ones:
        yield fail(
            f"everybody on this box can read secrets: {', '.join(open_ones)}",
            f"chmod o= {' '.join(open_ones)}",
        )
    elif blocked:
        yield unseen("who can read the secrets")
    else:
        yield ok("secrets are for the gateway alone")


def _secret_files(box: Box) -> Iterator[Path]:
    hub, mqtt, state_dir = box.settings.hub, box.settings.mqtt, box.settings.gateway.state_dir
    for named in (hub.credentials_file, hub.login_file, mqtt.password_file):
        if named:
            yield named
    for name in _SECRETS:
        yield state_dir / name
    yield from _cameras(box)
    if box.config and "@" in box.settings.hub.url:  # a login in the url
        yield from (box.config, *box.config.with_suffix(".d").glob("*.toml"))


def _cameras(box: Box) -> Iterator[Path]:
    for folder in box.settings.camera_dirs:
        try:
            yield from sorted(folder.glob("*.toml"))
        except OSError:
            continue


def certificates(box: Box) -> Iterator[Finding]:
    """Tell when certificates end."""
    hub, mqtt, state_dir = box.settings.hub, box.settings.mqtt, box.settings.gateway.state_dir
    named = {
        "the broker's certificate": state_dir / "mqtt" / "server.pem",
        "the box's own authority": state_dir / "mqtt" / "ca.pem",
        "[hub] ca_file": hub.ca_file,
        "[mqtt] ca_file": mqtt.ca_file,
    }
    for what, path in named.items():
        try:
            is_there = bool(path and path.is_file())
        except PermissionError:
            yield unseen(f"{what}: {path}")
            continue
        if path and is_there:
            ends = _ends(path)
            if ends is None:
                yield unseen(f"{what}: openssl does not say when {path} ends", "")
            else:
                yield expiry(what, ends, datetime.now(UTC))


def expiry(what: str, ends: datetime, now: datetime) -> Finding:
    """Return whether a certificate lasts."""
    if ends < now:
        return fail(
            f"{what} has ended on {ends:%Y-%m-%d}",
            "a new one; of the broker: weir access prepare, then systemctl reload weir-mqtt",
        )
    if ends < now + _SOON:
        return warn(f"{what} ends on {ends:%Y-%m-%d}", "see that a new one comes in time")
    return ok(f"{what} lasts until {ends:%Y-%m-%d}")


def _ends(path: Path) -> datetime | None:
    try:
        said = subprocess.run(  # noqa: S603 - our own arguments
            ["openssl", "x509", "-in", str(path), "-noout", "-enddate"],  # noqa: S607 - of this system
            capture_output=True,
            text=True,
            timeout=_OPENSSL_S,
            check=True,
        ).stdout
        text = said.strip().removeprefix("notAfter=")
        return datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None

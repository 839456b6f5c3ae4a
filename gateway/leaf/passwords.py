"""The passwords of a nats-server's users: random, kept beside it, readable by its owner alone."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def keep_passwords(file: Path, users: Iterable[str]) -> dict[str, str]:
    """Return a password for each user: the kept one, or a new one that is kept from now on.

    A file that cannot be read as such is replaced: the server's configuration is written anew at
    every start, so nothing else holds the old ones.
    """
    kept = _read(file)
    passwords = {user: kept.get(user) or secrets.token_urlsafe(24) for user in users}
    if passwords != kept:
        write_private(file, json.dumps(passwords))
    return passwords


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read (0600), whole or not at all, and onto the disk."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
        _sync(file.parent)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: Path) -> dict[str, str]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {str(user): password for user, password in kept.items() if isinstance(password, str)}

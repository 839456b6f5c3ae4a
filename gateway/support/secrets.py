"""The secrets of this box, read so that they can be looked for; they go nowhere else."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.config import Settings

_STATE_FILES = ("leaf/passwords.json", "mqtt/*", "cameras/*", "hub/*")
_NO_SECRETS = ("acl", "index.txt", "serial")
_MOST_BYTES = 1_000_000
_SECRET_KEY = re.compile(r"pass|secret|token|key|psk|seed|login", re.IGNORECASE)


def known_secrets(settings: Settings, config: Path | None) -> set[str]:
    """Return all that must not leave the box, as far as this user can read it.

    Args:
        settings: The configuration.
        config: ``gateway.toml``.
    """
    found: set[str] = set()
    for path in _secret_files(settings, config):
        if text := _read(path):
            found |= set(in_file(path, text))
    hub = urlsplit(settings.hub.url)
    for part in (hub.username, hub.password):
        if part:
            found |= {part, unquote(part)}
    return {secret for secret in found if secret}


def in_file(path: Path, text: str) -> Iterator[str]:
    """Yield the secrets in one file, by what kind it is.

    Args:
        path: Its name says the kind.
        text: Its content.
    """
    if path.suffix == ".json":
        yield from _in_document(_json(text))
    elif path.suffix == ".toml":
        yield from _in_document(_toml(text))
    elif path.name in {"passwords", "psk"}:  # user:hash, identity:key
        yield from (line.partition(":")[2].strip() for line in text.splitlines() if ":" in line)
    elif path.suffix in {".creds", ".key"}:
        yield from (line.strip() for line in text.splitlines() if line and line[0] not in "-*")
    elif path.name not in _NO_SECRETS and path.suffix not in {".pem", ".pid", ".conf", ".db"}:
        yield from _whole(text)  # a file of one secret: a password, a login, a token


def _whole(text: str) -> Iterator[str]:
    stripped = text.strip()
    if not stripped or len(stripped) > 4096:
        return
    yield stripped
    for line in stripped.splitlines():
        yield line.strip()
        yield from (unquote(part) for part in line.strip().split(":"))
        yield from line.strip().split(":")


def _in_document(found: Any, key: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON or TOML
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _in_document(value, name)
    elif isinstance(found, list):
        for value in found:
            yield from _in_document(value, key)
    elif isinstance(found, str):
        if "://" in found:
            parts = urlsplit(found)
            yield from (p for p in (parts.username, parts.password, parts.query) if p)
        elif (_SECRET_KEY.search(key) and "file" not in key) or key in {"sys", "ingest", "up"}:
            yield found


def _secret_files(settings: Settings, config: Path | None) -> Iterator[Path]:
    for named in (
        settings.hub.credentials_file,
        settings.hub.login_file,
        settings.mqtt.password_file,
    ):
        if named:
            yield named
    for pattern in _STATE_FILES:
        yield from _glob(settings.gateway.state_dir, pattern)
    for folder in settings.camera_dirs:
        yield from _glob(folder, "*")
    if config:
        yield config
        yield from _glob(config.with_suffix(".d"), "*.toml")
        yield from _glob(config.absolute().parent / "secrets", "*")


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    return ""


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError:
        return None


def _toml(text: str) -> Any:  # noqa: ANN401 - any TOML
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None

"""The files that make a gateway belong to a hub: its table in ``gateway.d``, and its secrets."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.config import HubSection, load_settings
from gateway.errors import ConfigError
from gateway.joining.login import Invitation

_HEAD = "# Written by `weir join`; `weir leave` takes it back.\n[hub]\n"


@dataclass(frozen=True, slots=True)
class Papers:
    """Where a gateway's papers lie.

    Attributes:
        config: ``gateway.toml``.
        state_dir: Whose group may read the secrets: the gateway's.
    """

    config: Path
    state_dir: Path

    @property
    def table(self) -> Path:
        """Return the file that names the hub."""
        return self.config.with_suffix(".d") / "hub.toml"

    @property
    def secrets(self) -> Path:
        """Return the folder of secrets."""
        return self.config.absolute().parent / "secrets"

    def files(self) -> dict[str, Path]:
        """Return where credentials, login and authority are kept, by their keys in ``[hub]``."""
        return {
            "credentials_file": self.secrets / "hub.creds",
            "login_file": self.secrets / "hub.login",
            "ca_file": self.secrets / "hub.ca.pem",
        }

    def write(self, asked: Invitation) -> HubSection:
        """Write everything, and see that the gateway will read it so.

        Returns:
            The table as written.

        Raises:
            ConfigError: A file cannot be written; or something else in the configuration says
                otherwise, and then all is as it was.
        """
        before = {path: _read(path) for path in (self.table, *self.files().values())}
        try:
            written = self._write(asked)
            self._check(written)
        except (OSError, ConfigError) as exc:
            self._put_back(before)
            if isinstance(exc, OSError):
                hint = "; run it as root" if isinstance(exc, PermissionError) else ""
                raise ConfigError([f"{exc.filename}: {exc.strerror}{hint}"]) from exc
            raise
        return written

    def remove(self) -> bool:
        """Take everything back; return whether there was a table.

        Raises:
            ConfigError: A file cannot be removed.
        """
        there = self.table.is_file()
        try:
            for path in (self.table, *self.files().values()):
                path.unlink(missing_ok=True)
        except OSError as exc:
            raise ConfigError([f"{exc.filename}: {exc.strerror}; run it as root"]) from exc
        with suppress(OSError):
            self.secrets.rmdir()  # stays where it holds something else
        return there

    def _write(self, asked: Invitation) -> HubSection:
        content: dict[str, bytes] = {}
        if asked.creds:
            content["credentials_file"] = asked.creds.read_bytes()
        if asked.login:
            content["login_file"] = asked.login.encode() + b"\n"
        if asked.ca:
            content["ca_file"] = asked.ca.read_bytes()
        lines = [f"url = {json.dumps(asked.url)}\n"]
        if content:
            self._make(self.secrets, 0o750)
        for key, path in self.files().items():
            if key in content:
                self._put(path, content[key], 0o640)
                lines.append(f"{key} = {json.dumps(str(path))}\n")
            else:
                path.unlink(missing_ok=True)
        self._make(self.table.parent, 0o755)
        self._put(self.table, (_HEAD + "".join(lines)).encode(), 0o644)
        paths = {key: path for key, path in self.files().items() if key in content}
        return HubSection.model_validate({"url": asked.url, **paths})

    def _check(self, written: HubSection) -> None:
        found = load_settings(self.config).hub
        wrong = [
            key for key in HubSection.model_fields if getattr(found, key) != getattr(written, key)
        ]
        if wrong:
            raise ConfigError(
                [
                    f"hub.{key} is set elsewhere too, in {self.config}, a later file of "
                    f"{self.table.parent} or the environment (WEIR_HUB__{key.upper()}): take it "
                    "out there first"
                    for key in wrong
                ]
            )

    def _make(self, folder: Path, mode: int) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            self._give(folder, mode)

    def _put(self, path: Path, content: bytes, mode: int) -> None:
        """Write a file whole or not at all; at no moment can others read a secret."""
        part = path.with_name(path.name + ".part")  # gateway.d/*.toml does not match it
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._give(part, mode)
        part.replace(path)

    def _give(self, path: Path, mode: int) -> None:
        """Set the mode; as root let the gateway's group in."""
        if os.geteuid() == 0 and self.state_dir.exists():
            os.chown(path, 0, self.state_dir.stat().st_gid)
        path.chmod(mode)

    def _put_back(self, before: dict[Path, bytes | None]) -> None:
        with suppress(OSError):
            for path, content in before.items():
                if content is None:
                    path.unlink(missing_ok=True)
                elif _read(path) != content:
                    self._put(path, content, 0o644 if path == self.table else 0o640)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

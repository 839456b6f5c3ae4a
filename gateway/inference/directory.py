"""The folders that plugins are dropped into: what is there, and what changed."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import PluginError
from gateway.folders import watch_folders
from gateway.inference.manifest import Manifest, load_manifest


@dataclass(frozen=True, slots=True)
class Found:
    """A valid plugin and the hash of all its files."""

    manifest: Manifest
    digest: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in the folders.

    Attributes:
        plugins: The valid ones by name.
        rejected: Why the others cannot be used.
    """

    plugins: dict[str, Found]
    rejected: tuple[PluginError, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """How one inventory differs from the one before.

    Attributes:
        added, changed: Plugins to start, and to start in place of the one that runs.
        removed: Names of plugins to stop: gone, or no longer valid.
        rejected: All that cannot be used now.
    """

    added: tuple[Manifest, ...]
    changed: tuple[Manifest, ...]
    removed: tuple[str, ...]
    rejected: tuple[PluginError, ...]


OnChange = Callable[[Change], Awaitable[None]]


class PluginDirectory:
    """Finds plugins in folders.

    Args:
        dirs: Folders of plugin folders; a valid plugin replaces one of its name in an earlier
            folder.
        disabled: Names of plugins to leave out.
    """

    def __init__(self, dirs: Sequence[Path], disabled: Sequence[str] = ()) -> None:
        self._dirs = tuple(dirs)
        self._disabled = frozenset(disabled)
        self._current = Inventory({}, ())

    def scan(self) -> Inventory:
        """Read all folders and return what is there; ``watch`` tells what changes after it."""
        plugins: dict[str, Found] = {}
        rejected: list[PluginError] = []
        for folder in self._candidates():
            try:
                plugins[folder.name] = Found(load_manifest(folder), content_digest(folder))
            except PluginError as exc:
                rejected.append(exc)
            except OSError as exc:
                rejected.append(PluginError(str(folder), "", f"not readable: {exc}"))
        self._current = Inventory(plugins, tuple(rejected))
        return self._current

    async def watch(self, on_change: OnChange) -> None:
        """Call ``on_change`` whenever the plugins differ from the last scan, until cancelled.

        A folder is taken up once nothing in the directory changed for half a second. Directories
        that are not there are made, or watched as soon as they are.
        """

        async def look() -> None:
            await self._tell(on_change)

        await watch_folders(self._dirs, look)

    async def _tell(self, on_change: OnChange) -> None:
        before = self._current
        now = await asyncio.to_thread(self.scan)
        change = compare(before, now)
        told = [str(exc) for exc in before.rejected] != [str(exc) for exc in now.rejected]
        if change.added or change.changed or change.removed or told:
            await on_change(change)

    def _candidates(self) -> list[Path]:
        """Return the plugin folders, later directories last."""
        return [
            folder
            for path in self._dirs
            for folder in sorted(path.glob("*/"))
            if not _is_hidden(folder) and folder.name not in self._disabled
        ]


def compare(before: Inventory, now: Inventory) -> Change:
    """Return what changed from one inventory to the next, by content."""
    old, new = before.plugins, now.plugins
    return Change(
        added=tuple(new[name].manifest for name in new if name not in old),
        changed=tuple(
            new[name].manifest for name in new if name in old and _key(new[name]) != _key(old[name])
        ),
        removed=tuple(name for name in old if name not in new),
        rejected=now.rejected,
    )


def content_digest(folder: Path) -> str:
    """Return the SHA-256 of all files of a plugin: their paths and bytes.

    Hidden files and ``__pycache__`` are left out: they come and go by themselves.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder)
        if file.is_file() and not any(_is_hidden(Path(part)) for part in parts.parts):
            digest.update(f"{parts}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _key(found: Found) -> tuple[Path, str]:
    return found.manifest.folder, found.digest


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__pycache__"

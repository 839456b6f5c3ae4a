"""The folders that cameras' files are dropped into: what is there, and what changed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import CameraError
from gateway.folders import watch_folders
from gateway.ingest.cameras.settings import CameraSettings, load_camera

MAX_CAMERAS = 256
"""Each has a thread; files above the bound are set aside."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in the folders.

    Attributes:
        cameras: The valid ones by name.
        rejected: Why the others cannot be used.
    """

    cameras: dict[str, CameraSettings]
    rejected: tuple[CameraError, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """How one inventory differs from the one before.

    Attributes:
        cameras: All valid ones by name, for `Cameras.configure`.
        added, changed, removed: Names; one whose file is no longer valid goes on as it was.
        rejected: All that cannot be used now.
    """

    cameras: dict[str, CameraSettings]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    rejected: tuple[CameraError, ...]


OnChange = Callable[[Change], Awaitable[None]]


class CameraDirectory:
    """Finds cameras' files in folders.

    Args:
        dirs: The folders; a valid file replaces one of its name in an earlier folder.
    """

    def __init__(self, dirs: Sequence[Path]) -> None:
        self._dirs = tuple(dirs)
        self._current = Inventory({}, ())

    @property
    def cameras(self) -> dict[str, CameraSettings]:
        """Return the valid ones of the last scan, by name."""
        return self._current.cameras

    @property
    def rejected(self) -> tuple[CameraError, ...]:
        """Return what could not be used at the last scan."""
        return self._current.rejected

    def scan(self) -> Inventory:
        """Read all folders and return what is there; ``watch`` tells what changes after it."""
        cameras: dict[str, CameraSettings] = {}
        rejected: list[CameraError] = []
        for file in self._files():
            try:
                settings = load_camera(file)
            except CameraError as exc:
                rejected.append(exc)
                before = self._current.cameras.get(file.stem)
                if before is not None:  # somebody is editing it; it goes on as it was
                    cameras[file.stem] = before
                continue
            if file.stem in cameras or len(cameras) < MAX_CAMERAS:
                cameras[file.stem] = settings
            else:
                many = f"there are {MAX_CAMERAS} cameras already"
                rejected.append(CameraError(str(file), "", many))
        self._current = Inventory(cameras, tuple(rejected))
        return self._current

    async def watch(self, on_change: OnChange) -> None:
        """Call ``on_change`` whenever the cameras differ from the last scan, until cancelled.

        They differ by what their files say: one that is touched, or gets another comment, does not
        change. Folders that are not there are made, or watched as soon as they are.
        """

        async def look() -> None:
            before = self._current
            now = await asyncio.to_thread(self.scan)
            change = compare(before, now)
            told = [str(exc) for exc in before.rejected] != [str(exc) for exc in now.rejected]
            if change.added or change.changed or change.removed or told:
                await on_change(change)

        await watch_folders(self._dirs, look)

    def _files(self) -> list[Path]:
        return [
            file
            for path in self._dirs
            for file in sorted(path.glob("*.toml"))
            if not file.name.startswith(".")
        ]


def compare(before: Inventory, now: Inventory) -> Change:
    """Return what changed from one inventory to the next, by content."""
    old, new = before.cameras, now.cameras
    return Change(
        cameras=new,
        added=tuple(name for name in new if name not in old),
        changed=tuple(name for name in new if name in old and new[name] != old[name]),
        removed=tuple(name for name in old if name not in new),
        rejected=now.rejected,
    )

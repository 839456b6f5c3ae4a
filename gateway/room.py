"""Room on the disk: when it runs short raw data gives way, so that outcomes can still be kept."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Level = Literal["ok", "low", "full", "read-only"]

_FULL_SHARE = 4  # of the reserve
_BACK = 1.25  # so much more must be free before it is better again: no to and fro at the edge


@dataclass(slots=True)
class Room:
    """How much is free where the state directory lies.

    Attributes:
        path: A directory there.
        reserve_bytes: Below this the store grows no more, and what may go goes; below a quarter
            of it readings are not stored any more.
        free_bytes, total_bytes: As of the last look.
        level: What follows from it.
    """

    path: Path
    reserve_bytes: int
    free_bytes: int = 0
    total_bytes: int = 0
    level: Level = "ok"

    @property
    def full_bytes(self) -> int:
        """Return below which room readings are not stored."""
        return self.reserve_bytes // _FULL_SHARE

    @property
    def stores(self) -> bool:
        """Say whether readings may be stored."""
        return self.level in {"ok", "low"}

    def look(self) -> Level:
        """Look how much is free, and return what follows."""
        found = os.statvfs(self.path)
        self.free_bytes = found.f_bavail * found.f_frsize
        self.total_bytes = found.f_blocks * found.f_frsize
        read_only = bool(found.f_flag & os.ST_RDONLY)
        self.level = "read-only" if read_only else self._judge(self.free_bytes)
        return self.level

    def _judge(self, free_bytes: int) -> Level:
        was_full = not self.stores
        if free_bytes < self.full_bytes * (_BACK if was_full else 1):
            return "full"
        if free_bytes < self.reserve_bytes * (1 if self.level == "ok" else _BACK):
            return "low"
        return "ok"

    def why(self) -> str:
        """Return why readings are not stored; "" when they are."""
        if self.level == "read-only":
            return f"the file system of {self.path} is read-only"
        if self.level == "full":
            return (
                f"the disk is full: {self.free_bytes / 1e6:,.1f} MB are free, below "
                f"{self.full_bytes / 1e6:,.0f} MB nothing but outcomes is kept"
            )
        return ""

"""Room that is kept for outcomes: a file that is given up when the disk is full.

nats-server does not come back by itself from a write that found no room; with the room of this
file, and a restart, it takes outcomes again while raw data has to wait.
"""

import errno
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

NAME = "ballast"


class Ballast:
    """The file, and when it is given up and made again.

    Args:
        directory: The server's.
        size_bytes: How large; 0 for none.
    """

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._file = directory / NAME
        self._size_bytes = size_bytes

    @property
    def is_there(self) -> bool:
        """Say whether there is something to give up."""
        return self._file.exists()

    def is_short(self) -> bool:
        """Say whether there is less room than a server needs to go on."""
        return self._free_bytes() < self._size_bytes // 2

    def look(self) -> bool:
        """Give it up when room is short, make it again when there is plenty.

        Returns:
            Whether it was given up now.
        """
        if self.is_short():
            return self._give_up()
        if not self.is_there and self._free_bytes() > 3 * self._size_bytes:
            self._make()
        return False

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._file.parent).free

    def _give_up(self) -> bool:
        with suppress(FileNotFoundError):
            self._file.unlink()
            log.error("leaf: the disk is full: its reserve of %d bytes is used", self._size_bytes)
            return True
        return False

    def _make(self) -> None:
        if not self._size_bytes:
            return
        part = self._file.with_name(NAME + ".part")
        try:
            with part.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
            part.replace(self._file)
        except OSError as exc:
            part.unlink(missing_ok=True)
            if exc.errno != errno.ENOSPC:
                raise

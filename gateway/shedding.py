"""What gives way when the disk runs full: snapshots, readings; outcomes never."""

import asyncio
import logging

from gateway.errors import StoreError
from gateway.features import FeatureService
from gateway.features.aside import shed
from gateway.notices import FAULT, Notice, Notices
from gateway.room import Level, Room
from gateway.snapshots import Album

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_LABELS: dict[Level, str] = {
    "ok": "disk-ok", "low": "disk-low", "full": "disk-full", "read-only": "disk-read-only",
}  # fmt: skip


class Shedding:
    """Looks at the room there is until cancelled, and makes some.

    Args:
        room: What is free.
        store: Of the readings.
        album: Of the snapshots.
        notices: Where it is told.
        gateway: The gateway's name.
    """

    def __init__(
        self, room: Room, store: FeatureService, album: Album, notices: Notices, gateway: str
    ) -> None:
        self._room = room
        self._store = store
        self._album = album
        self._notices = notices
        self._gateway = gateway

    async def run(self) -> None:
        """Look until cancelled."""
        was: Level = "ok"
        last = self._notices.last(FAULT, self._gateway, "disk")
        if last and last.label != _LABELS["ok"]:
            self._tell(self._look(was))
        while True:
            level = await asyncio.to_thread(self._look, was)
            self._store.held = self._room.why()
            if level != was:
                self._tell(level)
                await self._follow(level)
                was = level
            await asyncio.sleep(_LOOK_S)

    def _look(self, was: Level) -> Level:
        try:
            return self._room.look()
        except OSError as exc:
            log.error("disk: %s: %s", self._room.path, exc.strerror)  # noqa: TRY400 - says it all
            return was

    async def _follow(self, level: Level) -> None:
        if level == "ok":
            self._store.loosen()
        if level not in {"low", "full"}:
            return
        given = await asyncio.to_thread(self._give_up_files)
        log.warning("disk: %s; snapshots and set-aside stores gave %d bytes", level, given)
        if level == "low":
            try:
                await self._store.tighten()
            except StoreError as exc:
                log.error("disk: the store cannot be made smaller: %s", exc)  # noqa: TRY400 - says it all

    def _give_up_files(self) -> int:
        return self._album.clear() + shed(self._room.path)

    def _tell(self, level: Level) -> None:
        self._notices.tell(
            Notice(
                FAULT,
                self._gateway,
                _LABELS[level],
                self._notices.now_ns(),
                score=0.0 if level == "ok" else 1.0,
                numbers={"free_mb": self._room.free_bytes / 1e6},
                about="disk",
            )
        )

"""The folders that profiles are dropped into: the catalog in use, as they change."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import ProfileError
from gateway.folders import watch_folders
from gateway.model import Decoded, RawMessage
from gateway.profiles.catalog import Catalog

log = logging.getLogger(__name__)

SETTLE_MS = 300  # without a further change: a folder that is being copied is not taken up half
SETTLE_AT_MOST_MS = 3_000


class ProfileDirectory:
    """Decodes with the profiles that lie in some folders now.

    A catalog is replaced as a whole, between two messages. A profile that becomes bad stays as it
    was; what profiles have learned from messages stays too.

    Args:
        dirs: Folders of profile folders, see `Catalog.load`.
        timezone: IANA name of the zone of devices that tell local time.

    Attributes:
        catalog: The profiles in use.

    Raises:
        ConfigError: There is no such time zone.
    """

    def __init__(self, dirs: Sequence[Path], timezone: str) -> None:
        self._dirs = tuple(dirs)
        self._timezone = timezone
        self.catalog = Catalog.load(self._dirs, timezone)
        self._told: set[str] = set()
        self._tell(self.catalog.rejected)

    def decode(self, message: RawMessage) -> Decoded:
        """Return what a message says; see `Catalog.decode`."""
        return self.catalog.decode(message)

    def device_of(self, topic: str) -> str | None:
        """Return the device that a topic alone names; see `Catalog.device_of`."""
        return self.catalog.device_of(topic)

    def reload(self) -> None:
        """Read what has changed in the folders."""
        self._replace(self._load())

    async def watch(self) -> None:
        """Follow the folders until cancelled; those that are not there are made if they can be."""
        await watch_folders(
            self._dirs, self._look, settle_ms=SETTLE_MS, settle_at_most_ms=SETTLE_AT_MOST_MS
        )

    async def _look(self) -> None:
        # In a thread: YAML takes long. What is learned meanwhile is in the memories that both
        # catalogs share; only new topics must be looked up again.
        self._replace(await asyncio.to_thread(self._load))

    def _load(self) -> Catalog:
        return Catalog.load(self._dirs, self._timezone, self.catalog)

    def _replace(self, catalog: Catalog) -> None:
        before, self.catalog = self.catalog, catalog
        catalog.attend()
        old = {each.name: each for each in before.profiles}
        new = {each.name: each for each in catalog.profiles}
        for name in sorted(old.keys() - new.keys()):
            log.info("profile %s: gone", name)
        for name in sorted(new):
            if name not in old or before.profile(name) is not catalog.profile(name):
                log.info("profile %s: active, from %s", name, new[name].file)
        self._tell(catalog.rejected)

    def _tell(self, rejected: list[ProfileError]) -> None:
        """Log what is wrong, once as long as it is."""
        for error in rejected:
            if str(error) not in self._told:
                log.error("profile set aside: %s", error)
        self._told = {str(error) for error in rejected}

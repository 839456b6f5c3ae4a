"""Which plugins run: those in the plugin directories, as they come, change and go."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from gateway.errors import PluginError, WorkerError
from gateway.inference.directory import Change, PluginDirectory
from gateway.inference.manifest import Manifest
from gateway.inference.port import Health, ModelRunner, State
from gateway.inference.runner import WorkerRunner
from gateway.pipeline import Pipeline

log = logging.getLogger(__name__)

Check = Callable[[Manifest], None]
"""Raises `PluginError` where a plugin cannot work on this gateway, whatever it finds."""


class Roster:
    """Starts and stops plugins, each in its own process.

    Args:
        directory: Where plugins are dropped in.
        check: What must hold before a plugin is started.
    """

    def __init__(self, directory: PluginDirectory, check: Check) -> None:
        self._directory = directory
        self._check = check
        self._pipeline: Pipeline | None = None
        self._launching: asyncio.Task[None] | None = None
        self._runners: dict[str, ModelRunner] = {}
        self._rejected: tuple[PluginError, ...] = ()
        self._refused: dict[str, PluginError] = {}

    @property
    def set_aside(self) -> list[PluginError]:
        """Return why folders that lie there are not used."""
        return [*self._rejected, *self._refused.values()]

    def healths(self) -> dict[str, tuple[Manifest, Health]]:
        """Return each plugin's manifest and health, by name."""
        return {name: (runner.manifest, runner.health) for name, runner in self._runners.items()}

    def launch(self) -> None:
        """Begin to start all plugins that are there now: they load while the rest starts."""
        self._launching = asyncio.create_task(self._launch(), name="launching plugins")

    async def _launch(self) -> None:
        found = await asyncio.to_thread(self._directory.scan)
        self._note_rejected(found.rejected)
        await self._start_all(each.manifest for each in found.plugins.values())

    async def join(self, pipeline: Pipeline) -> None:
        """Wait until they are started, and have their windows evaluated.

        Args:
            pipeline: Where windows are evaluated.
        """
        if self._launching:
            await self._launching
        self._pipeline = pipeline
        for runner in self._runners.values():
            await pipeline.add_plugin(runner.manifest, runner)

    async def watch(self) -> None:
        """Follow the directories until cancelled."""
        await self._directory.watch(self._follow)

    async def stop(self) -> None:
        """End all plugins' processes. May be called twice."""
        if self._launching and not self._launching.done():
            self._launching.cancel()
            await asyncio.wait([self._launching])
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))

    async def _follow(self, change: Change) -> None:
        self._note_rejected(change.rejected)
        for name in change.removed:
            await self._stop_one(name)
            log.info("plugin %s: gone", name)
        await self._start_all([*change.added, *change.changed])

    def _note_rejected(self, rejected: tuple[PluginError, ...]) -> None:
        for error in rejected:
            if str(error) not in {str(known) for known in self._rejected}:
                log.error("plugin set aside: %s", error)
        self._rejected = rejected

    async def _start_all(self, manifests: Iterable[Manifest]) -> None:
        await asyncio.gather(*(self._start_one(manifest) for manifest in manifests))

    async def _start_one(self, manifest: Manifest) -> None:
        """Start a plugin; one of its name works on until the new one is ready."""
        name = manifest.name
        self._refused.pop(name, None)
        runner = WorkerRunner(manifest)
        try:
            self._check(manifest)
            await runner.start()
        except PluginError as exc:
            await runner.stop()
            log.error("plugin set aside: %s", exc)  # noqa: TRY400 - its text says all
            if name in self._runners:
                await self._stop_one(name)
            self._refused[name] = exc
            return
        except WorkerError as exc:
            log.error("plugin %s is tried again: %s", name, exc)  # noqa: TRY400 - its text says all
        old = self._runners.get(name)
        self._runners[name] = runner
        if self._pipeline:
            await self._pipeline.add_plugin(manifest, runner)
        if old:
            await old.stop()
        log.info("plugin %s %s: active", name, manifest.version)

    async def _stop_one(self, name: str) -> None:
        self._refused.pop(name, None)
        if self._pipeline:
            await self._pipeline.remove_plugin(name)
        runner = self._runners.pop(name, None)
        if runner:
            await runner.stop()


def is_well(health: Health) -> bool:
    """Say whether a plugin answered its golden input and works."""
    return health.state is State.HEALTHY

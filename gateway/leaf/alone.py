"""The leaf as a process of its own: served until it is told to stop."""

import asyncio
import logging

from gateway.config import Settings
from gateway.errors import LeafError
from gateway.leaf import claim
from gateway.leaf.leaf import Leaf
from gateway.notify import Notifier
from gateway.watchdog import keep_alive

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event, notifier: Notifier) -> None:
    """Run the leaf of a state directory until ``stop`` is set.

    Raises:
        ConfigError: The configuration cannot be rendered.
        LeafError: It does not start, or another process uses the directory.
    """
    leaf = Leaf(settings, role=claim.ALONE)
    notifier.status("starting nats-server")
    starting = asyncio.create_task(leaf.start())
    stopped = asyncio.create_task(_wait(stop))
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        await starting
        notifier.ready(line(leaf))
        log.info("leaf: ready, %s", line(leaf))
        await _watch(leaf, stopped, notifier)
    finally:
        notifier.stopping()
        for task in (starting, stopped):
            task.cancel()
        await asyncio.gather(starting, stopped, return_exceptions=True)
        await leaf.stop()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _watch(leaf: Leaf, stopped: "asyncio.Task[None]", notifier: Notifier) -> None:
    async def answers() -> bool:
        return leaf.state().ready

    watching = [
        asyncio.create_task(leaf.watch()),
        asyncio.create_task(keep_alive(notifier, {"nats-server": answers}, lambda: line(leaf))),
    ]
    try:
        await asyncio.wait({stopped, *watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in watching:
            task.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise LeafError(f"the leaf's supervisor failed: {result!r}") from result


def line(leaf: Leaf) -> str:
    """Return how it is, in one line."""
    state = leaf.state()
    answers = "answers" if state.ready else "does not answer, is restarted"
    link = {None: "no hub", True: "hub up", False: "hub away: outcomes wait here"}[state.link]
    return f"nats-server {answers}; {link}; {state.restarts} restarts"

"""What systemd is told of a running gateway: that it serves, that it works, how it is."""

import asyncio

from gateway.notify import Notifier
from gateway.status import Running, is_ready
from gateway.watchdog import Check, keep_alive

_BROKER_S = 15.0
_LOOK_S = 0.1


async def supervise(running: Running, notifier: Notifier) -> None:
    """Tell systemd that the gateway serves devices, then that it works, until cancelled.

    A broker that is away does not hold up the start for long: it may be another machine, and what
    waits for this service would wait with it.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _BROKER_S
    while not is_ready(running) and loop.time() < until_s:  # noqa: ASYNC110 - plain state
        await asyncio.sleep(_LOOK_S)
    notifier.ready(line(running))
    await keep_alive(notifier, checks(running), lambda: line(running))


def checks(running: Running) -> dict[str, Check]:
    """Return the parts without which a gateway that runs does not work.

    Not among them: a broker or hub that is away, plugins, cameras. A restart helps none of them.
    """

    async def store() -> bool:
        if not running.room.stores:  # a restart makes no room
            return True
        return await running.store.answers() and running.pipeline.is_storing

    async def leaf() -> bool:
        if running.leaf.is_waited_for:  # its own unit's watchdog sees to that
            return True
        await running.outbox.depth()
        return running.leaf.state().ready

    return {"store": store, "leaf": leaf}


def line(running: Running) -> str:
    """Return how a gateway is, in one line."""
    broker = "broker connected" if running.source.connected else f"broker: {running.source.reason}"
    leaf = "" if running.leaf.state().ready else "; leaf does not answer"
    leaf += f"; {running.store.held}" if running.store.held else ""
    devices = len(running.store.register.devices)
    if not running.settings.hub.url:
        hub = "no hub"
    else:
        hub = "hub up" if running.forwarder.state().up else "hub away"
    return f"{broker}{leaf}; {devices} devices; {hub}, {running.queue.packets:,} outcomes wait"

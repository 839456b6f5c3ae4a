"""The demo as a play: what is started, what happens when, and whether the sums add up."""

import asyncio
import signal
import tempfile
import time
from collections import Counter, deque
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.demo.camera import camera
from gateway.demo.devices import names, run_devices
from gateway.demo.plant import Plant
from gateway.demo.stage import DemoError, asked, started_gateway, write_config
from gateway.errors import GatewayError
from gateway.leaf.hub import Hub, HubOptions
from gateway.leaf.relay import Relay
from gateway.outcomes.reader import Told, outcomes_at_hub

CUT_AFTER_S = 20.0
CUT_FOR_S = 10.0
_SETTLE_S = 15.0
_LOOK_S = 0.25
_KEPT_OUTCOMES = 40
_QUEUE_LOOKS = 60


@dataclass(slots=True)
class Scene:
    """What there is to see now.

    Attributes:
        said: What happened last, in a sentence.
        link: Of the relay before the hub: up, cut, or back after it was cut.
        status: The gateway's own, or empty while it starts.
        devices: With their newest readings.
        outcomes: The newest at the hub, newest first.
        queue: What waited for the hub, a look each second, the newest last.
        readings_per_s: Over the last second.
        published: Messages by device, as the devices count them.
    """

    began: float = field(default_factory=time.monotonic)
    said: str = "starting hub and gateway ..."
    link: Literal["up", "cut", "back"] = "up"
    status: dict[str, Any] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Told] = field(default_factory=list)
    at_hub: int = 0
    queue: deque[int] = field(default_factory=lambda: deque(maxlen=_QUEUE_LOOKS))
    readings_per_s: float = 0.0
    published: Counter[str] = field(default_factory=Counter)
    firmware: dict[str, str] = field(default_factory=lambda: dict(names()))


class Show:
    """One run of the demo.

    Args:
        seconds: How long the devices speak; 0 until SIGINT or SIGTERM.
        seed: The plant's.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self.scene = Scene()
        self._seconds = seconds
        self._seed = seed
        self._packet_bytes_max = 0
        self._stop = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """Play it and return the report.

        Raises:
            GatewayError: Something did not start, or broke down.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            async with AsyncExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-demo-")))
                return await self._run(folder, stack)
        except ExceptionGroup as exc:
            first = exc.exceptions[0]
            raise DemoError(f"{type(first).__name__}: {first}") from exc
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _run(self, folder: Path, stack: AsyncExitStack) -> dict[str, Any]:
        hub = Hub(HubOptions(folder / "hub", client_port=0, leaf_port=0, mqtt_port=0))
        await hub.start()
        stack.push_async_callback(hub.stop)
        relay = await stack.enter_async_context(Relay(("127.0.0.1", hub.leaf_port)))
        looking = await stack.enter_async_context(AsyncExitStack())
        camera_url = await looking.enter_async_context(camera(self._seed))
        config = write_config(folder, relay.port, camera_url)
        socket_path = await stack.enter_async_context(started_gateway(folder, config))
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(self._watch(socket_path)),
                group.create_task(self._read(hub)),
            ]
            cutting = group.create_task(self._cut(relay))
            await self._play(socket_path)
            await looking.aclose()
            cutting.cancel()
            await relay.restore()
            if self.scene.link == "cut":
                self.scene.link = "back"
            await self._settle(socket_path, hub)
            for task in watching:
                task.cancel()
        return self._report(await hub.count())

    async def _play(self, socket_path: Path) -> None:
        self.scene.status = await asked(socket_path, "/status")
        host, _, port = self.scene.status["broker"]["url"].partition("://")[2].partition(":")
        self.scene.said = "the pump is being learned; its bearing begins to wear at 12 s"
        self.scene.began = time.monotonic()
        speaking = asyncio.create_task(
            run_devices(host, int(port), Plant(self._seed), published=self.scene.published)
        )
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait(
            {speaking, stopped},
            timeout=self._seconds or None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (speaking, stopped):
            task.cancel()
        ended = await asyncio.gather(speaking, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]
        self.scene.said = "devices and camera are silent; what is under way is finished"

    async def _cut(self, relay: Relay) -> None:
        """Cut the link to the hub at 20 s for 10 s; in a short run at half of it for a quarter."""
        short = 0 < self._seconds < CUT_AFTER_S + 2 * CUT_FOR_S
        await asyncio.sleep(self._seconds / 2 if short else CUT_AFTER_S)
        await relay.cut()
        self.scene.link = "cut"
        self.scene.said = "the link to the hub is CUT: outcomes wait on the box, nothing is lost"
        await asyncio.sleep(self._seconds / 4 if short else CUT_FOR_S)
        await relay.restore()
        self.scene.link = "back"
        self.scene.said = "the link to the hub is BACK: what waited is brought over, in order"

    async def _watch(self, socket_path: Path) -> None:
        before, at = 0, time.monotonic()
        while True:
            with suppress(GatewayError):
                self.scene.status = await asked(socket_path, "/status")
                self.scene.devices = await asked(socket_path, "/devices")
            stored, now = self.scene.status.get("readings", {}).get("stored", 0), time.monotonic()
            if now - at >= 1.0:
                self.scene.readings_per_s = (stored - before) / (now - at)
                before, at = stored, now
                self.scene.queue.append(self.scene.status.get("outcomes", {}).get("queued", 0))
            await asyncio.sleep(_LOOK_S)

    async def _read(self, hub: Hub) -> None:
        async for told in outcomes_at_hub(hub.url, follow=True):
            self.scene.at_hub += 1
            self._packet_bytes_max = max(self._packet_bytes_max, told.size_bytes)
            self.scene.outcomes = [told, *self.scene.outcomes][:_KEPT_OUTCOMES]

    async def _settle(self, socket_path: Path, hub: Hub) -> None:
        """Wait until nothing is under way any more, at most 15 s."""
        until = time.monotonic() + _SETTLE_S
        while time.monotonic() < until:
            status = self.scene.status = await asked(socket_path, "/status")
            due = sum(plugin["due"] for plugin in status["plugins"])
            sent = status["outcomes"]["sent"]
            waiting = status["messages"]["in_hand"] or due or status["outcomes"]["queued"]
            if not waiting and self.scene.at_hub >= sent == await hub.count():
                return
            await asyncio.sleep(_LOOK_S)

    def _report(self, at_hub: int) -> dict[str, Any]:
        status = self.scene.status
        messages = status["messages"]
        return {
            "published": self.scene.published.total(),
            "received": messages["received"],
            "stored_messages": messages["stored"],
            "readings": status["readings"]["stored"],
            "frames": sum(each["taken"] for each in status["cameras"]["cameras"]),
            "duplicates": messages["duplicates"],
            "dead_letters": sum(messages["dead_letters"].values()),
            "shed": messages["shed"],
            "outcomes": status["outcomes"]["sent"],
            "queued": status["outcomes"]["queued"],
            "at_hub": at_hub,
            "latency_ms": status["latency_ms"]["total"] or {"p50": None, "p95": None},
            "packet_bytes_max": self._packet_bytes_max,
        }


def sums_problem(report: dict[str, Any]) -> str:
    """Return what does not add up in a report; "" if all does."""
    ended = ("stored_messages", "duplicates", "dead_letters", "shed")
    if report["published"] != report["received"]:
        return f"{report['published']} published, {report['received']} received"
    if report["received"] != sum(report[key] for key in ended):
        return f"{report['received']} received, {sum(report[key] for key in ended)} ended"
    if report["outcomes"] != report["at_hub"] + report["queued"]:
        return (
            f"{report['outcomes']} outcomes, {report['at_hub']} at the hub, "
            f"{report['queued']} queued"
        )
    if report["packet_bytes_max"] > 512:
        return f"a packet of {report['packet_bytes_max']} bytes"
    return ""

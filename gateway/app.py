"""Builds a gateway from its configuration, starts it, and stops it in order."""

import asyncio
import fcntl
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.aftermath import end_when_damaged, tell_set_aside
from gateway.clock import BoxClock, LinuxSystem
from gateway.config import Settings
from gateway.control import serve
from gateway.errors import ConfigError, OutboxError, PluginError
from gateway.features import Bounds, Capacity, FeatureService
from gateway.inference.directory import PluginDirectory
from gateway.inference.manifest import Manifest
from gateway.ingest import Broker, Inbox, MqttSource, parse_broker
from gateway.ingest.cameras import CameraDirectory, Cameras, RealClock
from gateway.ingest.cameras.directory import Change
from gateway.latency import Latencies
from gateway.leaf.leaf import Leaf
from gateway.leaf.unit import LeafUnit
from gateway.ledger import Ledger
from gateway.model import Packet
from gateway.notices import Notice, Notices
from gateway.notify import Notifier
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.lanes import Lanes, in_order
from gateway.outcomes.outbox import leaf_outbox
from gateway.outcomes.packet import room_for_numbers
from gateway.outcomes.thinning import Thinned, Thinner
from gateway.outcomes.underway import Underway
from gateway.pipeline import Pipeline
from gateway.profiles import Catalog, ProfileDirectory
from gateway.replaying import Replaying
from gateway.room import Room
from gateway.roster import Roster
from gateway.settling import settle
from gateway.shedding import Shedding
from gateway.snapshots import Album
from gateway.status import QueueDepth, Running, is_ready
from gateway.supervised import supervise
from gateway.telling import Site, Surroundings
from gateway.timekeeping import keep_time
from gateway.topics import OUTCOME_ROOT
from gateway.watching import Sights

log = logging.getLogger(__name__)

_FINISH_S = 3.0
_WATCH_QUEUE_S = 0.5
_FOLLOW_FILTERS_S = 0.5
_CANCEL_S = 0.5
_MOST_CANCELS = 6
_SWITCH_S = 0.0005
"""Python lets a busy thread run for 5 ms before another has its turn; the client's thread and the
loop wait for each other, so that alone would be the latency."""


async def run(
    settings: Settings,
    ready: Callable[[Running], None] | None = None,
    notifier: Notifier | None = None,
) -> int:
    """Run a gateway until SIGTERM or SIGINT, then stop it in order.

    Args:
        settings: The configuration.
        ready: Called once devices can be served.
        notifier: Tells systemd how it is.

    Returns:
        The exit code: 1 when a part of it failed.

    Raises:
        ConfigError: The state directory cannot be written, or another gateway uses it.
        PortTakenError: The metrics port is taken.
        LeafError: The nats-server does not start, a port of it is taken, or the one that runs as
            a unit does not answer in time.
        StoreError: The store does not open.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    notifier = notifier or Notifier()
    starting = asyncio.current_task()

    def end() -> None:
        stop.set()
        if starting:
            starting.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        async with gateway(settings, notifier) as running:
            starting = None
            if ready:
                ready(running)
            waits = [asyncio.ensure_future(e.wait()) for e in (stop, running.ended)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            log.info("stopping")
            notifier.stopping()
            return int(running.ended.is_set())
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return 0  # told to stop before it had started
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def gateway(settings: Settings, notifier: Notifier | None = None) -> AsyncIterator[Running]:
    """Start a gateway; at the end of the block it is stopped in order.

    Stopping: take in no more, finish what is in hand, write, close.
    """
    sys.setswitchinterval(_SWITCH_S)
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_one(settings.gateway.state_dir))
        registry = CollectorRegistry()
        running = await _build(settings, registry, stack)
        start = await stack.enter_async_context(_tasks(running.ended))
        await running.roster.join(running.pipeline)
        stack.push_async_callback(running.roster.stop)
        start("leaf", running.leaf.watch())
        start("forwarder", running.forwarder.run())
        start("thinning", running.thinner.run())
        start("plugins", running.roster.watch())
        start("profiles", running.profiles.watch())
        start("cameras", running.camera_files.watch(_follow_cameras(running)))
        start("subscriptions", _follow_filters(running))
        start("queue", _watch_queue(running))
        start("pipeline", running.pipeline.run())
        start("store", end_when_damaged(running.store))
        start("aftermath", _tell_set_aside(running))
        start("clock", keep_time(running.clock, running.pipeline, running.store))
        start("shedding", _shedding(running).run())
        start("replaying", running.replaying.run())
        start("settling", settle(lambda: is_ready(running), running.store.forget_copies))
        await stack.enter_async_context(serve(running, registry))
        running.source.start()
        stack.push_async_callback(_finish, running)
        if notifier and notifier.is_asked:
            start("supervision", supervise(running, notifier))
        yield running


async def _build(settings: Settings, registry: CollectorRegistry, stack: AsyncExitStack) -> Running:
    """Open the store, start the leaf, and put the parts together."""
    ledger, latencies = Ledger(), Latencies(registry)
    clock = BoxClock(LinuxSystem(settings.clock.synced_file), settings.clock.follow_after_s)
    name = settings.gateway.name
    directory = PluginDirectory(settings.plugin_dirs, settings.plugins.disabled)
    roster = Roster(directory, _fits_packet(name))
    stack.push_async_callback(roster.stop)
    roster.launch()
    loading = asyncio.ensure_future(
        asyncio.to_thread(ProfileDirectory, settings.profile_dirs, settings.gateway.timezone)
    )
    stack.push_async_callback(asyncio.wait, [loading])  # where the rest does not start
    store = _store(settings, clock)
    await store.open()
    stack.push_async_callback(store.close)
    leaf = Leaf(settings) if settings.leaf.run == "here" else LeafUnit(settings)
    await leaf.start()
    stack.push_async_callback(leaf.stop)
    profiles = await loading
    drain_per_s = settings.hub.drain_per_s
    lanes = Lanes(
        in_order(settings.leaf.in_order_backlog, drain_per_s),
        alarms_first=settings.hub.drain_order == "alarms-first",
        underway=Underway(clock.now_ns),
    )
    outbox = await stack.enter_async_context(
        leaf_outbox(leaf.uplink_url, name, lanes, max_bytes=settings.leaf.store_bytes)
    )
    inbox = Inbox(ledger, settings.mqtt.queue_messages, settings.mqtt.queue_bytes)
    source = _source(settings, leaf, profiles.catalog, inbox, clock)
    around = Surroundings(
        site=Site(name, {a.name: a.asset_class for a in settings.assets if a.asset_class}),
        store=store,
        outbox=outbox,
        panel=source.publish,
        ledger=ledger,
        latencies=latencies,
        clock=clock,
    )
    cameras = Cameras(clock=RealClock(clock.now_ns))
    stack.push_async_callback(asyncio.to_thread, cameras.stop)
    snapshots = settings.snapshots
    album = Album(settings.gateway.state_dir / "snapshots", snapshots.keep, clock)
    sights = Sights(cameras, album, each_outcome=snapshots.each_outcome)
    pipeline = Pipeline(
        inbox=inbox,
        acknowledge=source.acknowledge,
        decoder=profiles,
        around=around,
        sights=sights,
        tick_s=settings.mqtt.tick_ms / 1000,
        devices=settings.devices,
        link=lambda: source.connections if source.connected else None,
    )
    return Running(
        settings=settings,
        clock=clock,
        ledger=ledger,
        latencies=latencies,
        inbox=inbox,
        source=source,
        store=store,
        profiles=profiles,
        pipeline=pipeline,
        roster=roster,
        leaf=leaf,
        outbox=outbox,
        forwarder=Forwarder(leaf.uplink_url, name, lanes, drain_per_s=drain_per_s),
        thinner=Thinner(
            leaf.uplink_url,
            name,
            lanes,
            outbox,
            max_bytes=settings.leaf.store_bytes,
            tell=_tell_thinned(pipeline.notices, name),
            ledger=ledger,
        ),
        queue=QueueDepth(),
        sights=sights,
        camera_files=CameraDirectory(settings.camera_dirs),
        replaying=Replaying(store, outbox, lanes.underway, pipeline.notices, name),
        room=Room(settings.gateway.state_dir, settings.store.reserve_bytes),
    )


def _tell_thinned(notices: Notices, gateway: str) -> Callable[[Thinned], Packet]:
    def tell(thinned: Thinned) -> Packet:
        notice = Notice(
            kind="gateway-thinned",
            source=gateway,
            label="thinned",
            start_ns=thinned.start_ns,
            end_ns=thinned.end_ns,
            numbers={"removed": thinned.removed, "kept": thinned.kept},
        )
        return notices.packet(notice, thinned.end_ns)

    return tell


def _store(settings: Settings, clock: BoxClock) -> FeatureService:
    assets = {device: asset.name for asset in settings.assets for device in asset.devices}
    bounds = Bounds(
        max_age_s=settings.store.max_age_h * 3600,
        max_rows=settings.store.max_rows,
        max_bytes=settings.store.max_bytes,
    )
    devices = settings.devices
    capacity = Capacity(devices.most, devices.most_series, devices.most_series_each)
    path = settings.gateway.state_dir / "weir.duckdb"
    return FeatureService(path, assets, bounds, clock, capacity)


def _source(
    settings: Settings, leaf: Leaf | LeafUnit, catalog: Catalog, inbox: Inbox, clock: BoxClock
) -> MqttSource:
    mqtt, embedded = settings.mqtt, leaf.mqtt_address
    if embedded:
        broker = Broker(
            embedded.host,
            embedded.port,
            username=embedded.username,
            password=embedded.password,
            mqtt5=False,  # nats-server's listener speaks 3.1.1
        )
    else:
        password = _read_secret(mqtt.password_file, "mqtt.password_file")
        broker = parse_broker(mqtt.broker, mqtt.username, password, str(mqtt.ca_file or ""))
    return MqttSource(
        broker,
        client_id=mqtt.client_id or f"weir-{settings.gateway.name}",
        filters=list(mqtt.topics) or catalog.filters,
        own_root=f"{OUTCOME_ROOT}/{settings.gateway.name}",
        receive_maximum=mqtt.receive_maximum,
        put=inbox.put,
        clock=clock,
    )


def _read_secret(path: Path | None, key: str) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{key} = {str(path)!r}: not readable: {exc}"]) from exc


def _fits_packet(gateway_name: str) -> Callable[[Manifest], None]:
    """Return the check that a plugin's outcomes can fit into a packet."""

    def check(manifest: Manifest) -> None:
        if room_for_numbers(gateway_name, manifest.context, manifest.identity) < 0:
            raise PluginError(
                str(manifest.folder / "plugin.toml"),
                "outcome",
                "its words and the gateway's name leave no room in a packet of 512 bytes; "
                "shorten domain, asset, kind or the plugin's name",
            )

    return check


@asynccontextmanager
async def _tasks(
    ended: asyncio.Event,
) -> AsyncIterator[Callable[[str, Coroutine[None, None, None]], None]]:
    """Give a function that starts a task for the time of the block.

    None of them ends by itself; one that does has failed, which sets ``ended``.
    """
    tasks: list[asyncio.Task[None]] = []

    async def guard(name: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("%s failed", name)
        ended.set()

    try:
        yield lambda name, work: tasks.append(asyncio.create_task(guard(name, work), name=name))
    finally:  # no TaskGroup: it would wrap what went wrong in the block, and none of these raises
        await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks, and again if need be: nats-py loses a cancellation while it connects."""
    pending = set(tasks)
    for _ in range(_MOST_CANCELS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_S)
    if pending:
        log.error("did not end: %s", ", ".join(sorted(t.get_name() for t in pending)))


async def _finish(running: Running) -> None:
    """Take in no more, and finish what is in hand within a few seconds."""
    await asyncio.to_thread(running.source.stop)
    loop = asyncio.get_running_loop()
    until = loop.time() + _FINISH_S
    while running.ledger.in_hand() and loop.time() < until:  # noqa: ASYNC110 - plain counters
        await asyncio.sleep(0.02)
    await running.pipeline.drain(_FINISH_S)


async def _follow_filters(running: Running) -> None:
    """Subscribe to what profiles ask for as they change and learn of topics."""
    if running.settings.mqtt.topics:
        await asyncio.Event().wait()  # the configuration says what is taken in, and no more
    known = running.source.filters
    while True:
        await asyncio.sleep(_FOLLOW_FILTERS_S)
        wanted = running.profiles.catalog.filters
        if wanted != known:
            running.source.subscribe(wanted)
            known = wanted


async def _tell_set_aside(running: Running) -> None:
    gateway = running.settings.gateway
    await tell_set_aside(gateway.state_dir, running.pipeline.notices, gateway.name)


def _shedding(running: Running) -> Shedding:
    return Shedding(
        running.room,
        running.store,
        running.sights.album,
        running.pipeline.notices,
        running.settings.gateway.name,
    )


def _follow_cameras(running: Running) -> Callable[[Change], Awaitable[None]]:
    async def follow(change: Change) -> None:
        for error in change.rejected:
            log.error("camera set aside: %s", error)
        running.sights.cameras.configure(change.cameras)

    return follow


async def _watch_queue(running: Running) -> None:
    while True:
        try:
            depth = await running.outbox.depth()
            running.queue.packets = depth.packets
            running.queue.size_bytes = depth.size_bytes
            running.queue.oldest_age_s = depth.oldest_age_s
        except OutboxError as exc:
            log.debug("queue depth: %s", exc)
        await asyncio.sleep(_WATCH_QUEUE_S)


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state directory: two gateways must not write one store.

    Raises:
        ConfigError: Another one holds it, or it cannot be written.
    """
    key = f"gateway.state_dir = {str(state_dir)!r}"
    with ExitStack() as stack:
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((state_dir / "lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConfigError([f"{key}: another gateway is running on it; stop it first"]) from exc
        except OSError as exc:
            raise ConfigError([f"{key}: not writable: {exc.strerror}"]) from exc
        yield

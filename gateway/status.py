"""How a running gateway is, as one document for people, programs and metrics."""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway import __version__
from gateway.access.register import Register as AccessRegister
from gateway.clock import BoxClock
from gateway.config import Settings
from gateway.deadletters import printable
from gateway.errors import DecodeError
from gateway.features import Device, FeatureService, Register
from gateway.ingest import Inbox, MqttSource
from gateway.ingest.cameras import CameraDirectory
from gateway.latency import STAGES, Latencies
from gateway.leaf.leaf import Leaf
from gateway.leaf.unit import LeafUnit
from gateway.ledger import Ledger
from gateway.outcomes.forwarder import Forwarder
from gateway.outcomes.outbox import LeafOutbox
from gateway.outcomes.thinning import Thinner
from gateway.pipeline import Pipeline
from gateway.presence import ONLINE, Sign
from gateway.profiles import Catalog, ProfileDirectory
from gateway.replaying import Replaying
from gateway.room import Room
from gateway.roster import Roster, is_well
from gateway.watching import Sights, Watching

Document = dict[str, Any]
_MOST_UNWELL = 100


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a gateway at work.

    Attributes:
        addresses: Where it is asked over HTTP, by what for; filled once it listens.
        ended: Set when a part has failed and the gateway must stop.
    """

    settings: Settings
    clock: BoxClock
    ledger: Ledger
    latencies: Latencies
    inbox: Inbox
    source: MqttSource
    store: FeatureService
    profiles: ProfileDirectory
    pipeline: Pipeline
    roster: Roster
    leaf: Leaf | LeafUnit
    outbox: LeafOutbox
    forwarder: Forwarder
    thinner: Thinner
    queue: "QueueDepth"
    sights: Sights
    camera_files: CameraDirectory
    room: Room
    replaying: Replaying
    addresses: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class QueueDepth:
    """What waited for the hub when the leaf was last asked."""

    packets: int = 0
    size_bytes: int = 0
    oldest_age_s: float = 0.0


def status(running: Running) -> Document:
    """Return the state of everything, JSON-ready."""
    ledger, settings = running.ledger, running.settings
    return {
        "gateway": settings.gateway.name,
        "version": __version__,
        "uptime_s": round(time.monotonic() - running.started_at, 1),
        "state_dir": str(settings.gateway.state_dir),
        "ready": is_ready(running),
        "clock": clock(running.clock),
        "messages": {
            "received": ledger.received,
            "stored": ledger.stored_messages,
            "duplicates": ledger.duplicates,
            "dead_letters": dict(ledger.dead_letters),
            "shed": ledger.shed.total(),
            "too_old": ledger.too_old,
            "quarantined": ledger.quarantined.total(),
            "in_hand": ledger.in_hand(),
            "bad_parts": dict(ledger.bad_parts),
        },
        "readings": {
            "stored": ledger.readings,
            "duplicates": ledger.duplicate_readings,
            "too_old": ledger.too_old_readings,
            "oldest": ledger.oldest and ledger.oldest._asdict(),
            "kept_s": running.store.kept_s,
            "deleted_by_age": running.store.swept,
        },
        "outcomes": {
            "sent": ledger.outcomes,
            "repeated": ledger.outcomes_repeated,
            "refused": ledger.outcomes_refused,
            "thinned": ledger.outcomes_thinned,
            "put_again": running.replaying.replayed,
            "queued": running.queue.packets,
            "queued_bytes": running.queue.size_bytes,
            "oldest_s": round(running.queue.oldest_age_s, 1),
        },
        "latency_ms": {stage: running.latencies.percentiles_ms(stage) for stage in STAGES},
        "broker": {
            "connected": running.source.connected,
            "reason": running.source.reason,
            "connections": running.source.connections,
            "waiting": len(running.inbox),
            "takes_all": "#" in running.source.filters,
            **_address(running),
        },
        "leaf": asdict(running.leaf.state()),
        "hub": {"url": settings.hub.shown_url, **asdict(running.forwarder.state())},
        "store": running.store.size(),
        "disk": {
            "free_bytes": running.room.free_bytes,
            "total_bytes": running.room.total_bytes,
            "level": running.room.level,
            "holds": running.store.held,
        },
        "devices": len(running.store.register.devices),
        "noisy": running.pipeline.guard.cases()[:_MOST_UNWELL],
        "silent": running.pipeline.guard.silent()[:_MOST_UNWELL],
        "profiles": {
            "loaded": len(running.profiles.catalog.profiles),
            "set_aside": [str(error) for error in running.profiles.catalog.rejected],
            "overlaps": [
                f"{topic}: taken by {first}, claimed by {second} too"
                for (first, second), topic in running.profiles.catalog.overlaps.items()
            ],
        },
        "metrics": running.addresses.get("metrics", ""),
        "cameras": cameras(running),
        "plugins": plugins(running),
        "plugins_set_aside": [str(error) for error in running.roster.set_aside],
    }


def clock(box: BoxClock) -> Document:
    """Return what time the box takes it to be, and how sure it is."""
    return {
        "now_ns": box.now_ns(),
        "standing": box.standing,
        "since_ns": box.era.began_ns,
        "system_ahead_s": round(box.wall_ahead_ns / 1e9, 3),
        "moved": box.turn,
        "moved_s": round(box.moved_since_ns(0) / 1e9, 3),
    }


def is_ready(running: Running) -> bool:
    """Say whether devices are served and outcomes are kept."""
    return running.source.connected and running.leaf.state().ready


def plugins(running: Running) -> list[Document]:
    """Return each plugin with its health."""
    found = []
    for name, (manifest, health) in sorted(running.roster.healths().items()):
        active = running.pipeline.plugins.get(name)
        found.append(
            {
                "name": name,
                "version": manifest.version,
                "title": manifest.title,
                "healthy": is_well(health),
                **asdict(health),
                "windows": active.evaluated if active else 0,
                "skipped": active.skipped if active else 0,
                "due": running.store.due(name),
                "trouble": (active.trouble or active.telling.trouble) if active else "",
            }
        )
    return found


def cameras(running: Running) -> Document:
    """Return each camera, and the plugins that look at them."""
    looking = [
        {
            "name": name,
            "frames": work.evaluated,
            "lost": work.skipped,
            "p50_ms": work.runner.health.latency_p50_ms,
            "p95_ms": work.runner.health.latency_p95_ms,
        }
        for name, work in sorted(running.pipeline.plugins.items())
        if isinstance(work, Watching)
    ]
    return {
        "cameras": [
            {**asdict(state), "unused_places": _unused_places(running, state.name)}
            for state in running.sights.cameras.states()
        ],
        "set_aside": [str(error) for error in running.camera_files.rejected],
        "plugins": looking,
    }


def _unused_places(running: Running, camera: str) -> list[str]:
    """Return the lines and zones of a camera that no plugin's ``[[count]]`` is named after."""
    counted = {
        name
        for work in running.pipeline.plugins.values()
        if isinstance(work, Watching)
        for name in work.manifest.places
    }
    return sorted(running.sights.cameras.places(camera).keys() - counted)


def devices(running: Running) -> list[Document]:
    """Return each device with its newest reading of each metric, and whether it is there."""
    latest = _latest(running)
    known = _known(running.store.register, latest)
    revoked = AccessRegister(running.settings.gateway.state_dir / "mqtt").revoked()
    signs = {
        each.name: _sign(each.last_seen_ns, latest.get(each.name, []))._replace(
            revoked_ns=revoked.get(each.name, 0)
        )
        for each in known
    }
    now_ns, presence = running.clock.now_ns(), running.pipeline.presence
    guard = running.pipeline.guard
    noisy = {each["device"]: each for each in guard.cases()}
    found = []
    for device in known:
        sign, standing = signs[device.name], presence.standing(device.name, signs, now_ns)
        said = {"online": sign.online, "time_ns": sign.said_ns}
        found.append(
            {
                "device": device.name,
                "online": standing.online,
                "online_by": standing.by,
                "said": None if sign.online is None else said,
                "parent": presence.parents.get(device.name),
                "profile": device.profile,
                "source": device.source,
                "messages": device.messages,
                "usual_s": guard.usual_s(device.name),
                "noisy": noisy.get(device.name),
                "first_seen_ns": device.first_seen_ns,
                "last_seen_ns": device.last_seen_ns,
                "readings": sorted(latest.get(device.name, []), key=lambda r: -r["time_ns"]),
            }
        )
    return found


def _latest(running: Running) -> dict[str, list[Document]]:
    """Return the newest reading of each metric, by device."""
    register = running.store.register
    latest: dict[str, list[Document]] = {}
    for series in list(register.series):
        lasts = running.store.last(series.number), register.texts.get(series.number)
        there: list[tuple[int, float | str]] = [last for last in lasts if last]
        if not there:
            continue
        time_ns, value = max(there, key=lambda last: last[0])
        if series.switch and value in {0, 1}:
            value = bool(value)
        reading = {"metric": series.metric, "value": value, "unit": series.unit}
        latest.setdefault(series.device, []).append({**reading, "time_ns": time_ns})
    return latest


def _known(register: Register, latest: dict[str, list[Document]]) -> list[Device]:
    """Return all devices by name, with those of which only others' messages speak."""
    found = dict(register.devices)
    for series in list(register.series):
        if series.device in latest and series.device not in found:
            spoken_ns = [reading["time_ns"] for reading in latest[series.device]]
            found[series.device] = Device(
                series.device, series.profile, series.source, min(spoken_ns), max(spoken_ns)
            )
    return [found[name] for name in sorted(found)]


def _sign(heard_ns: int, readings: list[Document]) -> Sign:
    said = next((r for r in readings if r["metric"] == ONLINE), None)
    if said is None:
        return Sign(None, 0, heard_ns)
    return Sign(bool(said["value"]), said["time_ns"], heard_ns)


def unclaimed(running: Running) -> list[Document]:
    """Return the topics that no profile claims now, the busiest first."""
    unreadable, catalog = running.pipeline.unreadable, running.profiles.catalog
    unreadable.forget_claimed(lambda topic: _is_claimed(catalog, topic))
    return [
        {
            "topic": topic,
            "messages": seen.messages,
            "last_ns": seen.last_ns,
            "sample": printable(seen.payload),
            "payload": seen.payload.hex(),
        }
        for topic, seen in sorted(unreadable.unclaimed.items(), key=lambda item: -item[1].messages)
    ]


def _is_claimed(catalog: Catalog, topic: str) -> bool:
    try:
        return catalog.claim(topic) is not None
    except DecodeError:  # it is, and gives its device no name
        return True


def _address(running: Running) -> Document:
    embedded = running.leaf.mqtt_address
    if embedded:
        return {"url": f"mqtt://{embedded.host}:{embedded.port}", "embedded": True}
    return {"url": running.settings.mqtt.broker, "embedded": False}

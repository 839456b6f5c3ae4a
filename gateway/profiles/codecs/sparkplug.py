"""Sparkplug B: births say what the aliases of the data mean, deaths end it.

Eclipse Sparkplug 3.0.0, sections 5 (behaviour) and 6 (payloads).
"""

from typing import Any, Literal, NamedTuple

from pydantic import Field

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.sparkplug_payload import (
    Metric,
    Payload,
    parse_payload,
    rebirth_command,
    values_of,
)

MAX_NODES = 2_000
MAX_KNOWN = 200_000
_ASK_AGAIN_NS = 30 * 10**9
_BIRTHS = frozenset({"NBIRTH", "DBIRTH"})
_KINDS = _BIRTHS | {"NDATA", "DDATA", "NDEATH", "DDEATH"}


class SparkplugOptions(Options):
    """``sparkplug``: what a node's or device's message says, aliases and datatypes resolved.

    ``p.metrics``: array of ``{name, value, unit, quality, t}``; ``p.online``: array of ``{device,
    value}``; ``p.t``: the message's time in ms; ``p.gap``: messages were lost before this one;
    ``p.rebirth``: null, or ``{topic, payload}`` of the command that asks for births anew.

    Attributes:
        drop: What begins with one of these is no telemetry.
    """

    name: Literal["sparkplug"] = "sparkplug"
    drop: tuple[str, ...] = Field(
        default=("bdSeq", "Node Control/", "Device Control/", "Properties/"), max_length=64
    )

    def build(self) -> Codec:
        """Return the codec, with a memory of its own.

        It raises DecodeError ``alias_before_birth`` (with a request), ``bad_protobuf``,
        ``bad_topic``, ``bad_utf8``, ``bad_metric``, ``bad_length``, ``bad_shape``,
        ``unknown_type``, ``too_deep``, ``too_large`` and ``too_many_values``.
        """
        return Sparkplug(self.drop).decode


Command = dict[str, str]
"""What to publish to a node: ``topic`` and ``payload`` (hexadecimal), at QoS 0, not retained."""


class _Known(NamedTuple):
    """What a birth said about a metric."""

    name: str
    datatype: int
    unit: str | None
    wanted: bool


class _Births:
    """What one birth said: metrics by alias and by name."""

    __slots__ = ("by_alias", "by_name")

    def __init__(self) -> None:
        self.by_alias: dict[int, _Known] = {}
        self.by_name: dict[str, _Known] = {}

    def find(self, metric: Metric) -> _Known | None:
        if metric.name:
            return self.by_name.get(metric.name)
        return None if metric.alias is None else self.by_alias.get(metric.alias)


class _Node:
    """An edge node: its session, and the births of it ("") and of its devices."""

    __slots__ = ("asked_ns", "bd_seq", "births", "born", "known", "seq")

    def __init__(self) -> None:
        self.born = False
        self.bd_seq: int | None = None
        self.seq: int | None = None
        self.births: dict[str, _Births] = {}
        self.known = 1
        self.asked_ns = 0


class _Address(NamedTuple):
    """What a topic says (section 4.1); ``device`` is "" for the node itself."""

    group: str
    kind: str
    node: str
    device: str

    def name(self, device: str) -> str:
        return "/".join(part for part in (self.group, self.node, device) if part)


class Sparkplug:
    """The memory of one rule: at most 2,000 nodes and 200,000 metrics, the oldest births go."""

    def __init__(self, drop: tuple[str, ...]) -> None:
        self._drop = drop
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._known = 0

    def decode(self, message: RawMessage) -> dict[str, Any]:
        """Return what a message says; see `SparkplugOptions`."""
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            raise DecodeError("too_large", f"{len(message.payload)} bytes")
        address = _address(message.topic)
        payload = parse_payload(message.payload)
        if address.kind == "NDEATH":
            return self._node_death(address, payload)
        if address.kind == "NBIRTH":
            node, gap = self._node_birth(address, payload), False
        else:
            node = self._node(address)
            gap = _step(node, payload.seq)
        metrics: list[dict[str, Any]] = []
        online: list[dict[str, Any]] = []
        unknown = 0
        if address.kind == "DDEATH":
            self._forget(node, address.device)
            online.append({"device": address.name(address.device), "value": False})
        else:
            if address.kind in _BIRTHS:
                self._learn(address, node, payload)
                online.append({"device": address.name(address.device), "value": True})
            metrics, unknown = self._metrics(node.births.get(address.device), payload)
        ask = gap or unknown or not node.born
        rebirth = _rebirth(address, node, message.received_ns) if ask else None
        if unknown and not metrics and not online:
            exc = DecodeError("alias_before_birth", f"{unknown} metrics")
            exc.request = rebirth
            raise exc
        return _told(payload.time_ms, metrics, online, gap=gap, rebirth=rebirth)

    def _metrics(
        self, births: _Births | None, payload: Payload
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the telemetry, and how many metrics cannot be understood without a birth."""
        found: list[dict[str, Any]] = []
        unknown = 0
        for metric in payload.metrics:
            known = births.find(metric) if births is not None else None
            if known is None:
                if not metric.name or (metric.slot in {10, 11} and not metric.datatype):
                    unknown += 1
                    continue
                known = self._known_by(metric)
            if not known.wanted:
                continue
            # What the message itself says comes before what the birth said.
            values = values_of(metric, known.name, metric.datatype or known.datatype)
            unit = metric.unit or known.unit
            for name, value in values:
                found.append(
                    {
                        "name": name,
                        "value": value,
                        "unit": unit,
                        "quality": metric.quality,
                        "t": metric.time_ms,
                    }
                )
        return found, unknown

    def _known_by(self, metric: Metric) -> _Known:
        wanted = not metric.name.startswith(self._drop) and not metric.name.startswith("$")
        return _Known(metric.name, metric.datatype, metric.unit, wanted)

    def _node(self, address: _Address) -> _Node:
        node = self._nodes.get((address.group, address.node))
        if node is None:
            node = self._nodes[address.group, address.node] = _Node()
            self._known += node.known
            self._make_room()
        return node

    def _node_birth(self, address: _Address, payload: Payload) -> _Node:
        """Begin a session: all that was known of the node and its devices is void (6.4.19)."""
        self._remove(address)
        node = self._node(address)
        node.born, node.seq = True, payload.seq
        node.bd_seq = _bd_seq(payload)
        return node

    def _node_death(self, address: _Address, payload: Payload) -> dict[str, Any]:
        """End a session with all its devices; the will of an earlier session counts for nothing.

        Its time is that of the connection's beginning (6.4.24), so none is told.
        """
        node = self._nodes.get((address.group, address.node))
        told = _bd_seq(payload)
        stale = node is not None and node.bd_seq is not None and told not in {None, node.bd_seq}
        online: list[dict[str, Any]] = []
        if not stale:
            devices = ["", *(d for d in node.births if d)] if node is not None else [""]
            online = [{"device": address.name(d), "value": False} for d in devices]
            self._remove(address)
        return _told(None, [], online)

    def _learn(self, address: _Address, node: _Node, payload: Payload) -> None:
        self._forget(node, address.device)
        births = _Births()
        for metric in payload.metrics:
            if metric.name:
                known = self._known_by(metric)
                births.by_name[metric.name] = known
                if metric.alias is not None:
                    births.by_alias[metric.alias] = known
        node.births[address.device] = births
        cost = len(births.by_name) + 1
        node.known += cost
        self._known += cost
        self._make_room()

    def _forget(self, node: _Node, device: str) -> None:
        births = node.births.pop(device, None)
        if births is not None:
            cost = len(births.by_name) + 1
            node.known -= cost
            self._known -= cost

    def _remove(self, address: _Address) -> None:
        node = self._nodes.pop((address.group, address.node), None)
        if node is not None:
            self._known -= node.known

    def _make_room(self) -> None:
        """Forget the nodes whose births are oldest; when they speak again, they are asked."""
        while self._nodes and (len(self._nodes) > MAX_NODES or self._known > MAX_KNOWN):
            oldest = next(iter(self._nodes))
            self._known -= self._nodes.pop(oldest).known


def _address(topic: str) -> _Address:
    parts = topic.split("/")
    if len(parts) not in {4, 5} or parts[2] not in _KINDS or "" in parts:
        raise DecodeError("bad_topic", topic[:100])
    if (len(parts) == 5) != (parts[2][0] == "D"):
        raise DecodeError("bad_topic", f"{parts[2]} with {len(parts)} levels")
    return _Address(parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else "")


def _told(
    time_ms: int | None,
    metrics: list[dict[str, Any]],
    online: list[dict[str, Any]],
    *,
    gap: bool = False,
    rebirth: Command | None = None,
) -> dict[str, Any]:
    return {"t": time_ms, "metrics": metrics, "online": online, "gap": gap, "rebirth": rebirth}


def _step(node: _Node, seq: int | None) -> bool:
    """Note a message's number; say whether messages before it are missing (section 6.4.5)."""
    if seq is None:
        return False
    gap = node.seq is not None and seq != (node.seq + 1) % 256
    node.seq = seq
    return gap


def _bd_seq(payload: Payload) -> int | None:
    found = (m.value for m in payload.metrics if m.name == "bdSeq" and m.slot in {10, 11})
    value = next(found, None)
    return value if isinstance(value, int) else None


def _rebirth(address: _Address, node: _Node, received_ns: int) -> Command | None:
    """Return the command that asks for births, None when that was done less than 30 s ago."""
    if node.asked_ns and 0 <= received_ns - node.asked_ns < _ASK_AGAIN_NS:
        return None
    node.asked_ns = received_ns
    topic = f"spBv1.0/{address.group}/NCMD/{address.node}"
    return {"topic": topic, "payload": rebirth_command(received_ns // 10**6).hex()}

"""A first profile, written from messages that no profile claims."""

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from ruamel.yaml import YAML

from gateway.errors import DecodeError, UnclaimedError
from gateway.model import RawMessage, Reading
from gateway.profiles.catalog import Catalog
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.words import is_missing, number

_VECTORS_A_RULE = 3
_MOST_RULES = 30
_TIMES = ("ts", "time", "Time", "timestamp", "Timestamp", "datetime", "date", "last_seen", "epoch")
_UNITS = [
    ("temperature", "°C"), ("humidity", "%"), ("pressure", "hPa"), ("battery", "%"),
    ("voltage", "V"), ("current", "A"), ("power", "W"), ("energy", "kWh"), ("rssi", "dBm"),
    ("co2", "ppm"), ("illuminance", "lx"),
]  # fmt: skip
_ONLINE = frozenset({"online", "offline"})
_ID = re.compile(r"[0-9A-Fa-f]{6,}|\d")

Document = dict[str, Any]


def draft_profile(title: str, messages: Sequence[RawMessage]) -> Document:
    """Return a profile for messages of one firmware: a rule for each shape of topic.

    What it guesses (which level is the device, where the time stands, units by name) is for a
    person to look over.
    """
    groups = _groups(messages)
    rules = [_rule(pattern, found) for pattern, found in list(groups.items())[:_MOST_RULES]]
    return {"title": title, "priority": 100, "retained": "state", "rules": rules}


def draft_vectors(catalog: Catalog, messages: Sequence[RawMessage]) -> list[Document]:
    """Return vectors of messages and what a drafted profile makes of them, a few for each rule."""
    vectors: list[Document] = []
    seen: dict[tuple[str, int], int] = {}
    for message in messages:
        try:
            claim = catalog.claim(message.topic)
            if claim is None:
                continue
            key = claim.profile, claim.rule
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > _VECTORS_A_RULE:
                continue
            outcome: Document = {"expect": [_expected(r) for r in catalog.decode(message).readings]}
        except DecodeError as exc:
            outcome = {"rejects": exc.reason}
        except UnclaimedError:
            continue
        vectors.append({**_vector(message, len(vectors) + 1), **outcome})
    return vectors


def as_yaml(document: Any) -> str:  # noqa: ANN401 - a profile or a list of vectors
    """Return YAML as a person would write it: block style, no line broken."""
    yaml = YAML(pure=True)
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _groups(messages: Sequence[RawMessage]) -> dict[str, list[RawMessage]]:
    """Sort messages by the shape of their topic: a level that differs, or an id, is a capture."""
    by_depth: dict[int, list[list[str]]] = {}
    for message in messages:
        levels = message.topic.split("/")
        by_depth.setdefault(len(levels), []).append(levels)
    groups: dict[str, list[RawMessage]] = {}
    for message in messages:
        levels = message.topic.split("/")
        device = _device_level(levels, by_depth[len(levels)])
        shape = [_literal(level) for level in levels]
        shape[device] = "{d}"
        groups.setdefault("/".join(shape), []).append(message)
    return groups


def _literal(level: str) -> str:
    return "{_}" if not level or any(c in level for c in "{}+#\0") else level


def _device_level(levels: list[str], alike: list[list[str]]) -> int:
    """Return which level names the device: one that differs among topics else alike, or an id."""
    for other in alike:
        differing = [i for i, (a, b) in enumerate(zip(levels, other, strict=True)) if a != b]
        if len(differing) == 1 and differing[0] < len(levels) - 1:
            return differing[0]
    ids = [i for i, level in enumerate(levels) if _ID.search(level)]
    if ids:
        return ids[0]
    return min(1, len(levels) - 1)


def _rule(pattern: str, messages: Sequence[RawMessage]) -> Document:
    topic_pattern(pattern)
    documents = [document for m in messages if (document := _json(m.payload)) is not None]
    texts = {m.payload.decode(errors="replace").strip().lower() for m in messages}
    head: Document = {"topic": pattern}
    device = "${t.d}"
    if texts <= _ONLINE:
        return {**head, "codec": "text", "device": device, "emit": [{"online": "=p"}]}
    objects = [document for document in documents if type(document) is dict]
    if objects and len(objects) == len(messages):
        return {**head, **_object_rule(device, objects)}
    if all(_is_text(m.payload) for m in messages):
        name = pattern.rsplit("/", 1)[-1]
        metric = name if "{" not in name else "value"
        step = {"metric": metric, "value": "=p", "numbers": True}
        return {**head, "codec": "text", "device": device, "emit": [step]}
    return {**head, "codec": "none", "device": device}


def _object_rule(device: str, objects: Sequence[Document]) -> Document:
    keys = {key for document in objects for key in document}
    time = next((key for key in _TIMES if key in keys), None)
    rule: Document = {"device": device}
    if time is not None:
        rule["ts"] = [{"from": f'=p."{time}"', "as": "auto"}]
    step: Document = {"flatten": "=p", "numbers": True}
    if time is not None:
        step["drop"] = [time]
    rule["emit"] = [step]
    names = {name.lower() for document in objects for name in _names(document)}
    units = [[f"*{word}*", unit] for word, unit in _UNITS if any(word in name for name in names)]
    if units:
        rule["units"] = [[_caseless(pattern), unit] for pattern, unit in units]
    return rule


def _caseless(glob: str) -> str:
    """Return a glob that takes its first letter in either case."""
    letter = glob[1]
    return f"*[{letter.upper()}{letter}]{glob[2:]}"


def _names(document: Document) -> list[str]:
    found = list(document)
    for value in document.values():
        if type(value) is dict:
            found += _names(value)
    return found


def _json(payload: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def _is_text(payload: bytes) -> bool:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return False
    return is_missing(text) or number(text) is not None or (len(text) < 100 and text.isprintable())


def _vector(message: RawMessage, n: int) -> Document:
    received = datetime.fromtimestamp(message.received_ns // 10**9, UTC)
    found: Document = {"id": f"seen-{n}", "topic": message.topic}
    try:
        found["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        found |= {"payload": message.payload.hex(), "encoding": "hex"}
    if message.retained:
        found["retained"] = True
    stamp = received.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**found, "received": stamp, "source": f"seen on the site's broker, {stamp[:10]}"}


def _expected(reading: Reading) -> Document:
    found: Document = {"device": reading.device, "metric": reading.metric, "value": reading.value}
    if reading.unit is not None:
        found["unit"] = reading.unit
    if reading.own_time:
        found["time"] = datetime.fromtimestamp(reading.time_ns / 1e9, UTC).isoformat()
    return found

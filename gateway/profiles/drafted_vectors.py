"""The vectors of a drafted profile: what was heard, and what must be refused."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.errors import DecodeError, UnclaimedError
from gateway.model import RawMessage, Reading
from gateway.profiles.catalog import Catalog
from gateway.profiles.drafted_rules import is_nested, json_or_none
from gateway.profiles.vectors import DEFAULT_RECEIVED_NS
from gateway.profiles.yaml_text import flow

_VECTORS_A_RULE = 3


def drafted_vectors(
    name: str, catalog: Catalog, messages: Sequence[RawMessage], commands: Sequence[RawMessage]
) -> str:
    """Return vectors of messages and what a drafted profile makes of them, as a file.

    Args:
        name: The drafted profile.
        catalog: It, among the others.
        messages: What was heard.
        commands: What was heard and must be left alone.
    """
    found = [*_seen(name, catalog, messages), *_refused(name, catalog, commands, messages)]
    lines = ["# What was heard, and the readings that it must give."]
    names: dict[str, int] = {}
    for vector in found:
        lines += _written(vector, names)
    return "\n".join(lines) + "\n"


def _seen(name: str, catalog: Catalog, messages: Sequence[RawMessage]) -> Iterable[dict[str, Any]]:
    """Yield vectors of what was seen: of each rule a few, each of another shape."""
    shapes: dict[int, set[object]] = {}
    for message in messages:
        outcome = _outcome(name, catalog, message)
        if outcome is None:
            continue
        rule, result = outcome
        document = json_or_none(message.payload)
        kind = frozenset(document) if isinstance(document, dict) else type(document)
        found = shapes.setdefault(rule, set())
        shape = kind, message.topic.rpartition("/")[2] if not isinstance(document, dict) else ""
        if shape in found or len(found) >= _VECTORS_A_RULE:
            continue
        found.add(shape)
        yield {**_vector(message), **result}


def _refused(
    name: str, catalog: Catalog, commands: Sequence[RawMessage], messages: Sequence[RawMessage]
) -> Iterable[dict[str, Any]]:
    """Yield vectors of what must be refused: a command that was seen, a message cut off."""
    for message in commands[:1]:
        if not catalog.claims(message.topic):
            yield {**_vector(message), "rejects": "unclaimed"}
    for message in sorted(messages, key=lambda m: not is_nested(m)):
        for payload in (message.payload[: len(message.payload) // 2], b"\xff"):
            broken = message._replace(payload=payload)
            outcome = _outcome(name, catalog, broken)
            if payload and outcome is not None and "rejects" in outcome[1]:
                yield {**_vector(broken), "source": "composed", **outcome[1]}
                return


def _outcome(name: str, catalog: Catalog, message: RawMessage) -> tuple[int, dict[str, Any]] | None:
    """Return the draft's rule that takes a message, and what a vector says of it."""
    message = message._replace(received_ns=DEFAULT_RECEIVED_NS)
    try:
        claim = catalog.claim(message.topic)
        if claim is None or claim.profile != name:
            return None
        readings = catalog.decode(message).readings
    except DecodeError as exc:
        return 0, {"rejects": exc.reason}
    except UnclaimedError:
        return None
    return claim.rule, {"expect": [_expected(reading) for reading in readings]}


def _vector(message: RawMessage) -> dict[str, Any]:
    found: dict[str, Any] = {"topic": message.topic}
    try:
        found["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        found |= {"payload": message.payload.hex(), "encoding": "hex"}
    if message.retained:
        found["retained"] = True
    day = datetime.fromtimestamp(message.received_ns / 1e9, UTC)
    return {**found, "source": f"caught on the site's broker, {day:%Y-%m-%d}"}


def _expected(reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = {
        "device": reading.device, "metric": reading.metric, "value": reading.value,
    }  # fmt: skip
    if reading.unit is not None:
        found["unit"] = reading.unit
    if reading.own_time:
        moment = datetime.fromtimestamp(reading.time_ns / 1e9, UTC)
        found["time"] = moment.isoformat().replace("+00:00", "Z")
    return found


def _written(vector: dict[str, Any], names: dict[str, int]) -> Iterable[str]:
    name = re.sub(r"\W+", "-", vector["topic"].rpartition("/")[2].lower()).strip("-")
    name = ("refused-" if "rejects" in vector else "") + (name or "message")
    names[name] = names.get(name, 0) + 1
    yield f"- id: {flow(name if names[name] == 1 else f'{name}-{names[name]}')}"
    yield from (f"  {key}: {flow(value)}" for key, value in vector.items() if key != "expect")
    if "expect" in vector:
        yield "  expect:" if vector["expect"] else "  expect: []"
        yield from (f"    - {flow(each)}" for each in vector["expect"])

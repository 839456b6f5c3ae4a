"""What a profile makes of a message, step by step: for people who write one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.errors import DecodeError, MessageError
from gateway.model import Decoded, RawMessage
from gateway.profiles.catalog import Catalog, Claim
from gateway.profiles.expressions import Envelope, expression, text_or_expression
from gateway.profiles.flatten import Cell, Cells
from gateway.profiles.functions import truthy
from gateway.profiles.parts import part_of
from gateway.profiles.schema import (
    AnyStep,
    DecodeStep,
    EachStep,
    FlattenStep,
    ProfileFile,
    Rule,
    Time,
    Units,
)
from gateway.profiles.times import EARLIEST_NS, LATEST_AFTER_ARRIVAL_NS, reader, site_zone
from gateway.profiles.treatments import Treatments, plain
from gateway.profiles.words import MAX_TEXT_CHARS

_ELEMENTS = 3
_LEAVES = 200
_KEYS = ("where", "device", "parent", "metric", "value", "unit", "online", "learn", "kind", "topic",
         "template", "on", "off", "request", "flatten", "prefix", "each", "decode")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened.

    Attributes:
        where: The key in the profile, dotted.
        says: What is written there.
        gave: What came of it.
    """

    where: str
    says: str
    gave: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a message and why.

    Attributes:
        claims: All rules whose pattern the topic fits; the first takes it.
        notes: What each part of that rule gave.
        decoded: What the message says; None when it was refused.
        refused: Why it was refused, or "".
    """

    claims: list[Claim]
    notes: list[Note]
    decoded: Decoded | None
    refused: str


def explain(catalog: Catalog, message: RawMessage, timezone: str) -> Explanation:
    """Decode a message and tell what each part of its rule gave.

    Args:
        catalog: The profiles; what they have learned counts.
        message: The message.
        timezone: The zone that the catalog was loaded with.
    """
    claims = catalog.claims(message.topic)
    decoded, refused = None, ""
    try:
        decoded = catalog.decode(message)
    except MessageError as exc:
        refused = str(exc)
    notes: list[Note] = []
    if claims and claims[0].rule:
        profile = catalog.profile(claims[0].profile)
        rule = profile.rules[claims[0].rule - 1]
        claim = catalog.claim(message.topic) if not refused.startswith("bad_device") else None
        captures = dict(claim.captures) if claim else {}
        notes = list(_rule_notes(profile, rule, captures, message, timezone))
    return Explanation(claims, notes, decoded, refused)


def _rule_notes(
    profile: ProfileFile, rule: Rule, captures: dict[str, str], message: RawMessage, timezone: str
) -> Iterator[Note]:
    yield Note("topic", " | ".join(rule.topics), _shown(captures))
    try:
        payload = rule.codec.build()(message)
    except DecodeError as exc:
        yield Note("codec", _codec_name(rule.codec), f"refused: {exc}")
        return
    yield Note("codec", _codec_name(rule.codec), _shown(payload))
    envelope = {"t": captures, "p": payload}
    yield Note("device", rule.device, _gave(rule.device, envelope))
    yield from _time_notes("ts", rule.ts, envelope, message, timezone)
    yield from _step_notes("emit", rule.emit, envelope, [rule.units, profile.units], message)
    if message.retained and (rule.retained or profile.retained) != "state":
        yield Note("retained", "old", "a retained message: readings without own time are left out")


def _step_notes(
    where: str,
    steps: Sequence[AnyStep],
    envelope: Envelope,
    units: list[Units],
    message: RawMessage,
) -> Iterator[Note]:
    for i, step in enumerate(steps):
        at = f"{where}.{i}"
        if isinstance(step, EachStep):
            yield from _each_notes(at, step, envelope, units, message)
            continue
        held = step.where is None or truthy(_value(step.where, envelope))
        for key in _KEYS:
            said = getattr(step, key, None)
            if said not in {None, ""} and (held or key == "where"):
                yield Note(f"{at}.{key}", str(said), _gave(said, envelope, bare=key in _BARE))
        if not held:
            yield Note(at, f"where: {step.where}", "does not hold: passed over")
        elif isinstance(step, FlattenStep):
            yield from _leaf_notes(at, step, envelope, units)
        elif isinstance(step, DecodeStep):
            yield from _part_notes(at, step, envelope, units, message)


_BARE = frozenset({"where", "value", "online", "on", "off", "request", "flatten", "each", "decode"})


def _each_notes(
    at: str, step: EachStep, envelope: Envelope, units: list[Units], message: RawMessage
) -> Iterator[Note]:
    elements = _value(step.each, envelope)
    yield Note(f"{at}.each", step.each, _gave(step.each, envelope, bare=True))
    for n, element in enumerate(elements[:_ELEMENTS] if type(elements) is list else ()):
        inner = {**envelope, step.name: element}
        here = f"{at}[{n}]"
        if step.where is not None and not truthy(_value(step.where, inner)):
            yield Note(here, f"where: {step.where}", "does not hold: passed over")
            continue
        if step.device is not None:
            yield Note(f"{here}.device", step.device, _gave(step.device, inner))
        yield from _step_notes(f"{here}.emit", step.emit, inner, [step.units, *units], message)


def _part_notes(
    at: str, step: DecodeStep, envelope: Envelope, units: list[Units], message: RawMessage
) -> Iterator[Note]:
    try:
        part = part_of(step, _value(step.decode, envelope))
        if part is None:
            return
        found = step.codec.build()(message._replace(payload=part))
    except DecodeError as exc:
        yield Note(f"{at}.codec", _codec_name(step.codec), f"refused: {exc}")
        return
    yield Note(f"{at}.codec", _codec_name(step.codec), _shown(found))
    inner = {**envelope, step.name: found}
    yield from _step_notes(f"{at}.emit", step.emit, inner, [step.units, *units], message)


def _leaf_notes(
    at: str, step: FlattenStep, envelope: Envelope, units: list[Units]
) -> Iterator[Note]:
    """Tell of each leaf that gives no reading why."""
    cells = Cells(step, Treatments(step.units, *units))
    prefix = text_or_expression(step.prefix)
    name = prefix if isinstance(prefix, str) else _quietly(prefix, envelope)
    root = cells.root(name if type(name) is str else "")
    target = _value(step.flatten, envelope)
    for n, (cell, value) in enumerate(_leaves(cells, root, target)):
        if n >= _LEAVES:
            return
        reason = _why_not(cell, value, envelope)
        if reason:
            yield Note(f"{at}.flatten", cell.name or cell.path, f"{_shown(value)}: {reason}")


def _leaves(cells: Cells, parent: Cell, node: Any) -> Iterator[tuple[Cell, Any]]:  # noqa: ANN401 - JSON
    items = node.items() if type(node) is dict else enumerate(node) if type(node) is list else ()
    for key, value in items:
        try:
            cell = cells.grow(parent, key)
        except DecodeError:
            continue  # the message as a whole is refused for it, which is told
        if cell.dropped or type(value) not in {dict, list}:
            yield cell, value
        else:
            yield from _leaves(cells, cell, value)


def _why_not(cell: Cell, value: Any, envelope: Envelope) -> str:  # noqa: ANN401 - JSON
    if cell.dropped:
        return f"left out: {cell.path!r} fits a glob of drop"
    if cell.metric is None:
        reserved = cell.name.startswith("$")
        return "left out: names with $ are reserved" if reserved else "left out: no glob of keep"
    if value is None:
        return "no reading: null"
    if cell.convert is not None and _quietly(lambda e: cell.convert(value, e), envelope) is None:
        return "no reading: missing, or what its unit table makes of it is none"
    if cell.convert is None and plain(value) is None:
        long = type(value) is str and len(value) > MAX_TEXT_CHARS
        return f"no reading: over {MAX_TEXT_CHARS} characters" if long else "no reading: no value"
    return ""


def _time_notes(
    where: str, sources: Sequence[Time], envelope: Envelope, message: RawMessage, timezone: str
) -> Iterator[Note]:
    zone = site_zone(timezone)
    for i, source in enumerate(sources):
        value = _value(source.source, envelope)
        said = f"{source.source} as {source.form}"
        if value is None:
            yield Note(f"{where}.{i}", said, "null: the next one is asked")
            continue
        time_ns = reader(source.form, source.strptime, zone)(value, message.received_ns)
        if time_ns is None:
            yield Note(
                f"{where}.{i}", said, f"{_shown(value)}: not readable, the next one is asked"
            )
        elif EARLIEST_NS <= time_ns <= message.received_ns + LATEST_AFTER_ARRIVAL_NS:
            shown = datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
            yield Note(f"{where}.{i}", said, f"{_shown(value)}: {shown}")
            return
        else:
            yield Note(
                f"{where}.{i}", said, f"{_shown(value)}: not plausible, the next one is asked"
            )
    yield Note(where, "", "the time of arrival")


def _codec_name(codec: Any) -> str:  # noqa: ANN401 - any codec's options
    return str(codec.name)


def _gave(text: object, envelope: Envelope, *, bare: bool = False) -> str:
    """Return what a field's expression gives, as text; ``bare`` ones are always expressions."""
    if type(text) is not str:
        return _shown(text)
    found = expression(text) if bare else text_or_expression(text)
    if isinstance(found, str):
        return found
    try:
        return _shown(found(envelope))
    except Exception as exc:  # noqa: BLE001 - a person wants to see whatever it is
        return f"{type(exc).__name__}: {exc}"


def _value(text: str, envelope: Envelope) -> Any:  # noqa: ANN401 - JSON
    return _quietly(expression(text), envelope)


def _quietly(evaluate: Any, envelope: Envelope) -> Any:  # noqa: ANN401 - JSON
    try:
        return evaluate(envelope)
    except Exception:  # noqa: BLE001 - what it raises is told where it is evaluated
        return None


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 120 else f"{text[:117]}..."

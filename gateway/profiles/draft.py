"""A first profile with vectors, written from messages that no profile claims or can read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gateway.errors import DecodeError, ProfileError, UnclaimedError
from gateway.model import RawMessage, Reading
from gateway.profiles.catalog import Catalog, LoadedProfile
from gateway.profiles.drafted_rules import drafted_rules, written
from gateway.profiles.drafted_vectors import drafted_vectors
from gateway.profiles.files import load_yaml
from gateway.profiles.guesses import is_command, units
from gateway.profiles.schema import ProfileFile
from gateway.profiles.yaml_text import flow

_PRIORITY = 100  # of a profile that says none


class Draft(NamedTuple):
    """What was written.

    Attributes:
        profile: ``profile.yaml``.
        vectors: ``vectors.yaml``.
        commands: Topics that were left out, for they look like commands to the device.
    """

    profile: str
    vectors: str
    commands: tuple[str, ...]


def draft(
    name: str, messages: Sequence[RawMessage], others: Catalog, refusing: Sequence[str] = ()
) -> Draft:
    """Return a profile for messages of one firmware, and vectors of what it makes of them.

    Args:
        name: The profile's name.
        messages: What was heard.
        others: The profiles that are there.
        refusing: Those of them that take some of the messages and refuse them; the draft is asked
            before them.

    Raises:
        ProfileError: None of their topics can be written as a pattern.
    """
    commands = [message for message in messages if is_command(message.topic)]
    told = [message for message in messages if not is_command(message.topic)]
    rules = drafted_rules(told)
    if not rules:
        raise ProfileError(name, "", "no topic that was heard can be written as a pattern")
    lines = [*_head(name, told, others, refusing), "rules:"]
    for rule in rules:
        lines += [*written(rule), ""]
    alone = _loaded(name, "\n".join(lines), None)
    lines += _unit_table(_readings(alone, told))
    text = "\n".join(lines).rstrip("\n") + "\n"
    vectors = drafted_vectors(name, _loaded(name, text, others), told, commands)
    return Draft(text, vectors, tuple(dict.fromkeys(m.topic for m in commands)))


def _head(
    name: str, messages: Sequence[RawMessage], others: Catalog, refusing: Sequence[str]
) -> Iterable[str]:
    day = datetime.fromtimestamp(max(m.received_ns for m in messages) / 1e9, UTC)
    yield f"# Drafted from messages of {day:%Y-%m-%d}. Look over what says `guess`."
    yield f"title: {flow(name)}"
    yield 'docs: "" # where its maker says what it publishes'
    asked = {each.name: each.priority for each in others.profiles if each.name in refusing}
    if asked:
        whose = ", ".join(f"{each} ({asked[each]})" for each in asked)
        priority = max(min(_PRIORITY, min(asked.values()) - 1), 0)
        yield f"priority: {priority} # before {whose}, which refuses some of these messages"
    if any(message.retained for message in messages):
        yield "retained: state # guess: what the broker keeps is the device's state now"


def _unit_table(readings: Iterable[Reading]) -> list[str]:
    rows = units(readings)
    return ["units:", *(f"  - {flow(row)} # guess" for row in rows)] if rows else []


def _loaded(name: str, text: str, others: Catalog | None) -> Catalog:
    """Return the draft as it would count among others."""
    made = LoadedProfile(name, Path(name), ProfileFile.model_validate(load_yaml(text)), (0, 0))
    there = [] if others is None else [p for p in others.loaded.values() if p.name != name]
    found = sorted([*there, made], key=lambda each: (each.content.priority, each.name))
    return Catalog(found, [], UTC if others is None else others.zone)


def _readings(catalog: Catalog, messages: Sequence[RawMessage]) -> Iterable[Reading]:
    for message in messages:
        try:
            yield from catalog.decode(message).readings
        except (DecodeError, UnclaimedError):
            continue

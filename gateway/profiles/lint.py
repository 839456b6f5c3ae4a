"""What is wrong with a profile, and what may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ProfileError
from gateway.profiles import files
from gateway.profiles.catalog import Catalog, Claim, ProfileInfo
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.schema import ProfileFile
from gateway.profiles.vectors import VECTORS_FILE, Vector, read_vectors, run_vectors

_GUESS = "# guess"


@dataclass(frozen=True, slots=True)
class Lint:
    """What was found.

    Attributes:
        errors: The profile cannot be used, or does not do what its vectors say.
        warnings: It can, and yet.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def lint(file: Path, dirs: list[Path], timezone: str) -> Lint:
    """Check a profile alone, against its vectors, and among others.

    Args:
        file: ``profile.yaml``, in the profile's folder.
        dirs: The folders of the other profiles.
        timezone: IANA name.
    """
    found = files.read(file)
    if not isinstance(found, ProfileFile):
        return Lint(tuple(str(error) for error in found), ())
    name = file.parent.name
    catalog = Catalog.load([*dirs, file.parent], timezone)
    try:
        vectors = read_vectors(file.with_name(VECTORS_FILE))
    except ProfileError as exc:
        return Lint((str(exc),), tuple(_of_patterns(found)))
    failed = [
        f"{result.id}: {line}"
        for result in run_vectors(catalog, vectors, timezone)
        for line in result.difference
    ]
    warnings = [
        *_of_guesses(file.read_text(encoding="utf-8")),
        *_of_patterns(found),
        *_of_vectors(found, vectors),
        *_of_others(name, found, catalog, vectors),
    ]
    return Lint(tuple(failed), tuple(dict.fromkeys(warnings)))


def _of_guesses(text: str) -> Iterator[str]:
    lines = [str(n) for n, line in enumerate(text.splitlines(), start=1) if _GUESS in line]
    if lines:
        yield f"lines {', '.join(lines)}: drafted, and still marked `{_GUESS}`; look them over"


def _of_patterns(profile: ProfileFile) -> Iterator[str]:
    for number, rule in enumerate(profile.rules, start=1):
        for topic in rule.topics:
            if topic_pattern(topic).mqtt_filter == "#":
                yield f"rule {number}: {topic}: MQTT cannot narrow it; every topic is subscribed to"
    if not profile.docs:
        yield "docs: say where the firmware's maker says what it publishes"


def _of_vectors(profile: ProfileFile, vectors: list[Vector]) -> Iterator[str]:
    if not any(vector.expect for vector in vectors):
        yield "vectors: none shows a reading"
    if not any(vector.rejects for vector in vectors):
        yield "vectors: none shows a message that must be refused"
    for number, rule in enumerate(profile.rules, start=1):
        patterns = [topic_pattern(topic) for topic in rule.topics]
        if not any(pattern.match(v.topic) is not None for pattern in patterns for v in vectors):
            yield f"rule {number}: no vector shows it"


def _of_others(
    name: str, profile: ProfileFile, catalog: Catalog, vectors: list[Vector]
) -> Iterator[str]:
    """Tell where another profile takes a topic of this one, and where this one takes another's."""
    infos = {each.name: each for each in catalog.profiles}
    for vector in vectors:
        claims = catalog.claims(vector.topic)
        own = next((claim for claim in claims if claim.profile == name), None)
        if own is None:
            continue
        if claims[0].profile != name:
            yield _overlap(vector.topic, infos, claims[0], own)
            continue
        for other in claims:
            is_rival = other.profile != name and infos[other.profile].priority == profile.priority
            if is_rival:
                yield _overlap(vector.topic, infos, own, other)
    for info in catalog.profiles:
        if info.name != name:
            yield from _taken_from(name, info, catalog, infos)


def _taken_from(
    name: str, other: ProfileInfo, catalog: Catalog, infos: dict[str, ProfileInfo]
) -> Iterator[str]:
    """Tell which topics of another profile's vectors this one takes; one for each two patterns."""
    told: set[tuple[str, str]] = set()
    for topic in _topics(other.file.with_name(VECTORS_FILE)):
        claims = catalog.claims(topic)
        theirs = next((claim for claim in claims if claim.profile == other.name), None)
        if theirs is None or claims[0].profile != name:
            continue
        patterns = claims[0].pattern, theirs.pattern
        if patterns not in told:
            told.add(patterns)
            yield _overlap(topic, infos, claims[0], theirs)


def _topics(file: Path) -> list[str]:
    """Return the topics of a profile's vectors; what is wrong with them is not told here."""
    try:
        vectors = read_vectors(file)
    except ProfileError:
        return []
    return list(dict.fromkeys(v.topic for v in vectors if v.rejects != "unclaimed"))


def _overlap(topic: str, infos: dict[str, ProfileInfo], winner: Claim, loser: Claim) -> str:
    priorities = infos[winner.profile].priority, infos[loser.profile].priority
    order = "by name" if priorities[0] == priorities[1] else "the lower priority"
    won, lost = (
        f"{claim.profile} (priority {priority}, {claim.pattern})"
        for claim, priority in zip((winner, loser), priorities, strict=True)
    )
    return f"{topic}: profile {won} takes it, {order} first, and not {lost}"

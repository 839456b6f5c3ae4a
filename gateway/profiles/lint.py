"""What is wrong with a profile, and what may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ProfileError
from gateway.profiles import files
from gateway.profiles.catalog import Catalog
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.schema import ProfileFile
from gateway.profiles.vectors import VECTORS_FILE, Vector, read_vectors, run_vectors


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
    catalog = Catalog.load([*dirs, file.parent.parent], timezone)
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
        *_of_patterns(found),
        *_of_vectors(found, vectors),
        *_of_others(name, found, catalog, vectors),
    ]
    return Lint(tuple(failed), tuple(dict.fromkeys(warnings)))


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
    """Tell where another profile is asked before, or is as much entitled to a topic."""
    priorities = {each.name: each.priority for each in catalog.profiles}
    for vector in vectors:
        claims = [claim.profile for claim in catalog.claims(vector.topic)]
        if name not in claims:
            continue
        if claims[0] != name:
            yield f"{vector.topic}: profile {claims[0]} is asked before and takes it"
            continue
        for other in dict.fromkeys(claims[1:]):
            if other != name and priorities[other] == profile.priority:
                yield f"{vector.topic}: profile {other} of the same priority claims it too"

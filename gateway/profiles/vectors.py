"""Test vectors of a profile (``vectors.yaml`` beside it) or of a table: read, and run.

They are run through `Catalog.decode`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from ruamel.yaml.error import YAMLError

from gateway.errors import DecodeError, ProfileError, UnclaimedError
from gateway.profiles.catalog import Catalog
from gateway.profiles.comparison import compare
from gateway.profiles.files import load_yaml
from gateway.profiles.vector import DEFAULT_RECEIVED_NS, Expected, Vector

__all__ = [
    "DEFAULT_RECEIVED_NS", "VECTORS_FILE", "Expected", "Vector", "VectorResult", "read_vectors",
    "run_vectors", "uncompared",
]  # fmt: skip

VECTORS_FILE = "vectors.yaml"
_TABLE_KEYS = frozenset({"device", "metric", "value", "unit", "ts", "fs"})


@dataclass(frozen=True, slots=True)
class VectorResult:
    """What became of one vector.

    Attributes:
        id: The vector's name.
        firmware: Whose message it is.
        difference: What is not as expected, one line each; none: it passed.
    """

    id: str
    firmware: str
    difference: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Say whether all is as expected."""
        return not self.difference


def read_vectors(file: Path) -> list[Vector]:
    """Read the vectors of a profile (``vectors.yaml``) or of a table (``*.jsonl``).

    Raises:
        ProfileError: The file cannot be read, or a vector in it is malformed.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            return [_from_table(orjson.loads(line)) for line in text.splitlines() if line.strip()]
        vectors = TypeAdapter(list[Vector]).validate_python(load_yaml(text) or [])
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(key) for key in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            model = Expected if "expect" in first["loc"] else Vector
            reason = f"unknown key, it would not be compared; there are: {_keys(model)}"
        raise ProfileError(str(file), where, reason) from exc
    except (OSError, YAMLError, ValueError, KeyError) as exc:
        raise ProfileError(str(file), "", f"cannot be read: {exc}") from exc
    return [v.model_copy(update={"firmware": v.firmware or file.parent.name}) for v in vectors]


def run_vectors(catalog: Catalog, vectors: Sequence[Vector], timezone: str) -> list[VectorResult]:
    """Decode every vector, in order; those of a sequence by their steps.

    Args:
        catalog: The profiles.
        vectors: What to decode.
        timezone: The zone that the catalog was loaded with, for ``local:`` times.
    """
    sessions = {"": catalog}
    results: dict[int, VectorResult] = {}
    # A session begins knowing nothing.
    for i, vector in sorted(enumerate(vectors), key=lambda item: _order(item[1])):
        group = vector.sequence.group if vector.sequence else ""
        session = sessions.get(group)
        if session is None:
            session = sessions[group] = catalog.fresh()
        differences = tuple(_differences(session, vector, timezone))
        results[i] = VectorResult(vector.id, vector.firmware, differences)
    return [results[i] for i in range(len(vectors))]


def _order(vector: Vector) -> int:
    return vector.sequence.step if vector.sequence else 0


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def uncompared(table: Path) -> list[str]:
    """Return what a table (``*.jsonl``) tells of readings that no vector can: it is left out.

    A table serves other decoders too, and these may know more of a reading (``quality``).
    """
    rows = [orjson.loads(line) for line in table.read_text().splitlines() if line.strip()]
    return sorted({key for row in rows for each in row["expected"] for key in each} - _TABLE_KEYS)


def _from_table(row: dict[str, Any]) -> Vector:
    is_refused = row["kind"] == "reject"
    return Vector(
        id=row["id"],
        firmware=row["firmware"],
        topic=row["topic"],
        payload=row["payload"],
        encoding=row["payload_encoding"],
        mode=row["expected_mode"],
        retained=row["retained"],
        expect=() if is_refused else tuple(_expected(each) for each in row["expected"]),
        rejects="any" if is_refused else "",
        source=row["source"],
        sequence=row.get("sequence"),
    )


def _expected(said: dict[str, Any]) -> Expected:
    """Return a table's reading; it gives a time even to one that must not come."""
    known = _TABLE_KEYS if said["value"] is not None else {"device", "metric", "value"}
    return Expected.model_validate({key: said[key] for key in said if key in known})


def _differences(catalog: Catalog, vector: Vector, timezone: str) -> list[str]:
    try:
        message = vector.message()
    except ValueError as exc:
        return [f"the vector itself: {exc}"]
    try:
        decoded = catalog.decode(message)
    except UnclaimedError:
        return [] if vector.rejects == "unclaimed" else ["no profile takes the topic"]
    except DecodeError as exc:
        return [] if vector.rejects in {exc.reason, "any"} else [f"refused by {exc.profile}: {exc}"]
    if vector.rejects:
        return [f"accepted by {decoded.profile}, should be refused: {vector.rejects}"]
    try:
        return compare(vector, decoded, message.received_ns, timezone)
    except ValueError as exc:
        return [f"the vector itself: {exc}"]

"""Test vectors: messages, where they were seen, and the readings that a profile must make of them.

They lie beside a profile as ``vectors.yaml`` and are run through `Catalog.decode`.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isclose
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from ruamel.yaml.error import YAMLError

from gateway.errors import DecodeError, ProfileError, UnclaimedError
from gateway.model import Decoded, RawMessage, Reading, Waveform
from gateway.profiles.catalog import Catalog
from gateway.profiles.files import load_yaml
from gateway.profiles.times import reader, site_zone

VECTORS_FILE = "vectors.yaml"
_TABLE_KEYS = frozenset({"device", "metric", "value", "unit", "ts", "fs"})
_TIME_TOLERANCE_NS = 1_000
_DEFAULT_RECEIVED = "2030-01-01T00:00:00Z"  # later than all that was ever caught
DEFAULT_RECEIVED_NS = 1_893_456_000 * 10**9


class Expected(BaseModel):
    """A reading, or with ``fs`` a waveform, that must come out; all that it says is compared.

    Attributes:
        value: Number, bool, text, or an object or array (a reading's JSON text is read); null:
            there must be no reading of this metric, so nothing else can be said of it.
        time: ISO 8601, ``local:...`` for the site's wall clock, or null for the time of arrival.
        fs: Samples per second of a waveform.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    metric: str
    value: Any
    unit: str | None = None
    time: str | int | float | None = Field(
        default=None, validation_alias=AliasChoices("time", "ts")
    )
    fs: float | None = None

    @model_validator(mode="after")
    def _compares_what_it_says(self) -> Self:
        if self.value is None and (self.unit, self.time, self.fs) != (None, None, None):
            raise ValueError(
                "value null says that no such reading comes: it has no unit, time or fs"
            )
        return self


class Place(BaseModel):
    """Where a vector stands among those that make sense only in order.

    Attributes:
        group: Their session's name.
        step: Their order in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    step: int


class Vector(BaseModel):
    """A message and what must become of it.

    Attributes:
        id: Its name.
        firmware: Whose message it is.
        encoding: Of ``payload``.
        mode: ``exact``: these readings and no others; ``subset``: at least these.
        received: When it came in, ISO 8601.
        rejects: The reason for which it must be refused; ``unclaimed``: no rule may take it;
            ``any``: a rule must take and refuse it, for whatever reason.
        source: Where the payload was seen.
        sequence: The session it belongs to, and which message of it it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    topic: str
    payload: str
    encoding: Literal["utf8", "hex", "base64"] = "utf8"
    mode: Literal["exact", "subset"] = "exact"
    received: str = _DEFAULT_RECEIVED
    retained: bool = False
    expect: tuple[Expected, ...] = ()
    rejects: str = ""
    source: Annotated[str, Field(min_length=1)]
    firmware: str = ""
    sequence: Place | None = None

    @model_validator(mode="after")
    def _expects_or_rejects(self) -> Self:
        if self.rejects and self.expect:
            raise ValueError("a message that is refused gives no reading: expect or rejects")
        return self

    def message(self) -> RawMessage:
        """Return the message.

        Raises:
            ValueError: The payload is not what its encoding says, or the time cannot be read.
        """
        if self.encoding == "utf8":
            payload = self.payload.encode()
        else:
            payload = _DECODERS[self.encoding](self.payload)
        received_ns = reader("iso", None, UTC)(self.received, 0)
        if received_ns is None:
            raise ValueError(f"received: {self.received!r} is no ISO 8601 time")
        return RawMessage(self.topic, payload, received_ns, retained=self.retained)


_DECODERS = {"hex": binascii.unhexlify, "base64": base64.b64decode}


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
        return _compare(vector, decoded, message.received_ns, timezone)
    except ValueError as exc:
        return [f"the vector itself: {exc}"]


def _compare(vector: Vector, decoded: Decoded, received_ns: int, timezone: str) -> list[str]:
    """Match each expected reading with one that came; a metric may come several times."""
    left: list[Reading | Waveform] = [*decoded.readings, *decoded.waveforms]
    differences: list[str] = []
    for wanted in vector.expect:
        same = [r for r in left if (r.device, r.metric) == (wanted.device, wanted.metric)]
        if wanted.value is None:  # there is no value, so there must be no reading
            differences += [f"{r.device} {r.metric}: {_shown(r)}, should be none" for r in same]
            left = [reading for reading in left if all(reading is not r for r in same)]
            continue
        if not same:
            differences.append(f"missing: {wanted.device} {wanted.metric} = {wanted.value!r}")
            continue
        at_least = vector.mode == "subset"
        found = [
            (_unlike(_shortened(wanted, r, at_least=at_least), r, received_ns, timezone), r)
            for r in same
        ]
        unlike, best = min(found, key=lambda pair: len(pair[0]))
        left = [reading for reading in left if reading is not best]
        differences += unlike
    if vector.mode == "exact":
        differences += [f"not expected: {r.device} {r.metric} = {_shown(r)}" for r in left]
    return differences


def _shortened(wanted: Expected, found: Reading | Waveform, *, at_least: bool) -> Expected:
    """Return what is wanted of an object: in ``subset`` mode it may have more members."""
    if not at_least or not isinstance(wanted.value, dict) or isinstance(found, Waveform):
        return wanted
    value = _parsed(found.value)
    if not isinstance(value, dict) or any(value.get(k) != v for k, v in wanted.value.items()):
        return wanted
    return wanted.model_copy(update={"value": value})


def _parsed(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return what a reading's text holds as JSON, the text itself when it is none."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


def _unlike(
    wanted: Expected, found: Reading | Waveform, received_ns: int, timezone: str
) -> list[str]:
    where = f"{wanted.device} {wanted.metric}"
    lines: list[str] = []
    if isinstance(found, Waveform):
        if not _same_samples(wanted.value, found) or (
            wanted.fs is not None and not isclose(wanted.fs, found.rate_hz)
        ):
            lines.append(f"{where}: {_shown(found)}, should be {wanted.value!r} at {wanted.fs} Hz")
    elif not _same_value(wanted.value, found.value):
        lines.append(f"{where}: {found.value!r}, should be {wanted.value!r}")
    elif wanted.fs is not None:
        lines.append(f"{where}: a reading, should be a waveform at {wanted.fs} Hz")
    if found.unit != wanted.unit:
        lines.append(f"{where}: unit {found.unit!r}, should be {wanted.unit!r}")
    wanted_ns = _time_ns(wanted.time, received_ns, timezone)
    if abs(found.time_ns - wanted_ns) > _TIME_TOLERANCE_NS:
        shown = datetime.fromtimestamp(found.time_ns / 1e9, UTC).isoformat()
        lines.append(f"{where}: time {shown}, should be {wanted.time or 'that of arrival'}")
    return lines


def _same_value(wanted: object, found: object) -> bool:
    if isinstance(wanted, dict | list):
        return isinstance(found, str) and _parsed(found) == wanted
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int) and isinstance(found, int):
        return wanted == found
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return isclose(wanted, found, rel_tol=1e-9, abs_tol=1e-12)
    return wanted == found


def _same_samples(wanted: object, found: Waveform) -> bool:
    return (
        isinstance(wanted, list)
        and len(wanted) == len(found.samples)
        and all(
            isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
            for a, b in zip(wanted, found.samples, strict=True)
        )
    )


def _shown(found: Reading | Waveform) -> str:
    if isinstance(found, Waveform):
        return (
            f"{len(found.samples)} samples at {found.rate_hz} Hz, {found.samples[:4].tolist()}..."
        )
    return repr(found.value)


def _time_ns(time: str | float | None, received_ns: int, timezone: str) -> int:
    if time is None:
        return received_ns
    text = time.removeprefix("local:") if isinstance(time, str) else time
    found = reader("auto", None, site_zone(timezone))(text, received_ns)
    if found is None:
        raise ValueError(f"the vector's time {time!r} cannot be read")
    return found

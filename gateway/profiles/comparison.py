"""What came of a vector's message held against what must come of it."""

from datetime import UTC, datetime
from math import isclose
from typing import Any

import orjson

from gateway.model import Decoded, Reading, Waveform
from gateway.profiles.times import reader, site_zone
from gateway.profiles.vector import Expected, Vector

_TIME_TOLERANCE_NS = 1_000


def compare(vector: Vector, decoded: Decoded, received_ns: int, timezone: str) -> list[str]:
    """Match each expected reading with one that came; a metric may come several times.

    Returns:
        What differs, one line each.

    Raises:
        ValueError: A time of the vector's cannot be read.
    """
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

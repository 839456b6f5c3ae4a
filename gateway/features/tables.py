"""The records that the store writes besides readings, as columns of their tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.clock import Era
from gateway.features.columns import Batch
from gateway.features.marks import Mark
from gateway.features.schema import SWITCH, Columns, text, times
from gateway.features.series import Device, Series
from gateway.model import Waveform


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be processed.

    Attributes:
        sample: The first bytes of its payload, printable.
    """

    time_ns: int
    topic: str
    reason: str
    detail: str
    profile: str
    size_bytes: int
    sample: str


@dataclass(frozen=True, slots=True)
class SentOutcome:
    """An outcome as it was handed to the leaf."""

    id: str
    time_ns: int
    source: str
    plugin: str
    end_ns: int
    label: str
    score: float
    packet: str
    received_ns: int


def series_columns(series: Sequence[Series]) -> Columns:
    """Return rows of ``series``."""
    return {
        "id": np.array([s.number for s in series], dtype=np.int32),
        "device": text([s.device for s in series]),
        "metric": text([s.metric for s in series]),
        "unit": text([s.unit or "" for s in series]),
        "profile": text([s.profile for s in series]),
        "source": text([s.source for s in series]),
        "kind": text([SWITCH if s.switch else "" for s in series]),
    }


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the box's own stamps are marked with: the times of arrival of a batch's messages.

    Attributes:
        mark: The clock's era of doubt; 0 for none.
    """

    mark: int = 0
    received_ns: frozenset[int] = frozenset()

    def of(self, times_ns: Sequence[int]) -> NDArray[np.int32]:
        """Return the mark of each time, int32 [n]."""
        return np.array([self.mark if t in self.received_ns else 0 for t in times_ns], np.int32)


def text_columns(batch: Batch, stamps: Stamps) -> Columns:
    """Return a batch's rows of ``text_reading``."""
    times_ns = [time_ns for _, time_ns, _, _ in batch.texts]
    return {
        "time": times(times_ns),
        "series": np.array([series for series, *_ in batch.texts], dtype=np.int32),
        "value": text([value for _, _, value, _ in batch.texts]),
        "era": stamps.of(times_ns),
    }


def device_columns(devices: Sequence[Device]) -> Columns:
    """Return rows of ``device``."""
    return {
        "name": text([d.name for d in devices]),
        "profile": text([d.profile for d in devices]),
        "source": text([d.source for d in devices]),
        "first_seen": times([d.first_seen_ns for d in devices]),
        "last_seen": times([d.last_seen_ns for d in devices]),
        "messages": np.array([d.messages for d in devices], dtype=np.int64),
    }


def watermark_columns(plugin: str, marks: dict[str, Mark]) -> Columns:
    """Return rows of ``watermark``."""
    return {
        "plugin": text([plugin] * len(marks)),
        "source": text(list(marks)),
        "window_end": times([m.end_ns for m in marks.values()]),
        "label": text([m.label for m in marks.values()]),
        "reported": times([m.reported_ns for m in marks.values()]),
    }


def clock_columns(era: Era, seen_ns: int) -> Columns:
    """Return the row of ``clock``."""
    numbers = {
        "era": era.number,
        "offset_ns": era.offset_ns,
        "began_ns": era.began_ns,
        "lag_ns": era.lag_ns,
        "lag_from_ns": era.lag_from_ns,
        "seen_ns": seen_ns,
    }
    return {
        "boot": text([era.boot]),
        "standing": text([era.standing]),
        **{name: np.array([number], dtype=np.int64) for name, number in numbers.items()},
    }


def dead_letter_columns(dead: Sequence[DeadLetter]) -> Columns:
    """Return rows of ``dead_letter``."""
    return {
        "time": times([d.time_ns for d in dead]),
        "topic": text([d.topic for d in dead]),
        "reason": text([d.reason for d in dead]),
        "detail": text([d.detail for d in dead]),
        "profile": text([d.profile for d in dead]),
        "bytes": np.array([d.size_bytes for d in dead], dtype=np.int64),
        "sample": text([d.sample for d in dead]),
    }


def outcome_columns(sent: Sequence[SentOutcome]) -> Columns:
    """Return rows of ``outcome``."""
    return {
        "id": text([o.id for o in sent]),
        "time": times([o.time_ns for o in sent]),
        "source": text([o.source for o in sent]),
        "plugin": text([o.plugin for o in sent]),
        "window_end": times([o.end_ns for o in sent]),
        "label": text([o.label for o in sent]),
        "score": np.array([o.score for o in sent], dtype=np.float64),
        "packet": text([o.packet for o in sent]),
        "received": times([o.received_ns for o in sent]),
    }


def portions(
    waveforms: Sequence[tuple[int, Waveform]], samples: int
) -> Iterator[list[tuple[int, Waveform]]]:
    """Yield the waveforms in order, in portions of at most so many samples or of one waveform."""
    part: list[tuple[int, Waveform]] = []
    size = 0
    for each in waveforms:
        if part and size + len(each[1].samples) > samples:
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each[1].samples)
    if part:
        yield part


def waveform_columns(waveforms: Sequence[tuple[int, Waveform]], stamps: Stamps) -> Columns:
    """Return a row for each sample: of which ``wave`` it is, its ``place`` in it, and its value."""
    lengths = [len(wave.samples) for _, wave in waveforms]

    def each(values: list[float], dtype: type[np.generic]) -> NDArray[np.generic]:
        return np.repeat(np.array(values, dtype=dtype), lengths)

    return {
        "wave": each(list(range(len(waveforms))), np.int32),
        "time": np.repeat(times([wave.time_ns for _, wave in waveforms]), lengths),
        "series": each([series for series, _ in waveforms], np.int32),
        "era": np.repeat(stamps.of([wave.time_ns for _, wave in waveforms]), lengths),
        "rate_hz": each([wave.rate_hz for _, wave in waveforms], np.float64),
        "place": np.concatenate([np.arange(length) for length in lengths]),
        "value": np.concatenate([wave.samples for _, wave in waveforms]),
    }

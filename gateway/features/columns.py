"""A batch of decoded messages as columns, and which of its readings are repeats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.features.series import NONE, TOO_MANY_DEVICES, TOO_MANY_SERIES, Register
from gateway.features.waveform import describe
from gateway.model import Decoded, RawMessage, Waveform

Item = tuple[RawMessage, Decoded]


class Refused(NamedTuple):
    """What of a message there was no room for, see `gateway.features.series.Capacity`.

    Attributes:
        reason: ``too_many_devices`` or ``too_many_series``.
        parts: How many of its readings.
        is_whole: All of it.
    """

    reason: str
    parts: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """The readings of a batch of messages, one row each.

    Attributes:
        series: int32 [n].
        time_ns: int64 [n], a multiple of 1,000: the store keeps microseconds.
        value: float64 [n].
        message: int32 [n], the index of the message within the batch.
        own_time: bool [n], the device said the time itself.
        received_ns: int64 [n], arrival of the message.
        texts: (series, time_ns, text, message) of each text reading.
        waveforms: (series, waveform) of each waveform.
        refused: What there was no room for, by the index of the message.
    """

    series: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    message: NDArray[np.int32]
    own_time: NDArray[np.bool_]
    received_ns: NDArray[np.int64]
    texts: list[tuple[int, int, str, int]]
    waveforms: list[tuple[int, Waveform]]
    refused: dict[int, Refused] = field(default_factory=dict)

    @property
    def is_stamped(self) -> NDArray[np.bool_]:
        """Return which rows bear the time of arrival, bool [n]: the box's own clock's."""
        return np.asarray(self.time_ns == self.received_ns // 1000 * 1000)

    def only(self, keep: NDArray[np.bool_]) -> "Batch":
        """Return the batch with the numeric rows where ``keep`` is true."""
        return Batch(
            self.series[keep],
            self.time_ns[keep],
            self.value[keep],
            self.message[keep],
            self.own_time[keep],
            self.received_ns[keep],
            self.texts,
            self.waveforms,
            self.refused,
        )


def to_columns(items: Sequence[Item], register: Register) -> Batch:
    """Turn messages into columns; series not known yet are registered."""
    rows: list[tuple[int, int, float, int, bool]] = []
    texts: list[tuple[int, int, str, int]] = []
    waveforms: list[tuple[int, Waveform]] = []
    number, add = register.number, rows.append
    refused_before = register.refused
    refused: dict[int, Refused] = {}
    for index, (_, decoded) in enumerate(items):
        profile = decoded.profile
        if not (decoded.readings or decoded.waveforms) and register.lacks_room(decoded.device):
            refused[index] = Refused(TOO_MANY_DEVICES, 0, is_whole=True)
        for device, metric, value, unit, time_ns, own_time in decoded.readings:
            series = number(device, metric, unit, profile)
            if isinstance(value, str):
                texts.append((series, time_ns, value, index))
            else:
                add((series, time_ns, value, index, own_time))
        for wave in decoded.waveforms:
            series = number(wave.device, wave.metric, wave.unit, profile)
            waveforms.append((series, wave))
            for reading in describe(wave):
                series = number(reading.device, reading.metric, reading.unit, profile)
                add((series, reading.time_ns, float(reading.value), index, True))
    if register.new:
        register.note_switches({row[0] for row in rows if type(row[2]) is bool})
    received_ns = np.array([raw.received_ns for raw, _ in items], dtype=np.int64)
    batch = _batch(rows, texts, waveforms, received_ns)
    if register.refused == refused_before and not refused:
        return batch
    return _without_refused(batch, items, register, refused)


def _batch(
    rows: list[tuple[int, int, float, int, bool]],
    texts: list[tuple[int, int, str, int]],
    waveforms: list[tuple[int, Waveform]],
    received_ns: NDArray[np.int64],
) -> Batch:
    series_, time_, value_, message_, own_ = zip(*rows, strict=True) if rows else ((),) * 5
    message = np.array(message_, dtype=np.int32)
    return Batch(
        np.array(series_, dtype=np.int32),
        np.array(time_, dtype=np.int64) // 1000 * 1000,
        np.array(value_, dtype=np.float64),
        message,
        np.array(own_, dtype=np.bool_),
        received_ns[message],
        texts,
        waveforms,
    )


def _without_refused(
    batch: Batch, items: Sequence[Item], register: Register, refused: dict[int, Refused]
) -> Batch:
    """Return the batch without the rows of series for which there was no room."""
    is_kept = batch.series != NONE
    lost = Counter(batch.message[~is_kept].tolist())
    lost.update(index for series, _, _, index in batch.texts if series == NONE)
    texts = [text for text in batch.texts if text[0] != NONE]
    kept = {*batch.message[is_kept].tolist(), *(index for *_, index in texts)}
    for index, parts in lost.items():
        _, decoded = items[index]
        reason = register.lacks_room(decoded.device) or TOO_MANY_SERIES
        refused[index] = Refused(reason, parts, index not in kept)
    waveforms = [each for each in batch.waveforms if each[0] != NONE]
    return replace(batch.only(is_kept), texts=texts, waveforms=waveforms, refused=refused)


def repeats_within(batch: Batch) -> NDArray[np.bool_]:
    """Say which rows repeat an earlier row of the same batch: same series, own time and value."""
    order = np.lexsort((batch.value, batch.time_ns, batch.series))
    series, time_ns, value = batch.series[order], batch.time_ns[order], batch.value[order]
    same = np.zeros(len(order), dtype=np.bool_)
    same[1:] = (
        (series[1:] == series[:-1]) & (time_ns[1:] == time_ns[:-1]) & (value[1:] == value[:-1])
    )
    repeats = np.zeros(len(order), dtype=np.bool_)
    repeats[order] = same
    return repeats & batch.own_time


def digest(message: RawMessage) -> int:
    """Return a 64-bit digest of topic and payload, to know a redelivered message again."""
    hashed = blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=8)
    return int.from_bytes(hashed.digest(), "little", signed=True)

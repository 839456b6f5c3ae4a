"""Readings that are older than the store keeps when they come: a device's clock, or its backlog.

They are stored, so that plugins judge them, and gone with the next sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.features.columns import Batch, Item
from gateway.features.series import Register
from gateway.model import Decoded


@dataclass(frozen=True, slots=True)
class TooOld:
    """What of a batch is too old to be kept.

    Attributes:
        messages: How many messages say nothing else.
        readings: How many new readings are, with texts.
        device: Whose reading is the oldest of them.
        time_ns: Its time.
    """

    messages: int
    readings: int
    device: str
    time_ns: int


def too_old(
    items: Sequence[Item],
    ended: Sequence[bool],
    new: Batch,
    before_ns: int,
    register: Register,
) -> TooOld | None:
    """Return what is too old to be kept, None if nothing is.

    Args:
        items: The messages of a batch.
        ended: Which of them are counted already: duplicates, and those there was no room for.
        new: Their new rows.
        before_ns: What is older goes with the next sweep.
        register: The series of the rows.
    """
    texts = [(time_ns, series) for series, time_ns, *_ in new.texts if time_ns < before_ns]
    rows = np.flatnonzero(new.time_ns < before_ns)
    if not texts and not len(rows):
        return None
    found = texts + [(int(new.time_ns[row]), int(new.series[row])) for row in rows]
    messages = sum(
        not has_ended and _is_older(decoded, before_ns)
        for (_, decoded), has_ended in zip(items, ended, strict=True)
    )
    oldest_ns, series = min(found)
    return TooOld(messages, len(found), register.series[series].device, oldest_ns)


def _is_older(decoded: Decoded, before_ns: int) -> bool:
    times_ns = [reading.time_ns for reading in decoded.readings]
    times_ns += [wave.time_ns for wave in decoded.waveforms]
    return bool(times_ns) and max(times_ns) < before_ns

"""Windows as arrays: rows of several channels, brought onto common steps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.features.planner import Due, Planner
from gateway.features.recent import Recent, Rows, RowSource
from gateway.model import Channel, WindowSpec


def resample(rows: Rows, end_ns: int, spec: WindowSpec) -> NDArray[np.float32]:
    """Bring one channel onto the window's steps.

    Args:
        rows: Times (ns, ascending) and values within the window.
        end_ns: The last step.
        spec: With ``steps`` and ``step_s``; or with ``rows`` for the newest values as they are.

    Returns:
        float32 [steps]: the last value at or before each step, NaN before the first. Or
        float32 [rows]: the newest values, NaN in front where there are fewer.
    """
    time_ns, value = rows
    if not spec.steps:
        out = np.full(spec.rows, np.nan, dtype=np.float32)
        taken = value[-spec.rows :]
        if len(taken):
            out[-len(taken) :] = taken
        return out
    out = np.full(spec.steps, np.nan, dtype=np.float32)
    if not len(time_ns):
        return out
    at_ns = end_ns - np.arange(spec.steps - 1, -1, -1) * int(spec.step_s * 1e9)
    index = np.searchsorted(time_ns, at_ns, side="right") - 1
    found = index >= 0
    out[found] = value[index[found]]
    return out


class WindowReader:
    """Reads the rows of windows: from the recent ones, else from the store."""

    def __init__(self, recent: Recent, store: RowSource) -> None:
        self._recent = recent
        self._store = store

    def rows(self, series: int, start_ns: int, end_ns: int) -> Rows:
        """Return the rows with start < time <= end."""
        source: RowSource = self._store
        if self._recent.covers(series, start_ns):
            source = self._recent
        return source.rows(series, start_ns, end_ns)

    def tensor(
        self, planner: Planner, due: Sequence[Due]
    ) -> tuple[NDArray[np.float32], list[tuple[Channel, ...]]]:
        """Return float32 [B, steps or rows, max_channels] and the channels of each window."""
        spec = planner.spec
        width = spec.steps or spec.rows
        values = np.full((len(due), width, spec.max_channels), np.nan, dtype=np.float32)
        channels = []
        length_ns = int(spec.length_s * 1e9)
        for b, (source, end_ns, _) in enumerate(due):
            series = planner.channels(source)
            for c, one in enumerate(series if width else ()):
                rows = self.rows(one.number, end_ns - length_ns, end_ns)
                values[b, :, c] = resample(rows, end_ns, spec)
            channels.append(tuple(Channel(s.channel, s.unit) for s in series))
        return values, channels

    def long(self, planner: Planner, due: Sequence[Due]) -> dict[str, NDArray[np.generic]]:
        """Return the windows' rows as columns: window, series (int32), time_ns, value."""
        spec, length_ns = planner.spec, int(planner.spec.length_s * 1e9)
        window: list[int] = []
        series: list[int] = []
        parts: list[Rows] = []
        for b, (source, end_ns, _) in enumerate(due):
            for one in planner.channels(source):
                time_ns, value = self.rows(one.number, end_ns - length_ns, end_ns)
                if spec.rows:
                    time_ns, value = time_ns[-spec.rows :], value[-spec.rows :]
                parts.append((time_ns, value))
                window.append(b)
                series.append(one.number)
        sizes = [len(time_ns) for time_ns, _ in parts]
        return {
            "w": np.repeat(np.array(window, dtype=np.int32), sizes),
            "series": np.repeat(np.array(series, dtype=np.int32), sizes),
            "time_ns": np.concatenate([t for t, _ in parts] or [np.empty(0, np.int64)]),
            "value": np.concatenate([v for _, v in parts] or [np.empty(0)]),
        }

"""Windows of a machine to a score: learn what is normal first, then compare."""

from dataclasses import dataclass, field, replace

import msgpack
import numpy as np
from normal import CHANNELS, Judge, Normal, step
from numpy.typing import NDArray

from gateway.inference.manifest import Manifest
from gateway.inference.models import Model
from gateway.model import Result, Windows

_PARAMETERS = ("mask", "mean", "scale", "dof", "threshold")
_WIDTHS = (CHANNELS, CHANNELS, CHANNELS, CHANNELS, 1)
_MOST_NAMED = 3
_LEAST_SHARE = 0.05  # a channel that explains less of the score is not named


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of one machine between its windows.

    Attributes:
        names: Its channels, in the order in which they were learned.
        rows: float32 [n, M], the rows seen while learning; none afterwards.
        normal: What was learned, or None while learning.
        judge: Whether it is in an alarm.
    """

    names: tuple[str, ...]
    rows: NDArray[np.float32]
    normal: Normal | None = None
    judge: Judge = field(default_factory=Judge)

    def pack(self) -> bytes:
        """Return it as bytes."""
        learned = b""
        if self.normal:
            parts = [getattr(self.normal, name) for name in _PARAMETERS]
            learned = np.concatenate(parts).tobytes()
        judge = (self.judge.alarm, self.judge.level)
        packed: bytes = msgpack.packb((self.names, self.rows.tobytes(), learned, judge))
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> "Memory":
        """Read what `pack` wrote."""
        names, rows, learned, judge = msgpack.unpackb(packed)
        normal = None
        if learned:
            parts = np.split(np.frombuffer(learned, np.float64), np.cumsum(_WIDTHS)[:-1])
            normal = Normal(*parts)
        seen = np.frombuffer(rows, np.float32).reshape(-1, len(names))
        return cls(tuple(names), seen, normal, Judge(*judge))


class Plugin:
    """Scores machines that have been learned, all in one run of the model."""

    def __init__(self, model: Model, manifest: Manifest) -> None:
        self._model = model
        self._learn_rows = int(manifest.params.get("learn_rows", 300))

    def evaluate(self, windows: Windows, states: list[bytes | None]) -> list[Result]:
        """Return a result for each machine; while it is being learned one that is suppressed."""
        names = [tuple(c.metric for c in channels) for channels in windows.channels]
        memories = [
            Memory.unpack(state) if state else Memory(own, np.empty((0, len(own)), np.float32))
            for state, own in zip(states, names, strict=True)
        ]
        results: list[Result | None] = [None] * len(windows)
        known = [i for i, memory in enumerate(memories) if memory.normal]
        for i in set(range(len(windows))) - set(known):
            results[i] = self._learn(memories[i], names[i], windows.values[i])
        if known:
            judged = self._judge(
                [memories[i] for i in known],
                np.stack([_arrange(windows.values[i], names[i], memories[i]) for i in known]),
            )
            for i, result in zip(known, judged, strict=True):
                results[i] = result
        return [result for result in results if result]

    def _learn(self, memory: Memory, names: tuple[str, ...], window: NDArray[np.float32]) -> Result:
        """Add the window's newest row; fit once there are enough of them.

        A channel that comes while learning begins it anew: its machine was not complete.
        """
        if memory.names != names:
            memory = Memory(names, np.empty((0, len(names)), np.float32))
        memory = replace(memory, rows=np.vstack((memory.rows, window[-1:, : len(names)])))
        if len(memory.rows) >= self._learn_rows:
            memory = _fitted(memory)
        share = len(memory.rows) / self._learn_rows
        return Result("normal", 0.0, numbers={"learned": share}, state=memory.pack(), suppress=True)

    def _judge(self, memories: list[Memory], window: NDArray[np.float32]) -> list[Result]:
        """Score learned machines.

        Args:
            memories: [B], each with a normal.
            window: float32 [B, 20, 16], channels in the order in which they were learned.
        """
        normals = [memory.normal for memory in memories if memory.normal]
        feed = {
            name: np.stack([getattr(normal, name) for normal in normals]).astype(np.float32)
            for name in _PARAMETERS
        }
        out = self._model({"window": window, **feed})
        results = []
        for b, (memory, normal) in enumerate(zip(memories, normals, strict=True)):
            score = float(out["score"][b])
            judge, label = step(memory.judge, score)
            follow = normal if judge.alarm else normal.follow(out["shift"][b].astype(np.float64))
            results.append(
                Result(
                    label="anomaly" if label else "normal",
                    score=score,
                    numbers=_shares(memory.names, out["contribution"][b], score),
                    state=replace(memory, normal=follow, judge=judge).pack(),
                )
            )
        return results


def _fitted(memory: Memory) -> Memory:
    """Return the memory with what its rows teach; a machine at rest is learned on."""
    try:
        normal = Normal.fit(memory.rows.astype(np.float64))
    except ValueError:  # nothing moves yet: let go of the older half and watch on
        return replace(memory, rows=memory.rows[len(memory.rows) // 2 :])
    return Memory(memory.names, memory.rows[:0], normal)


def _arrange(
    window: NDArray[np.float32], names: tuple[str, ...], memory: Memory
) -> NDArray[np.float32]:
    """Return the window with its channels in the order learned; NaN where one is gone."""
    if names == memory.names:
        return window
    arranged = np.full_like(window, np.nan)
    for c, name in enumerate(memory.names):
        if name in names:
            arranged[:, c] = window[:, names.index(name)]
    return arranged


def _shares(
    names: tuple[str, ...], contribution: NDArray[np.float32], score: float
) -> dict[str, float]:
    """Return the channels that explain the score most, with their share of it (0 to 1)."""
    if score <= 0:
        return {}
    shares = contribution / score
    most = np.argsort(-shares)[:_MOST_NAMED]
    return {names[c]: float(shares[c]) for c in most if shares[c] >= _LEAST_SHARE}

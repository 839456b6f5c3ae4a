"""Golden inputs: ``testcases/<case>/input.json`` and ``expected.json`` beside a plugin.

They are the plugin's test when it is written and its health check while it runs. ``input.json``
holds windows, ``expected.json`` a result for each (null: any will do)::

    {"windows": [{"source": "pump-1", "end_s": 60.0,
                  "values": {"temp": [20.5, null, 21.0]}, "units": {"temp": "°C"}}]}
    {"tolerance": 0.001, "results": [{"label": "normal", "score": 0.12}]}

A plugin with SQL features has ``"features": {"spread": 0.5}`` instead of ``values``. A plugin with
state may have ``"state"``, base64. A plugin of frames has pictures beside its ``input.json``, which
it is shown one after the other, and may expect ``numbers``::

    {"frames": [{"camera": "a", "time_s": 1.0, "image": "a1.jpg"}]}
    {"results": [{"label": "people", "score": 2, "numbers": {"door_in": 1}}]}
"""

import asyncio
import base64
import binascii
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.errors import PluginError
from gateway.inference.golden_frames import MAX_FRAMES, Shown, Still, stills
from gateway.inference.hints import explain
from gateway.inference.manifest import Manifest
from gateway.model import Channel, Frames, Result, Windows

CASES = "testcases"
_NS = 1_000_000_000
T = TypeVar("T", bound=BaseModel)
Ask = Callable[[Windows | Frames, list[bytes | None]], Awaitable[list[Result]]]
"""What evaluates a batch: a worker's ``evaluate``."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Window(_Table):
    source: str = "golden"
    end_s: float = Field(allow_inf_nan=False)
    values: dict[str, list[float | None]] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    features: dict[str, float | None] = Field(default_factory=dict)
    state: str | None = None

    @field_validator("state")
    @classmethod
    def _is_base64(cls, value: str | None) -> str | None:
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error as exc:
            raise ValueError(f"is not base64: {exc}") from exc
        return value


class _Input(_Table):
    windows: list[_Window] = Field(default_factory=list, max_length=10_000)
    frames: list[Shown] = Field(default_factory=list, max_length=MAX_FRAMES)


class Expected(_Table):
    """What a window's result must be; what is None is not looked at."""

    label: str | None = None
    score: float | None = None
    suppress: bool | None = None
    numbers: dict[str, float] = Field(default_factory=dict)

    def difference(self, result: Result, tolerance: float) -> str:
        """Return in words how a result differs, or ""."""
        wanted: dict[str, str | float | bool | None] = {
            "label": self.label,
            "score": self.score,
            "suppress": self.suppress,
            **self.numbers,
        }
        given: dict[str, str | float] = {
            "label": result.label,
            "score": result.score,
            "suppress": result.suppress,
        }
        for field, value in wanted.items():
            found = given.get(field) if field in given else result.numbers.get(field)
            if value is not None and not _alike(value, found, tolerance):
                return f"{field} is {found!r}, expected {value!r}"
        return ""


def _alike(wanted: str | float, found: str | float | None, tolerance: float) -> bool:
    if wanted == found:
        return True
    if isinstance(wanted, (str, bool)) or found is None or isinstance(found, (str, bool)):
        return False
    return math.isclose(wanted, found, rel_tol=0, abs_tol=tolerance)


class _Expectation(_Table):
    tolerance: float = Field(0.001, ge=0)
    results: list[Expected | None]


@dataclass(frozen=True, slots=True)
class Case:
    """One golden input and what must come of it.

    Attributes:
        name: The folder's name.
        batch: What the plugin is given: windows at once, or pictures one after the other.
        states: [B] of the windows; of pictures none, they begin with a camera not known before.
        expected: [B], None where any result will do.
        tolerance: Of scores and numbers, absolute.
    """

    name: str
    batch: Windows | list[Still]
    states: list[bytes | None]
    expected: list[Expected | None]
    tolerance: float

    @property
    def windows(self) -> Windows:
        """Return the windows.

        Raises:
            TypeError: The plugin looks at frames.
        """
        if not isinstance(self.batch, Windows):
            raise TypeError("a case of frames has no windows")
        return self.batch

    async def play(self, ask: Ask) -> str:
        """Ask a plugin, and return in words how its results differ, or "" where they do not.

        Args:
            ask: Evaluates a batch; what it raises goes through.
        """
        if isinstance(self.batch, Windows):
            return self.difference(await ask(self.batch, self.states))
        results: list[Result] = []
        kept: dict[str, bytes] = {}
        for i, still in enumerate(self.batch):
            try:
                frames = await asyncio.to_thread(still.frames)
            except (OSError, ValueError) as exc:
                return f"frame {i}: {still.file.name} is not readable: {exc}"
            (result,) = await ask(frames, [kept.get(still.camera)])
            if result.state is not None:
                kept[still.camera] = result.state
            results.append(result)
        return self.difference(results)

    def difference(self, results: list[Result]) -> str:
        """Return in words how results differ from what is expected, or "" where they do not."""
        what = "window" if isinstance(self.batch, Windows) else "frame"
        for i, (want, got) in enumerate(zip(self.expected, results, strict=True)):
            if want and (told := want.difference(got, self.tolerance)):
                return f"{what} {i}: {told}"
        return ""


def load_cases(manifest: Manifest) -> list[Case]:
    """Read a plugin's test cases, in the order of their names.

    Raises:
        PluginError: A file is missing or does not fit the manifest.
    """
    root = manifest.folder / CASES
    folders = sorted(p for p in root.glob("[!.]*") if p.is_dir()) if root.is_dir() else []
    return [_load_case(folder, manifest) for folder in folders]


def _load_case(folder: Path, manifest: Manifest) -> Case:
    given = _read(folder / "input.json", _Input)
    wanted = _read(folder / "expected.json", _Expectation)
    kind = "frames" if manifest.wants_frames else "windows"
    count = len(given.frames if manifest.wants_frames else given.windows)
    if not count or (given.frames and given.windows):
        raise PluginError(str(folder / "input.json"), kind, f"must have {kind}, and nothing else")
    if len(wanted.results) != count:
        reason = f"{len(wanted.results)} for {count} {kind}"
        raise PluginError(str(folder / "expected.json"), "results", reason)
    for result in filter(None, wanted.results):
        if result.label is not None and result.label not in manifest.outcome.labels:
            reason = f"label {result.label!r} is not among outcome.labels"
            raise PluginError(str(folder / "expected.json"), "results", reason)
    states = [None if w.state is None else base64.b64decode(w.state) for w in given.windows]
    try:
        batch = stills(given.frames, folder) if given.frames else _windows(given.windows, manifest)
    except ValueError as exc:
        raise PluginError(str(folder / "input.json"), "windows", str(exc)) from exc
    return Case(folder.name, batch, states, list(wanted.results), wanted.tolerance)


def _read(file: Path, table: type[T]) -> T:
    try:
        return table.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise PluginError(str(file), "", "not readable") from exc
    except ValidationError as exc:
        raise PluginError(str(file), *explain(table, exc)) from exc


def _windows(given: list[_Window], manifest: Manifest) -> Windows:
    spec = manifest.window_spec
    end_ns = np.array([round(w.end_s * _NS) for w in given], np.int64)
    shape = (spec.steps, spec.max_channels) if spec.steps else (0, 0)
    values = np.full((len(given), *shape), np.nan, np.float32)
    names = tuple(given[0].features)
    features = np.full((len(given), len(names)), np.nan, np.float32)
    for i, window in enumerate(given):
        if bool(window.values) != bool(spec.steps) or bool(window.features) == bool(spec.steps):
            kind = "values" if spec.steps else "features"
            raise ValueError(f"window {i}: must have {kind}, as the manifest has it")
        if tuple(window.features) != names:
            raise ValueError(f"window {i}: features are not those of window 0")
        if spec.steps:
            values[i] = _tensor(window, spec.steps, spec.max_channels, i)
        features[i] = [math.nan if v is None else v for v in window.features.values()]
    return Windows(
        sources=[w.source for w in given],
        start_ns=end_ns - round(spec.length_s * _NS),
        end_ns=end_ns,
        channels=[
            tuple(Channel(metric, w.units.get(metric)) for metric in w.values or w.units)
            for w in given
        ],
        values=values,
        features=features,
        feature_names=names,
        received_ns=end_ns,
    )


def _tensor(window: _Window, steps: int, max_channels: int, i: int) -> NDArray[np.float32]:
    if len(window.values) > max_channels:
        raise ValueError(f"window {i}: {len(window.values)} channels, max_channels {max_channels}")
    tensor = np.full((steps, max_channels), np.nan, np.float32)
    for channel, (metric, column) in enumerate(window.values.items()):
        if len(column) != steps:
            raise ValueError(f"window {i}: {metric} has {len(column)} values, window.steps {steps}")
        tensor[:, channel] = [math.nan if v is None else v for v in column]
    return tensor

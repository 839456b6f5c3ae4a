"""The tables of ``plugin.toml``, each checked by itself."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.model import Rank
from gateway.topics import token

MAX_TENSOR_VALUES = 4_000_000  # of one window: 16 MB of float32


def is_token(value: str) -> str:
    """Return a value that can be a level of a subject as it is."""
    if value != token(value):
        raise ValueError("may hold letters, digits, - and _ only")
    return value


def is_relative(value: str) -> str:
    """Return a path that stays inside the plugin's folder."""
    path = Path(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("must be a path inside the plugin's folder")
    return value


Word = Annotated[str, AfterValidator(is_token), Field(min_length=1, max_length=24)]
"""Becomes a level of a subject, so it is short and plain."""
Bound = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the manifest: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WindowSection(Section):
    """``[window]``: which windows the plugin wants."""

    metrics: tuple[str, ...] = Field(("*",), min_length=1, description="globs of metrics wanted")
    exclude: tuple[str, ...] = Field((), description="globs of metrics not wanted")
    min_channels: int = Field(1, ge=1, description="devices with fewer series are left alone")
    max_channels: int = Field(16, ge=1, le=1024, description="of more, the first by name")
    length_s: float | None = Field(
        None, gt=0, le=31 * 86_400, description="reach; default steps x step_s, without steps 60"
    )
    rows: int = Field(0, ge=0, le=1_000_000, description="newest values of each series; 0: all")
    hop_s: float = Field(1.0, ge=0.001, le=86_400, description="distance of two windows' ends")
    steps: int = Field(0, ge=0, le=100_000, description="length of the tensor; 0: SQL features")
    step_s: float = Field(1.0, ge=0.000_001, le=86_400, description="distance of two steps")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_channels > self.max_channels:
            raise ValueError("min_channels is greater than max_channels")
        if self.steps * self.max_channels > MAX_TENSOR_VALUES:
            raise ValueError(f"steps x max_channels is over {MAX_TENSOR_VALUES}")
        if self.length_s is not None and self.steps * self.step_s > self.length_s * 1.000_001:
            reach = self.steps * self.step_s
            raise ValueError(f"steps x step_s is {reach:g} s, longer than length_s {self.length_s}")
        return self


class FeaturesSection(Section):
    """``[features]``: numbers of a window in SQL, instead of a tensor."""

    sql: str = Field(
        min_length=1,
        max_length=20_000,
        description='SELECT over "window" (source, end_ns, metric, unit, time_ns, value)'
        " that gives source, end_ns and one numeric column for each feature",
    )


class OutputsSection(Section):
    """``[model.outputs]``: which of the model's outputs is what."""

    score: str = Field("", description="one value a window; default: the model's only output")
    label: str = Field("", description="one value for each of outcome.labels; the greatest wins")
    confidence: str = Field("", description="one value a window, 0 to 1")
    numbers: tuple[str, ...] = Field((), max_length=8, description="one value a window each")


class ModelSection(Section):
    """``[model]``: the trained model, and what runs it."""

    runtime: Literal["openvino", "onnxruntime", "none"]
    file: Annotated[str, AfterValidator(is_relative)] = Field(
        "", description=".onnx, or OpenVINO's .xml with its .bin beside it"
    )
    sha256: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="of the file; of an .xml: `cat model.xml model.bin | sha256sum`",
    )
    input: str = Field("", description="the input that takes the window; default: the only one")
    mask_input: str = Field(
        "", description="an input of the same shape: 1 where a value stood, 0 where NaN became 0"
    )
    layout: Literal["BTC", "BCT", "flat"] = Field(
        "BTC", description="[batch, steps, channels], [batch, channels, steps], or [batch, all]"
    )
    precision: Literal["f32", "bf16", "f16", "auto"] = Field(
        "f32", description="a hint to OpenVINO; ONNX Runtime takes the model as it is"
    )
    outputs: OutputsSection = OutputsSection()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.runtime == "none":
            if self.file or self.sha256:
                raise ValueError('runtime = "none" takes no file and no sha256')
            return self
        if not self.file or not self.sha256:
            raise ValueError("file and sha256 are required")
        suffixes = (".onnx", ".xml") if self.runtime == "openvino" else (".onnx",)
        if not self.file.endswith(suffixes):
            raise ValueError(f"{self.runtime} takes {' or '.join(suffixes)}, not {self.file!r}")
        return self


class OutcomeSection(Section):
    """``[outcome]``: what the results are about."""

    domain: Word
    asset: Word
    kind: Word
    regime: Word = "any"
    labels: tuple[Word, ...] = Field(min_length=1, max_length=64)
    rank: Rank = Field(
        "routine", description="``alarm``: kept even where a full queue has to be thinned"
    )

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels holds a label twice")
        return self


class ReportSection(Section):
    """``[report]``: which results become outcomes.

    Of frames, ``change`` means that a label or a counted number is another one, and ``every_s``
    holds whatever the label is.
    """

    on: tuple[Literal["change"], ...] = Field(("change",), description="when the label changes")
    normal: Word = Field("normal", description="the label of nothing wrong")
    every_s: float = Field(60.0, ge=0, description="again while the label is not normal; 0: never")
    always: bool = Field(False, description="every result")
    min_score: Bound | None = Field(
        None, description="results that are not normal are left out below this score"
    )


class LimitsSection(Section):
    """``[limits]``: what the plugin's process may use."""

    memory_mb: int = Field(256, ge=96, le=65_536, description="resident memory")
    call_s: float = Field(2.0, ge=0.01, le=300, description="time for one batch")
    start_s: float = Field(20.0, ge=0.5, le=600, description="time to load")
    threads: int = Field(1, ge=1, le=64)


class ThresholdSection(Section):
    """``[threshold]``: the label by the score, without Python."""

    labels: tuple[tuple[Word, Bound], ...] = Field(
        min_length=1, description="the first whose bound the score reaches; below all: the last"
    )

    @model_validator(mode="after")
    def _descends(self) -> Self:
        bounds = [bound for _, bound in self.labels]
        if bounds != sorted(bounds, reverse=True):
            raise ValueError("the bounds must descend")
        return self

    def label(self, score: float) -> str:
        """Return the label of a score."""
        fits = (label for label, bound in self.labels if score >= bound)
        return next(fits, self.labels[-1][0])

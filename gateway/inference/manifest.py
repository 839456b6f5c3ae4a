"""``plugin.toml``: what a plugin says of itself, checked before anything of it is run."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.errors import PluginError
from gateway.inference.frame_sections import (
    ClassifySection,
    CountSection,
    DetectSection,
    EmbedSection,
    FrameSection,
    TrackSection,
)
from gateway.inference.hints import explain
from gateway.inference.sections import (
    FeaturesSection,
    LimitsSection,
    ModelSection,
    OutcomeSection,
    ReportSection,
    Section,
    ThresholdSection,
    WindowSection,
    is_token,
)
from gateway.model import FrameSpec, OutcomeContext, PluginIdentity, Points, WindowSpec

MANIFEST = "plugin.toml"
CODE = "plugin.py"
MAX_MODEL_BYTES = 2_000_000_000
MAX_NUMBERS = 8
"""Named numbers of one result; a packet has little room."""


class Manifest(Section):
    """A plugin: what it wants, what runs it, and what its results mean."""

    api: Literal[1]
    name: Annotated[str, AfterValidator(is_token), Field(min_length=1, max_length=32)]
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*$", max_length=16)
    title: str = Field(min_length=1, max_length=80)
    window: WindowSection = WindowSection()
    features: FeaturesSection | None = None
    frame: FrameSection | None = None
    detect: DetectSection | None = None
    classify: ClassifySection | None = None
    embed: EmbedSection | None = None
    track: TrackSection = TrackSection()
    count: tuple[CountSection, ...] = ()
    model: ModelSection = ModelSection(runtime="none")
    outcome: OutcomeSection
    report: ReportSection = ReportSection()
    limits: LimitsSection = LimitsSection()
    threshold: ThresholdSection | None = None
    params: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="what plugin.py reads as manifest.params"
    )

    _folder: Path = PrivateAttr(default=Path())
    _code_sha256: str = PrivateAttr(default="")

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Keep where the manifest lies: the validation's context is its folder."""
        if isinstance(context, Path):
            self._folder = context
            self._code_sha256 = _sha256([context / MANIFEST, context / CODE])

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name == "weir" or name.startswith("weir-"):
            raise ValueError("weir and weir-... are what the gateway itself tells; take another")
        return name

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Self:
        given = [bool(self.window.steps), bool(self.features), self.wants_frames]
        if sum(given) != 1:
            raise ValueError(
                "give one of window.steps (a tensor), features.sql, and frames ([frame] or a head:"
                " [detect], [classify], [embed])"
            )
        return self

    @model_validator(mode="after")
    def _one_head(self) -> Self:
        heads = [self.detect, self.classify, self.embed]
        if sum(head is not None for head in heads) > 1:
            raise ValueError("give one of [detect], [classify], [embed]")
        if self.count and self.detect is None:
            raise ValueError("[[count]] counts what [detect] finds")
        names = [number for each in self.count for number in each.numbers]
        if len(names) > MAX_NUMBERS or len(set(names)) < len(names):
            told = ", ".join(names)
            raise ValueError(f"[[count]] gives {told}: at most {MAX_NUMBERS} numbers, each once")
        return self

    @model_validator(mode="after")
    def _labels_known(self) -> Self:
        states = len(self.outcome.labels) > 1 and not self.wants_frames
        used = [self.report.normal] if states else []
        used += [label for label, _ in self.threshold.labels] if self.threshold else []
        for label in used:
            if label not in self.outcome.labels:
                raise ValueError(f"label {label!r} is not among outcome.labels")
        return self

    @property
    def folder(self) -> Path:
        """Return the plugin's folder."""
        return self._folder

    @property
    def has_code(self) -> bool:
        """Say whether the plugin brings a ``plugin.py``."""
        return (self._folder / CODE).is_file()

    @property
    def wants_frames(self) -> bool:
        """Say whether the plugin looks at cameras, and not at readings."""
        return any(
            part is not None for part in (self.frame, self.detect, self.classify, self.embed)
        )

    @property
    def frame_spec(self) -> FrameSpec:
        """Return the frames that the plugin wants, in the words that all rooms share."""
        frame = self.frame or FrameSection()
        return FrameSpec(frame.cameras, frame.fps)

    @property
    def places(self) -> dict[str, Points]:
        """Return the lines and zones of ``[[count]]`` by name."""
        return {each.name: each.line or each.zone or () for each in self.count}

    @property
    def window_spec(self) -> WindowSpec:
        """Return the windows that the plugin wants, in the words that all rooms share."""
        table = self.window.model_dump(exclude={"length_s"})
        length_s = self.window.length_s or self.window.steps * self.window.step_s or 60.0
        sql = self.features.sql if self.features else ""
        return WindowSpec(**table, length_s=length_s, sql=sql)

    @property
    def context(self) -> OutcomeContext:
        """Return what the outcomes are about."""
        about = self.outcome
        return OutcomeContext(about.domain, about.asset, about.kind, about.regime)

    @property
    def identity(self) -> PluginIdentity:
        """Return name, version and model; without a model its manifest and code are the model."""
        return PluginIdentity(self.name, self.version, self.model.sha256 or self._code_sha256)


def load_manifest(folder: Path) -> Manifest:
    """Read and check a plugin's manifest and model file; nothing of the plugin is run.

    Args:
        folder: The plugin's folder; its name is the plugin's.

    Raises:
        PluginError: With the file, the key and what is allowed.
    """
    file = folder / MANIFEST
    table = _read(file)
    try:
        manifest = Manifest.model_validate(table, context=folder.resolve())
    except ValidationError as exc:
        key, reason = explain(Manifest, exc)
        raise PluginError(str(file), key, reason) from exc
    if manifest.name != folder.name:
        reason = f"{manifest.name!r} must be the folder's name, {folder.name!r}"
        raise PluginError(str(file), "name", reason)
    _check_decides(file, manifest)
    read_model(manifest)
    return manifest


def read_model(manifest: Manifest) -> tuple[bytes, bytes]:
    """Return the bytes of the model, and of an OpenVINO IR those of its weights, or ``b""``.

    What is hashed is what is loaded: a runtime gets these bytes and no path.

    Raises:
        PluginError: A file is missing, lies outside the folder, or is not the one hashed.
    """
    model, where = manifest.model, str(manifest.folder / MANIFEST)
    if model.runtime == "none":
        return b"", b""
    file = manifest.folder / model.file
    parts = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    for part in parts:
        if not part.is_file():
            raise PluginError(where, "model.file", f"no such file: {part.name}{_others(file)}")
        if not part.resolve().is_relative_to(manifest.folder.resolve()):
            raise PluginError(where, "model.file", f"{part.name} is a link out of the folder")
        if part.stat().st_size > MAX_MODEL_BYTES:
            raise PluginError(where, "model.file", f"{part.name} is over {MAX_MODEL_BYTES} bytes")
    contents = [part.read_bytes() for part in parts]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()
    if digest != model.sha256:
        raise PluginError(where, "model.sha256", f"the file's is {digest}")
    return contents[0], b"".join(contents[1:])


def schema() -> str:
    """Return the JSON Schema of ``plugin.toml``, as it is published beside this module."""
    return json.dumps(Manifest.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise PluginError(str(file), "", "no such file") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as exc:
        raise PluginError(str(file), "", f"not readable as TOML: {exc}") from exc


def _check_decides(file: Path, manifest: Manifest) -> None:
    """Refuse a plugin that has nothing that could tell a label."""
    classes = manifest.model.runtime != "none" and manifest.model.outputs.label
    if manifest.has_code or manifest.threshold or classes:
        return
    if manifest.detect or manifest.classify:
        return
    reason = f"without {CODE}, say how a score becomes a label: threshold.labels or"
    raise PluginError(str(file), "threshold", f"{reason} model.outputs.label")


def _others(missing: Path) -> str:
    """Return which models there are beside one that is missing, in words."""
    there = sorted(p.name for p in missing.parent.glob("*") if p.suffix in {".onnx", ".xml"})
    return f"; the folder has {', '.join(there[:5]) or 'no .onnx and no .xml'}"


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()

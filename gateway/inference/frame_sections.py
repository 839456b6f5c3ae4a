"""The tables of ``plugin.toml`` that say what a plugin does with frames."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.inference.sections import Bound, Section, is_relative, is_token

MAX_SIDE_PX = 4096

Part = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Part, Part]
Three = tuple[Bound, Bound, Bound]
Name = Annotated[str, AfterValidator(is_token), Field(min_length=1, max_length=16)]
"""Begins the names of a counter's numbers in the packet, so it is short."""


class FrameSection(Section):
    """``[frame]``: which frames the plugin wants, and how its model takes them.

    A pixel becomes ``(pixel x scale - mean) / std``, channel by channel in the order of ``color``.
    """

    cameras: tuple[str, ...] = Field(("*",), min_length=1, description="globs of cameras wanted")
    fps: float = Field(5.0, ge=0, le=240, description="at most so many of each; 0: all it can take")
    width: int = Field(0, ge=0, le=MAX_SIDE_PX, description="px; 0: what the model's input says")
    height: int = Field(0, ge=0, le=MAX_SIDE_PX, description="px; 0: what the model's input says")
    fit: Literal["letterbox", "stretch"] = Field(
        "letterbox", description="keep the picture's shape and fill up with grey, or do not"
    )
    color: Literal["RGB", "BGR"] = "RGB"
    scale: float = Field(1 / 255, gt=0, allow_inf_nan=False)
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if not all(self.std):
            raise ValueError("std must not be 0")
        return self


class DetectSection(Section):
    """``[detect]``: the head of a model that finds objects."""

    head: Literal["yolo", "yolox", "nanodet", "fastestdet", "ssd", "detr"] = Field(
        description="yolo: v5, v8, v11 by the shape of the output"
    )
    classes: Literal["coco"] | tuple[str, ...] = Field(
        "coco", description="the classes' names in the model's order, or coco for its 80"
    )
    keep: tuple[str, ...] = Field((), description="the classes that count; default: all")
    min_score: float = Field(0.4, gt=0, lt=1)
    iou: float = Field(0.5, gt=0, le=1, description="of two boxes that overlap more, the better")
    max_objects: int = Field(100, ge=1, le=1000)

    @model_validator(mode="after")
    def _kept_known(self) -> Self:
        if self.classes != "coco":
            for name in self.keep:
                if name not in self.classes:
                    raise ValueError(f"keep: {name!r} is not among classes")
        return self


class ClassifySection(Section):
    """``[classify]``: a model that names the whole picture; ``outcome.labels`` are its classes."""

    min_score: float = Field(0.5, ge=0, lt=1, description="below it nothing is said")
    hold_s: float = Field(1.0, ge=0, le=3600, description="a class must last so long to be told")


class EmbedSection(Section):
    """``[embed]``: a model whose output is a vector; the score is how far it is from the usual.

    The score is 1 - cosine similarity to the reference; ``[threshold]`` makes it a label.
    """

    reference: str = Field(
        "", description=".npy of one vector; default: the mean of the first learn_frames"
    )
    learn_frames: int = Field(100, ge=1, le=100_000)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.reference:
            is_relative(self.reference)
        return self


class TrackSection(Section):
    """``[track]``: how objects are followed from frame to frame."""

    iou: float = Field(0.2, gt=0, lt=1, description="least overlap of an object with itself")
    min_hits: int = Field(2, ge=1, le=100, description="frames until an object counts")
    lost_s: float = Field(1.0, gt=0, le=60, description="unseen so long, it is gone")


class CountSection(Section):
    """``[[count]]``: what is counted, and where; a camera's own configuration may move the place.

    Numbers in the packet, with ``name`` before them: ``presence`` gives 0 or 1, ``occupancy`` how
    many are there, ``crossings`` ``_in`` (from the left of the line to its right, seen from its
    first point to its second) and ``_out`` since the last report, ``dwell`` ``_s`` (mean) and
    ``_n`` of the visits that ended since the last report, ``queue`` how many have stood there for
    ``after_s`` and ``_s``, the longest of their waits.
    """

    name: Name
    what: Literal["presence", "occupancy", "crossings", "dwell", "queue"]
    line: tuple[Point, Point] | None = None
    zone: tuple[Point, ...] | None = Field(None, min_length=3, max_length=32)
    classes: tuple[str, ...] = Field((), description="default: all that detect.keep has")
    anchor: Literal["bottom", "center"] = Field(
        "bottom", description="the point of a box that is where: feet, or middle"
    )
    hold_s: float = Field(1.0, ge=0, le=3600, description="a number must last so long to be told")
    after_s: float = Field(5.0, ge=0, le=86_400, description="of a queue: stands that long")

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.what == "crossings" and self.line is None:
            raise ValueError(f"{self.name}: crossings needs line = [[x, y], [x, y]], parts 0 to 1")
        if self.what != "crossings" and self.line is not None:
            raise ValueError(f"{self.name}: {self.what} has a zone, and no line")
        if self.line is not None and (self.zone is not None or self.line[0] == self.line[1]):
            raise ValueError("a line has two different points, and no zone")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return the names of the numbers that it gives."""
        endings = {"crossings": ("_in", "_out"), "dwell": ("_s", "_n"), "queue": ("", "_s")}
        return tuple(self.name + ending for ending in endings.get(self.what, ("",)))

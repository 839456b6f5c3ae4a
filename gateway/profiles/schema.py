"""A profile file as it is written: checked key by key when it is loaded.

``profile.schema.json`` beside this file is made from these models (``python -m gateway.profiles``).
"""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from gateway.errors import DecodeError
from gateway.profiles.codecs import CodecOptions
from gateway.profiles.codecs.structured import JsonOptions
from gateway.profiles.expressions import expression, text_or_expression
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.words import checked_name


def _topic(value: str) -> str:
    topic_pattern(value)
    return value


def _expression(value: str) -> str:
    expression(value)
    return value


def _text(value: str) -> str:
    text_or_expression(value)
    return value


def _metric(value: str) -> str:
    name = text_or_expression(value)
    if isinstance(name, str):
        try:
            checked_name("metric", name)
        except DecodeError as exc:
            raise ValueError(
                "must have 1 to 256 characters, none of them a control character"
            ) from exc
    return value


Topic = Annotated[str, AfterValidator(_topic)]
Expression = Annotated[str, AfterValidator(_expression)]
Text = Annotated[str, AfterValidator(_text)]
MetricName = Annotated[str, AfterValidator(_metric)]
Scalar = bool | int | float | str
Name = Annotated[str, Field(pattern=r"^[xyz]$")]


class Part(BaseModel):
    """A part of a profile: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Time(Part):
    """One place where a message tells when it was measured."""

    source: Expression = Field(alias="from", description="Expression that gives the time.")
    form: Literal["unix", "unix_ms", "unix_us", "unix_ns", "auto", "iso", "local"] = Field(
        alias="as",
        description="How it is written. auto: a number by its magnitude, a text as ISO 8601. "
        "iso: in the site's time zone where it states none. local: in the site's time zone always.",
    )
    strptime: str | None = Field(
        default=None, alias="format", description="For iso and local: Python's strptime format."
    )


class Treatment(Part):
    """What is done with the values of the metrics that a glob matches."""

    unit: Text | None = Field(default=None, description="Unit, =expression or ${template}.")
    scale: float | Expression = Field(default=1.0, description="Factor, or an expression for it.")
    missing: tuple[Scalar, ...] = Field(default=(), description="Values that mean: no value.")
    values: dict[Scalar, Scalar] = Field(
        default={}, description="What stands for what: {ON: true}."
    )


UnitRow = tuple[str, Text | Treatment | None]
Units = Annotated[
    tuple[UnitRow, ...],
    Field(description="[glob over the metric's name, unit or treatment]; the first match counts."),
]


class Step(Part):
    """What every verb may say besides its own keys."""

    where: Expression | None = Field(default=None, description="Only when this holds.")
    device: Text | None = Field(default=None, description="Another device than the rule's.")
    ts: tuple[Time, ...] = Field(default=(), description="Time sources before those around it.")
    units: Units = Field(default=())
    parent: Text | None = Field(
        default=None, description="The device through which the step's device speaks."
    )


class MetricStep(Step):
    """One reading, or with ``fs`` one waveform."""

    metric: MetricName = Field(description="The metric's name.")
    value: Expression
    unit: Text | None = Field(default=None, description="Unit; wins over the unit tables.")
    fs: Expression | float | None = Field(default=None, description="Samples per second.")
    numbers: bool = Field(default=False, description="Texts that are numbers become numbers.")
    json_text: bool = Field(
        default=False,
        alias="json",
        description="An object or array becomes compact JSON text; reserved metrics always do so.",
    )


class FlattenStep(Step):
    """A reading for each leaf of an object or array; its path is the metric's name."""

    flatten: Expression
    prefix: Text = Field(default="", description="Stands before each path, with a dot.")
    keep: tuple[str, ...] = Field(default=(), description="Globs of the paths wanted; all if none.")
    drop: tuple[str, ...] = Field(
        default=(), description="Globs of paths (and all below) unwanted."
    )
    collapse: tuple[str, ...] = Field(default=(), description="Keys left out of the path.")
    numbers: bool = Field(default=False, description="Texts that are numbers become numbers.")


class EachStep(Step):
    """Its ``emit`` once for each element of an array."""

    each: Expression
    name: Name = Field(default="x", alias="as", description="What an element is called: x, y or z.")
    emit: "tuple[AnyStep, ...]"


class OnlineStep(Step):
    """Whether the device is there, as the reserved metric ``$online``."""

    online: Expression
    up: tuple[Scalar, ...] = Field(default=(), description="More words for: it is there.")
    down: tuple[Scalar, ...] = Field(default=(), description="More words for: it is not.")


class LearnStep(Step):
    """What a message says about others: it makes no reading, and is applied to theirs."""

    learn: Text = Field(description="The metric spoken of, of the step's or rule's device.")
    unit: Text | None = Field(default=None, description="Its unit; wins over the unit tables.")
    kind: Text | None = Field(
        default=None,
        alias="type",
        description="number, boolean or text; float, integer, string, enum ... stand for these.",
    )
    on: Expression | None = Field(default=None, description="The text that means true.")
    off: Expression | None = Field(default=None, description="The text that means false.")
    topic: Text | None = Field(
        default=None, description="Where its value comes: a topic that then needs no rule."
    )
    template: Text | None = Field(
        default=None,
        description="With topic: where in the payload, as Home Assistant writes it "
        "(`{{ value_json.a.b | float }}`); none: the payload itself.",
    )
    mode: Text | None = Field(
        default=None,
        description="Of a `$online` that comes on several topics: `all` must say so, `any` may; "
        "none: the latest counts.",
    )


class DecodeStep(Step):
    """Its ``emit`` once, with a part of the payload decoded by a codec of its own."""

    decode: Expression = Field(description="The part: a text, or bytes that a codec gave.")
    encoding: Literal["utf8", "base64", "hex"] = Field(
        default="utf8", description="How a text holds the bytes."
    )
    codec: CodecOptions
    name: Name = Field(default="y", alias="as", description="What it is called: x, y or z.")
    emit: "tuple[AnyStep, ...]"


class RequestStep(Step):
    """A message back to the device: ``{topic, payload}``, the payload in hexadecimal digits."""

    request: Expression


VERBS = ("metric", "flatten", "each", "online", "learn", "decode", "request")


def _verb(value: object) -> str | None:
    if isinstance(value, dict):
        return next((verb for verb in VERBS if verb in value), None)
    return next((verb for verb in VERBS if hasattr(value, verb)), None)


AnyStep = Annotated[
    Annotated[MetricStep, Tag("metric")]
    | Annotated[FlattenStep, Tag("flatten")]
    | Annotated[EachStep, Tag("each")]
    | Annotated[OnlineStep, Tag("online")]
    | Annotated[LearnStep, Tag("learn")]
    | Annotated[DecodeStep, Tag("decode")]
    | Annotated[RequestStep, Tag("request")],
    Discriminator(
        _verb,
        custom_error_type="no_verb",
        custom_error_message="say one of the verbs: " + ", ".join(VERBS),
    ),
]


Retained = Literal["state", "old"]


class Rule(Part):
    """What to do with the messages of some topics."""

    topic: Topic | Annotated[tuple[Topic, ...], Field(min_length=1)]
    exclude: tuple[Topic, ...] = Field(default=(), alias="not", description="Topics left alone.")
    codec: CodecOptions = JsonOptions()
    device: Text = Field(description="The device's name, =expression or ${template}.")
    ts: tuple[Time, ...] = Field(default=(), description="Time sources, the best first.")
    emit: tuple[AnyStep, ...] = Field(default=(), description="None: the device is alive, no more.")
    units: Units = Field(default=())
    retained: Retained | None = Field(
        default=None, description="What retained values without a time are; default: the profile's."
    )
    parent: Text | None = Field(
        default=None, description="The device through which the rule's device speaks."
    )
    expires: Expression | float | None = Field(
        default=None, description="Seconds of silence after which the device is away."
    )

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topic patterns, however many were written."""
        return (self.topic,) if isinstance(self.topic, str) else self.topic


class ProfileFile(Part):
    """A firmware profile: ``<folder>/profile.yaml``; the folder's name is the profile's."""

    title: str = Field(min_length=1, max_length=80, description="The firmware's name.")
    docs: str = Field(default="", description="Where its maker says what it publishes.")
    priority: int = Field(
        default=100, ge=0, le=1000, description="Lower ones are asked first; generic ones: 900."
    )
    rules: tuple[Rule, ...] = Field(min_length=1, description="The first that matches counts.")
    units: Units = Field(default=(), description="Asked after the units of the rule.")
    retained: Retained = Field(
        default="old",
        description="state: a retained value is the device's present state. old: it may be of any "
        "age, and is left out unless it says its time.",
    )


EachStep.model_rebuild()
DecodeStep.model_rebuild()


def json_schema() -> bytes:
    """Return the JSON Schema of a profile file, as it is published."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= ProfileFile.model_json_schema(by_alias=True)
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

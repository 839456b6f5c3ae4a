"""Payload codecs: what turns a message into the ``p`` that a profile's expressions see.

A codec is a pydantic model of its options with a method ``build``. A new one is a module here, a
member of `CodecOptions` and a line in `CODECS`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.profiles.codecs.cayenne import CayenneOptions
from gateway.profiles.codecs.cbor import CborOptions
from gateway.profiles.codecs.codec import Codec, Options
from gateway.profiles.codecs.columns import ColumnsOptions
from gateway.profiles.codecs.home_assistant import HomeAssistantOptions
from gateway.profiles.codecs.image import ImageOptions
from gateway.profiles.codecs.influx import InfluxOptions
from gateway.profiles.codecs.msgpack import MsgpackOptions
from gateway.profiles.codecs.multipart import MultipartOptions
from gateway.profiles.codecs.pieces import PiecesOptions
from gateway.profiles.codecs.plain import BytesOptions, NoneOptions, NumberOptions, TextOptions
from gateway.profiles.codecs.rows import CsvOptions
from gateway.profiles.codecs.senml import SenmlOptions
from gateway.profiles.codecs.sparkplug import SparkplugOptions
from gateway.profiles.codecs.structured import JsonOptions
from gateway.profiles.codecs.tlv import TlvOptions
from gateway.profiles.codecs.waveform import RawOptions
from gateway.profiles.codecs.xml import XmlOptions

CODECS: dict[str, type[Options]] = {
    "bytes": BytesOptions,
    "cayenne-lpp": CayenneOptions,
    "cbor": CborOptions,
    "columns": ColumnsOptions,
    "csv": CsvOptions,
    "home-assistant": HomeAssistantOptions,
    "image": ImageOptions,
    "image-pieces": PiecesOptions,
    "image-stream": MultipartOptions,
    "influx": InfluxOptions,
    "json": JsonOptions,
    "msgpack": MsgpackOptions,
    "none": NoneOptions,
    "number": NumberOptions,
    "raw": RawOptions,
    "senml": SenmlOptions,
    "sparkplug": SparkplugOptions,
    "text": TextOptions,
    "tlv": TlvOptions,
    "xml": XmlOptions,
}
"""By the name that a profile says."""


def _spelled_out(value: object) -> object:
    """Let ``codec: text`` stand for ``codec: {name: text}``."""
    return {"name": value} if isinstance(value, str) else value


_AnyOptions = (
    BytesOptions
    | CayenneOptions
    | CborOptions
    | ColumnsOptions
    | CsvOptions
    | HomeAssistantOptions
    | ImageOptions
    | InfluxOptions
    | JsonOptions
    | MsgpackOptions
    | MultipartOptions
    | NoneOptions
    | NumberOptions
    | PiecesOptions
    | RawOptions
    | SenmlOptions
    | SparkplugOptions
    | TextOptions
    | TlvOptions
    | XmlOptions
)
_Short = Literal[
    "bytes",
    "cayenne-lpp",
    "cbor",
    "columns",
    "csv",
    "home-assistant",
    "image",
    "image-pieces",
    "image-stream",
    "influx",
    "json",
    "msgpack",
    "none",
    "number",
    "senml",
    "sparkplug",
    "text",
    "xml",
]

CodecOptions = Annotated[
    Annotated[_AnyOptions, Field(discriminator="name")],
    BeforeValidator(_spelled_out, json_schema_input_type=_AnyOptions | _Short),
]

__all__ = ["CODECS", "Codec", "CodecOptions", "Options"]

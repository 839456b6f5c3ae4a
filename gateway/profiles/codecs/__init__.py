"""Payload codecs: what turns a message into the ``p`` that a profile's expressions see.

A codec is a pydantic model of its options with a method ``build``. A new one is a module here, a
member of `CodecOptions` and a line in `CODECS`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.profiles.codecs.codec import Codec, Options
from gateway.profiles.codecs.home_assistant import HomeAssistantOptions
from gateway.profiles.codecs.image import ImageOptions
from gateway.profiles.codecs.multipart import MultipartOptions
from gateway.profiles.codecs.pieces import PiecesOptions
from gateway.profiles.codecs.plain import BytesOptions, NoneOptions, NumberOptions, TextOptions
from gateway.profiles.codecs.structured import JsonOptions
from gateway.profiles.codecs.tlv import TlvOptions
from gateway.profiles.codecs.waveform import RawOptions
from gateway.profiles.codecs.xml import XmlOptions

CODECS: dict[str, type[Options]] = {
    "bytes": BytesOptions,
    "home-assistant": HomeAssistantOptions,
    "image": ImageOptions,
    "image-pieces": PiecesOptions,
    "image-stream": MultipartOptions,
    "json": JsonOptions,
    "none": NoneOptions,
    "number": NumberOptions,
    "raw": RawOptions,
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
    | HomeAssistantOptions
    | ImageOptions
    | JsonOptions
    | MultipartOptions
    | NoneOptions
    | NumberOptions
    | PiecesOptions
    | RawOptions
    | TextOptions
    | TlvOptions
    | XmlOptions
)
_Short = Literal[
    "bytes", "image", "image-pieces", "image-stream", "json", "none", "number", "text", "xml"
]

CodecOptions = Annotated[
    Annotated[_AnyOptions, Field(discriminator="name")],
    BeforeValidator(_spelled_out, json_schema_input_type=_AnyOptions | _Short),
]

__all__ = ["CODECS", "Codec", "CodecOptions", "Options"]

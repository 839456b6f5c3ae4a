"""Binary payloads of tagged values: a tag of one or two bytes, then a value whose type it says.

So LoRaWAN sensors of Milesight (channel and type), Elsys and others speak; the table of tags is the
profile's.
"""

import re
import struct
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

_TYPES = {
    "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
    "f4": "f", "f8": "d",
}  # fmt: skip
_TAG = re.compile(r"(?:[0-9a-f]{2}){1,2}")


class TaggedValue(BaseModel):
    """What stands behind a tag.

    Attributes:
        type: Its type (``u1``, ``i2``, ``f4``), or how many bytes to pass over.
        names: What it is called; several names: so many values of this type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"] | int
    names: tuple[str, ...] = Field(default=(), max_length=16)

    @field_validator("names", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sized(self) -> "TaggedValue":
        if isinstance(self.type, int) and (self.names or not 0 <= self.type <= 255):
            raise ValueError("type: a number of bytes to pass over, 0 to 255, has no names")
        return self

    def compiled(self, endian: str) -> struct.Struct:
        """Return what reads the value."""
        if isinstance(self.type, int):
            return struct.Struct(f"{self.type}x")
        return struct.Struct(endian + _TYPES[self.type] * max(1, len(self.names)))


class TlvOptions(Options):
    """``tlv``: ``p`` is an object of the values by their names; a name that comes again wins.

    Attributes:
        endian: ``le`` or ``be``.
        tags: By tag, as 2 or 4 hexadecimal digits in lower case, all of the same length.
    """

    name: Literal["tlv"] = "tlv"
    endian: Literal["le", "be"] = "le"
    tags: dict[str, TaggedValue] = Field(min_length=1, max_length=256)

    @field_validator("tags")
    @classmethod
    def _same_length(cls, tags: dict[str, TaggedValue]) -> dict[str, TaggedValue]:
        if len({len(tag) for tag in tags}) != 1 or not all(map(_TAG.fullmatch, tags)):
            raise ValueError("tags are 2 or 4 hexadecimal digits, all of the same length")
        return tags

    def build(self) -> Codec:
        """Return the codec.

        A tag that is not in the table ends the reading: where the next one begins is not known.
        What came before it counts. DecodeError: ``unknown_tag``: it is the first; ``bad_length``:
        a value is cut off; ``empty_payload``, ``too_large``.
        """
        endian = "<" if self.endian == "le" else ">"
        tags = {bytes.fromhex(t): (v.names, v.compiled(endian)) for t, v in self.tags.items()}
        width = len(next(iter(tags)))

        def decode(message: RawMessage) -> dict[str, Any]:
            payload = message.payload
            if len(payload) > MAX_PAYLOAD_BYTES:
                raise DecodeError("too_large", f"{len(payload)} bytes")
            if not payload:
                raise DecodeError("empty_payload")
            found: dict[str, Any] = {}
            at = 0
            while at < len(payload):
                names, value = tags.get(payload[at : at + width], ((), None))
                if value is None:
                    if at == 0:
                        raise DecodeError("unknown_tag", payload[:width].hex())
                    break
                at += width + value.size
                if at > len(payload):
                    raise DecodeError("bad_length", f"{len(payload)} bytes")
                found.update(zip(names, value.unpack_from(payload, at - value.size), strict=False))
            return found

        return decode

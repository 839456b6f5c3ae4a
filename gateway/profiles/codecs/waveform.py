"""Samples as raw integers or floats, with or without a header in front of them."""

import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

Axes = Callable[[dict[str, Any]], int]


class Header(BaseModel):
    """The fields in front of the samples.

    Attributes:
        fmt: As in Python's ``struct``, with the byte order first (``<IIHBB``).
        names: A name for each field; expressions see them as ``p.h.<name>``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fmt: str = Field(max_length=64)
    names: list[str] = Field(max_length=32)

    @model_validator(mode="after")
    def _names_fit(self) -> "Header":
        if self.fmt[:1] not in {"<", ">", "!"}:
            raise ValueError("fmt: say the byte order first, '<' or '>'")
        try:
            fields = len(struct.unpack(self.fmt, bytes(struct.calcsize(self.fmt))))
        except struct.error as exc:
            raise ValueError(f"fmt: {exc}") from exc
        if fields != len(self.names):
            raise ValueError(f"names: fmt has {fields} fields, names has {len(self.names)}")
        return self


class RawOptions(Options):
    """``raw``: ``p.h`` is the header, ``p.a`` a list with the samples of each axis (float32).

    Attributes:
        header: What lies in front of the samples.
        dtype: A sample's type, as in NumPy: i1 u1 i2 u2 i4 u4 f4 f8.
        endian: ``le`` or ``be``.
        axes: How many axes are interleaved, or the header's field that says so.
        count: The header's field that says how many samples each axis has; checked.
        scale: What a sample is multiplied by.
    """

    name: Literal["raw"] = "raw"
    header: Header | None = None
    dtype: Literal["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"] = "i2"
    endian: Literal["le", "be"] = "le"
    axes: int | str = Field(default=1)
    count: str = ""
    scale: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fields_exist(self) -> "RawOptions":
        names = self.header.names if self.header else []
        if isinstance(self.axes, int) and not 1 <= self.axes <= 64:
            raise ValueError("axes: 1 to 64")
        for key in (self.axes, self.count):
            if isinstance(key, str) and key and key not in names:
                raise ValueError(f"{key!r} is no field of the header; it has {names}")
        return self

    def build(self) -> Codec:
        """Return the codec; DecodeError: ``bad_length``, ``bad_samples``, ``too_large``."""
        header = struct.Struct(self.header.fmt if self.header else "<")
        names = tuple(self.header.names) if self.header else ()
        dtype = np.dtype(("<" if self.endian == "le" else ">") + self.dtype)
        scale = np.float32(self.scale)
        axes_of, count_name = self._axes_of(), self.count

        def decode(message: RawMessage) -> dict[str, Any]:
            payload = message.payload
            if len(payload) > MAX_PAYLOAD_BYTES:
                raise DecodeError("too_large", f"{len(payload)} bytes")
            body = len(payload) - header.size
            if body < 0:
                raise DecodeError("bad_length", f"{len(payload)} bytes, header {header.size}")
            fields = dict(zip(names, header.unpack_from(payload), strict=True))
            axes = axes_of(fields)
            if axes < 1 or body % (dtype.itemsize * axes):
                raise DecodeError("bad_length", f"{body} bytes of {axes} axes of {dtype}")
            samples = np.frombuffer(payload, dtype, offset=header.size).reshape(-1, axes)
            if count_name and fields[count_name] != len(samples):
                raise DecodeError(
                    "bad_length", f"{len(samples)} samples, {fields[count_name]} said"
                )
            scaled = _scaled(samples, scale)
            return {"h": fields, "a": list(np.ascontiguousarray(scaled.T))}

        return decode

    def _axes_of(self) -> Axes:
        fixed = self.axes
        if isinstance(fixed, int):
            return lambda _: fixed

        def from_header(fields: dict[str, Any]) -> int:
            value = fields[fixed]
            return value if type(value) is int and value <= 64 else 0

        return from_header


def _scaled(samples: "np.ndarray[Any, Any]", scale: np.float32) -> "np.ndarray[Any, Any]":
    # A float64 beyond float32's range becomes infinite here, and is refused with the rest.
    with np.errstate(over="ignore", invalid="ignore"):
        values = samples.astype(np.float32) * scale
    if samples.dtype.kind == "f" and not np.isfinite(values).all():
        raise DecodeError("bad_samples", "not finite")
    return values

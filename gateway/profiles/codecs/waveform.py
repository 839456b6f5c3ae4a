"""Samples as raw integers or floats, with or without a header in front of them."""

import base64
import binascii
import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

_SMALLEST, _LARGEST = 1e-6, 1e6  # of what a float that is measured may be
Axes = Callable[[dict[str, Any]], int]
Sampler = Callable[[bytes, int], "np.ndarray[Any, Any]"]


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

    ``p.n`` is how many samples each axis has.

    Attributes:
        encoding: ``base64`` or ``hex`` where the bytes come as text.
        header: What lies in front of the samples.
        dtype: A sample's type, as in NumPy: i1 u1 i2 u2 i4 u4 f4 f8; i3: 24 bits. ``auto``: i2, or
            f4 (which is not scaled) where all could be measurements as such: read as floats,
            counts of 16 bits are far too small or too large.
        endian: ``le`` or ``be``; ``auto``: ``be`` where that way the samples change by less than a
            quarter of what they do as ``le``. A device's own order, where it is known, is better:
            noise over the whole range looks the same either way.
        layout: ``interleaved``: x y z x y z; ``planar``: all of x, then all of y.
        axes: How many axes there are, or the header's field that says so.
        count: The header's field that says how many samples each axis has; checked.
        scale: What a sample is multiplied by.
    """

    name: Literal["raw"] = "raw"
    encoding: Literal["bytes", "base64", "hex"] = "bytes"
    header: Header | None = None
    dtype: Literal["i1", "u1", "i2", "u2", "i3", "i4", "u4", "f4", "f8", "auto"] = "i2"
    endian: Literal["le", "be", "auto"] = "le"
    layout: Literal["interleaved", "planar"] = "interleaved"
    axes: int | str = Field(default=1)
    count: str = ""
    scale: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fields_exist(self) -> "RawOptions":
        names = self.header.names if self.header else []
        if self.dtype == "i3" and self.endian == "auto":
            raise ValueError("endian: 'auto' is not for 24 bits")
        if isinstance(self.axes, int) and not 1 <= self.axes <= 64:
            raise ValueError("axes: 1 to 64")
        for key in (self.axes, self.count):
            if isinstance(key, str) and key and key not in names:
                raise ValueError(f"{key!r} is no field of the header; it has {names}")
        return self

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_length``, ``bad_samples``, ``bad_base64``, ``bad_hex`` and
        ``too_large``.
        """
        header = struct.Struct(self.header.fmt if self.header else "<")
        names = tuple(self.header.names) if self.header else ()
        guessed = self.dtype == "auto"
        item_bytes = 2 if guessed else int(self.dtype[1])
        samples_of = (
            _sampler_of_either(self.endian) if guessed else _sampler(self.dtype, self.endian)
        )
        planar, encoding = self.layout == "planar", self.encoding
        scale, one = np.float32(self.scale), np.float32(1)
        axes_of, count_name = self._axes_of(), self.count

        def decode(message: RawMessage) -> dict[str, Any]:
            payload = message.payload
            if len(payload) > MAX_PAYLOAD_BYTES:
                raise DecodeError("too_large", f"{len(payload)} bytes")
            if encoding != "bytes":
                payload = _unpacked(payload, encoding)
            body = len(payload) - header.size
            if body < 0:
                raise DecodeError("bad_length", f"{len(payload)} bytes, header {header.size}")
            fields = dict(zip(names, header.unpack_from(payload), strict=True))
            axes = axes_of(fields)
            if axes < 1 or body % (item_bytes * axes):
                raise DecodeError("bad_length", f"{body} bytes of {axes} axes of {item_bytes}")
            samples = samples_of(payload, header.size)
            count = len(samples) // axes
            if len(samples) % axes:
                raise DecodeError("bad_length", f"{len(samples)} samples of {axes} axes")
            if count_name and fields[count_name] != count:
                raise DecodeError("bad_length", f"{count} samples, {fields[count_name]} said")
            samples = _scaled(samples, one if guessed and samples.dtype.kind == "f" else scale)
            by_axis = samples.reshape(axes, -1) if planar else samples.reshape(-1, axes).T
            return {"h": fields, "a": list(np.ascontiguousarray(by_axis)), "n": count}

        return decode

    def _axes_of(self) -> Axes:
        fixed = self.axes
        if isinstance(fixed, int):
            return lambda _: fixed

        def from_header(fields: dict[str, Any]) -> int:
            value = fields[fixed]
            return value if type(value) is int and value <= 64 else 0

        return from_header


def _unpacked(payload: bytes, encoding: str) -> bytes:
    try:
        if encoding == "hex":
            return binascii.unhexlify(payload.strip())
        return base64.b64decode(payload.strip(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise DecodeError(f"bad_{encoding}", str(exc)) from exc


def _sampler_of_either(endian: str) -> Sampler:
    """Return what reads floats where the bytes could be such, else integers of 16 bits."""
    integers = _sampler("i2", endian)
    orders = {"le": ("<f4",), "be": (">f4",)}.get(endian, ("<f4", ">f4"))

    def read(payload: bytes, start: int) -> "np.ndarray[Any, Any]":
        if len(payload) > start and (len(payload) - start) % 4 == 0:
            for order in orders:
                samples = np.frombuffer(payload, order, offset=start)
                sizes = np.abs(samples[samples != 0])
                if len(sizes) and sizes.min() > _SMALLEST and sizes.max() < _LARGEST:  # not NaN
                    return samples
        return integers(payload, start)

    return read


def _sampler(name: str, endian: str) -> Sampler:
    """Return what reads the samples behind a header."""
    if name == "i3":
        return _sampler_of_24_bits(endian)
    little = np.dtype("<" + name)
    big = np.dtype(">" + name)
    if endian != "auto":
        dtype = little if endian == "le" else big
        return lambda payload, start: np.frombuffer(payload, dtype, offset=start)

    def smoother(payload: bytes, start: int) -> "np.ndarray[Any, Any]":
        as_little = np.frombuffer(payload, little, offset=start)
        as_big = np.frombuffer(payload, big, offset=start)
        return as_big if _change(as_big) * 4 < _change(as_little) else as_little

    return smoother


def _change(samples: "np.ndarray[Any, Any]") -> float:
    """Return by how much samples change from one to the next, in all."""
    with np.errstate(over="ignore", invalid="ignore"):
        change = float(np.abs(np.diff(samples.astype(np.float64))).sum())
    return change if np.isfinite(change) else float("inf")


def _sampler_of_24_bits(endian: str) -> Sampler:
    """NumPy has no such type: three bytes become the upper ones of four."""
    first = 0 if endian == "be" else 1
    dtype = np.dtype(">i4" if endian == "be" else "<i4")

    def read(payload: bytes, start: int) -> "np.ndarray[Any, Any]":
        given = np.frombuffer(payload, np.uint8, offset=start).reshape(-1, 3)
        wide = np.zeros((len(given), 4), np.uint8)
        wide[:, first : first + 3] = given
        return wide.reshape(-1).view(dtype) >> 8

    return read


def _scaled(samples: "np.ndarray[Any, Any]", scale: np.float32) -> "np.ndarray[Any, Any]":
    # A float64 beyond float32's range becomes infinite here, and is refused with the rest.
    with np.errstate(over="ignore", invalid="ignore"):
        values = samples.astype(np.float32) * scale
    if samples.dtype.kind == "f" and not np.isfinite(values).all():
        raise DecodeError("bad_samples", "not finite")
    return values

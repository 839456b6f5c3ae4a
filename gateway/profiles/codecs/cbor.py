"""CBOR (RFC 8949) by cbor2, with typed arrays (RFC 8746)."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import Any, Literal, NoReturn

import cbor2
import numpy as np

from gateway.errors import DecodeError
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.tree import MAX_DEPTH, MAX_NODES, json_tree

_UNREADABLE = (
    cbor2.CBORError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class CborOptions(Options):
    """``cbor``: as ``json``, from CBOR.

    Keys become texts, byte strings hexadecimal digits, times ISO 8601 texts; typed arrays (RFC
    8746) become arrays, those of several dimensions arrays of arrays. Of other tags the content
    stands.
    """

    name: Literal["cbor"] = "cbor"

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_cbor``, ``too_deep``, ``too_many_values``, ``bad_key``,
        ``empty_payload`` and ``too_large``.
        """
        return lambda message: decode_cbor(message.payload)


def decode_cbor(payload: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return one CBOR data item as JSON's types; the whole payload must be that item.

    Raises:
        DecodeError: It is not, or is too much.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    if not payload:
        raise DecodeError("empty_payload")
    stream = BytesIO(payload)
    decoder = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH * 2, semantic_decoders=_REFUSED)
    try:
        value = decoder.decode()
    except _UNREADABLE as exc:
        reason = "too_deep" if "nesting depth" in str(exc) else "bad_cbor"
        raise DecodeError(reason, str(exc)[:200]) from exc
    if stream.tell() != len(payload):
        raise DecodeError("bad_cbor", f"{len(payload) - stream.tell()} bytes after the item")
    return json_tree(value, _leaf)


def _refuse(_value: object, _immutable: object) -> NoReturn:
    raise ValueError("unsupported tag")


# References within a message (25, 28, 29, 256) make a few bytes into loops or into gigabytes;
# a regular expression (35) or mail (36) would be compiled or parsed; a bigfloat (5) can take long.
_REFUSED = dict.fromkeys((5, 25, 28, 29, 35, 36, 256), _refuse)


def _leaf(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, cbor2.CBORTag):
        return _tagged(value.tag, value.value)
    if isinstance(value, Decimal | Fraction):
        return _float(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, cbor2.CBORSimpleValue):
        return value.value
    if value is cbor2.undefined or type(value).__module__ not in {"uuid", "ipaddress"}:
        return None
    return str(value)


def _float(value: Decimal | Fraction) -> float | None:
    try:
        return float(value)
    except (ArithmeticError, ValueError):
        return None


def _tagged(tag: int, content: object) -> Any:  # noqa: ANN401 - JSON
    if tag in _TYPED:
        return _typed_array(tag, content)
    if tag in {40, 1040}:
        return _shaped(content, "C" if tag == 40 else "F")
    return content


def _typed(tag: int) -> np.dtype[Any]:
    """Return the type of a typed array's tag: the bits 0b010_f_s_e_ll of RFC 8746, section 2.1."""
    is_float, is_signed, is_little = tag & 16, tag & 8, tag & 4
    size = 1 << ((tag & 3) + (1 if is_float else 0))
    kind = "f" if is_float else "i" if is_signed else "u"
    return np.dtype(("<" if is_little else ">") + kind + str(size))


# 76 is reserved; 83 and 87 are floats of 128 bits, which NumPy's are not. 68 is clamped bytes.
_TYPED = {tag: _typed(tag) for tag in range(64, 88) if tag not in {76, 83, 87}}


def _typed_array(tag: int, content: object) -> list[Any]:
    dtype = _TYPED[tag]
    if type(content) is not bytes or len(content) % dtype.itemsize:
        raise DecodeError("bad_length", f"typed array {tag}")
    if len(content) // dtype.itemsize > MAX_NODES:
        raise DecodeError("too_many_values", f"more than {MAX_NODES}")
    found: list[Any] = np.frombuffer(content, dtype).tolist()
    return found


def _shaped(content: object, order: Literal["C", "F"]) -> list[Any]:
    """Return an array of several dimensions (RFC 8746, section 3.1) as arrays of arrays."""
    if not isinstance(content, Sequence) or len(content) != 2:
        raise DecodeError("bad_shape", "an array of dimensions and values")
    shape, values = json_tree(content[0], _leaf), json_tree(content[1], _leaf)
    if (
        type(shape) is not list
        or type(values) is not list
        or not 0 < len(shape) <= 8
        or any(type(n) is not int or not 0 < n <= MAX_NODES for n in shape)
        or any(type(v) not in {int, float, bool} for v in values)
    ):
        raise DecodeError("bad_shape", "dimensions and numbers")
    total = 1
    for n in shape:
        total *= n
    if total != len(values):
        raise DecodeError("bad_shape", f"{len(values)} values for {shape}")
    array = np.empty(total, dtype=object)  # as they are: no number is made another
    array[:] = values
    found: list[Any] = array.reshape(shape, order=order).tolist()
    return found

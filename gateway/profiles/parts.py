"""The verb ``decode``: a part of a payload that has a codec of its own."""

from collections.abc import Callable, Sequence

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.expressions import expression
from gateway.profiles.functions import base64_bytes
from gateway.profiles.message import Message, Run
from gateway.profiles.schema import DecodeStep

_BYTES_OF: dict[str, Callable[[str], bytes]] = {
    "utf8": lambda text: text.encode(),
    "base64": base64_bytes,
    "hex": bytes.fromhex,
}


def decode_part(step: DecodeStep, steps: Sequence[Run]) -> Run:
    """Compile the step; it raises what its codec raises, and ``bad_base64``, ``bad_hex``."""
    value_of, codec, name = expression(step.decode), step.codec.build(), step.name

    def run(message: Message) -> None:
        outer = message.envelope
        part = part_of(step, value_of(outer))
        if part is None:
            return
        inner = RawMessage(message.topic, part, message.received_ns)
        message.envelope = {**outer, name: codec(inner)}
        for each in steps:
            each(message)
        message.envelope = outer

    return run


def part_of(step: DecodeStep, value: object) -> bytes | None:
    """Return the bytes that a step decodes, None for null.

    Raises:
        DecodeError: ``bad_base64``, ``bad_hex``; ``bad_shape``: it is no text.
    """
    if value is None or type(value) is bytes:
        return value
    if type(value) is not str:
        raise DecodeError("bad_shape", f"{step.decode} gives no text")
    try:
        return _BYTES_OF[step.encoding](value)
    except ValueError as exc:
        raise DecodeError(f"bad_{step.encoding}", str(exc)) from exc

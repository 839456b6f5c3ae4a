"""What passes between the gateway and a worker: frames of MessagePack with arrays as raw bytes.

A frame is a big-endian uint32, the length, and as many bytes: ``[number, kind, body]``. The
gateway numbers its calls; an answer carries its call's number, so that one that comes too late is
known. No pickle: a worker can send data, never code.
"""

import struct
from typing import Any, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from gateway.inference.vision.fitted import Fitted, Pixels
from gateway.model import Channel, Frames, Result, Seen, Windows

MAX_FRAME_BYTES = 256_000_000
_LENGTH = struct.Struct(">I")


class FrameError(ValueError):
    """What came is not a frame."""


def frame(number: int, kind: str, body: object) -> bytes:
    """Return one frame.

    Raises:
        FrameError: It is over ``MAX_FRAME_BYTES``.
    """
    content: bytes = msgpack.packb([number, kind, body])
    if len(content) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(content)} bytes is over {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(content)) + content


class FrameReader:
    """Puts frames together from the pieces in which a stream brings them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> list[tuple[int, str, Any]]:
        """Return the frames that are complete with this piece: (number, kind, body).

        Raises:
            FrameError: Too long, or not MessagePack of a frame.
        """
        self._buffer += piece
        frames = []
        while (content := self._take()) is not None:
            frames.append(_unpack(content))
        return frames

    def _take(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a frame of {length} bytes is over {MAX_FRAME_BYTES}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        content = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        return content


def _unpack(content: bytes) -> tuple[int, str, Any]:
    try:
        number, kind, body = msgpack.unpackb(content)
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise FrameError(f"not a frame: {exc}") from exc
    return number, kind, body


def pack_windows(windows: Windows, states: list[bytes | None]) -> list[Any]:
    """Return windows and states as what MessagePack can carry."""
    known: dict[int, int] = {}  # by identity: sources mostly share one tuple of channels
    shapes: list[list[tuple[str, str | None]]] = []
    which = []
    for channels in windows.channels:
        at = known.setdefault(id(channels), len(known))
        if at == len(shapes):
            shapes.append([(channel.metric, channel.unit) for channel in channels])
        which.append(at)
    return [
        windows.sources,
        windows.start_ns.tobytes(),
        windows.end_ns.tobytes(),
        shapes,
        which,
        windows.values.shape,
        windows.values.tobytes(),
        windows.features.shape,
        windows.features.tobytes(),
        windows.feature_names,
        windows.received_ns.tobytes(),
        states,
    ]


def unpack_windows(body: Any) -> tuple[Windows, list[bytes | None]]:  # noqa: ANN401 - from the wire
    """Return what ``pack_windows`` packed. The arrays are read-only views of the frame."""
    (
        sources,
        start,
        end,
        shapes,
        which,
        v_shape,
        values,
        f_shape,
        features,
        names,
        received,
        states,
    ) = body
    known = [tuple(Channel(metric, unit) for metric, unit in channels) for channels in shapes]
    windows = Windows(
        sources=sources,
        start_ns=np.frombuffer(start, np.int64),
        end_ns=np.frombuffer(end, np.int64),
        channels=[known[at] for at in which],
        values=_array(values, v_shape),
        features=_array(features, f_shape),
        feature_names=tuple(names),
        received_ns=np.frombuffer(received, np.int64),
    )
    return windows, states


def pack_frames(frames: Frames, states: list[bytes | None]) -> list[Any]:
    """Return what is to be said of frames; their pictures go through shared memory."""
    sizes = [(frame.image.shape[1], frame.image.shape[0]) for frame in frames.frames]
    return [frames.sources, frames.end_ns.tobytes(), sizes, frames.places, states]


def unpack_frames(body: Any, images: Pixels) -> tuple[Fitted, list[bytes | None]]:  # noqa: ANN401 - from the wire
    """Return what ``pack_frames`` packed, with the fitted pictures."""
    sources, end, sizes, places, states = body
    fitted = Fitted(
        sources=sources,
        end_ns=np.frombuffer(end, np.int64),
        sizes=[(width, height) for width, height in sizes],
        places=[{k: tuple((x, y) for x, y in v) for k, v in each.items()} for each in places],
        images=images,
    )
    return fitted, states


def pack_results(results: list[Result]) -> list[Any]:
    """Return results as what MessagePack can carry."""
    return [
        (
            r.label,
            float(r.score),  # a plugin may give NumPy's own floats
            None if r.confidence is None else float(r.confidence),
            {name: float(value) for name, value in r.numbers.items()},
            r.state,
            bool(r.suppress),
            r.since_ns,
            [(tuple(map(float, s.box)), s.label, float(s.score), int(s.track)) for s in r.seen],
        )
        for r in results
    ]


def unpack_results(body: Any, wanted: int) -> list[Result]:  # noqa: ANN401 - from the wire
    """Return what ``pack_results`` packed.

    Raises:
        FrameError: It is not ``wanted`` results.
    """
    try:
        results = [_result(row) for row in body]
    except (TypeError, ValueError) as exc:
        raise FrameError(f"not results: {exc}") from exc
    if len(results) != wanted:
        raise FrameError(f"{len(results)} results for {wanted}")
    return results


def _result(row: list[Any]) -> Result:
    label, score, confidence, numbers, state, suppress, since_ns, objects = row
    seen = tuple(Seen(tuple(box), *rest) for box, *rest in objects)
    return Result(label, score, confidence, numbers, state, suppress, since_ns, seen)


def _array(content: bytes, shape: list[int]) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", np.frombuffer(content, np.float32).reshape(shape))

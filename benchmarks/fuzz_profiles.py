"""Fuzzed payloads through all profiles: nothing may crash, and nothing unsound come out."""

import math
import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.fuzzed import TAKEN, Fuzzed, fuzz
from gateway.errors import DecodeError, UnclaimedError
from gateway.model import Decoded, RawMessage, Reading
from gateway.profiles import Catalog
from gateway.profiles.times import EARLIEST_NS, LATEST_AFTER_ARRIVAL_NS
from gateway.profiles.vectors import VECTORS_FILE, read_vectors
from gateway.profiles.words import MAX_JSON_CHARS, MAX_NAME_CHARS

SHIPPED = Path(__file__).parents[1] / "firmware_profiles"
_NOW_NS = 1_800_000_000 * 10**9
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -1e308, 2**63, 2**64 - 1, 1e-320, "", "nan", "NaN", "inf",
    "None", "1e999", "0x10", "007", "-0", "ON", "offline", "\x00", "\ud7ff", "é" * 300, "x" * 2000,
    "2024-02-30T25:61:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00", 253402300800, 1e20,
    [], {}, [[]], {"": 1}, {"$online": 1}, ["a", None], {"value": None}, "AQID", "ffd8ff", "°C",
)  # fmt: skip


class Fuzzer:
    """Makes messages out of real ones: broken bytes, odd values, keys and shapes of others.

    Args:
        seed: The same seed makes the same messages.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        vectors = [v for f in sorted(SHIPPED.glob(f"*/{VECTORS_FILE}")) for v in read_vectors(f)]
        self._topics = [vector.topic for vector in vectors]
        self._payloads = [vector.message().payload for vector in vectors]

    def message(self) -> RawMessage:
        """Return the next message."""
        choose = self._random
        at = choose.randrange(len(self._topics))
        topic, payload = self._topics[at], self._payloads[at]
        if choose.random() < 0.15:
            payload = choose.choice(self._payloads)  # of another firmware
        if choose.random() < 0.1:
            topic = self._broken_topic(topic)
        if choose.random() < 0.6:
            payload = self._odd(payload)
        if choose.random() < 0.4:
            payload = self._broken(payload)
        return RawMessage(topic, payload, _NOW_NS, retained=choose.random() < 0.1)

    def _broken_topic(self, topic: str) -> str:
        levels = topic.split("/")
        at = self._random.randrange(len(levels))
        odd = self._random.choice(["", " ", "$state", "x" * 300, "a\nb", "é", "{d}", "config"])
        return "/".join([*levels[:at], odd, *levels[at + 1 :]])

    def _odd(self, payload: bytes) -> bytes:
        """Put odd values into a JSON payload; others are left as they are."""
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return payload
        for _ in range(self._random.randint(1, 3)):
            document = self._changed(document)
        try:
            return orjson.dumps(document)
        except (TypeError, orjson.JSONEncodeError):  # 64 bits, lone surrogates
            return payload

    def _changed(self, node: Any) -> Any:  # noqa: ANN401 - JSON
        choose = self._random
        if isinstance(node, dict) and node and choose.random() < 0.9:
            key = choose.choice(list(node))
            if choose.random() < 0.1:
                return {**node, choose.choice(["", "$x", "ts", key.upper(), "a.b"]): node[key]}
            return {**node, key: self._changed(node[key])}
        if isinstance(node, list) and node and choose.random() < 0.9:
            at = choose.randrange(len(node))
            return [*node[:at], self._changed(node[at]), *node[at + 1 :]]
        return choose.choice(_ODD)

    def _broken(self, payload: bytes) -> bytes:
        choose, broken = self._random, bytearray(payload)
        for _ in range(choose.randint(1, 4)):
            at = choose.randrange(len(broken) + 1)
            match choose.randrange(4):
                case 0:
                    del broken[at:]
                case 1:
                    broken[at : at + 1] = choose.randbytes(1)
                case 2:
                    broken[at:at] = choose.choice(string.printable).encode()
                case _:
                    broken[at:at] = choose.randbytes(choose.randint(0, 8))
        return bytes(broken)


def unsound(decoded: Decoded) -> str:
    """Return what is wrong with what came out, "" for nothing."""
    if not decoded.device:
        return "no device"
    for reading in decoded.readings:
        said = _unsound_reading(reading)
        if said:
            return f"{reading.metric}: {said}"
    for waveform in decoded.waveforms:
        if not np.isfinite(waveform.samples).all() or not 0 < waveform.rate_hz < 1e9:
            return f"{waveform.metric}: samples or rate"
    return ""


def _unsound_reading(reading: Reading) -> str:
    device, metric, value, _, time_ns, _ = reading
    if not device or not 0 < len(metric) <= MAX_NAME_CHARS:
        return "its name"
    if type(value) not in {int, float, bool, str}:
        return f"a {type(value).__name__}"
    length_fits = isinstance(value, str) and 0 < len(value) <= MAX_JSON_CHARS
    if not length_fits and (isinstance(value, str) or not math.isfinite(value)):
        return f"value {str(value)[:20]!r}"
    plausible = EARLIEST_NS <= time_ns <= _NOW_NS + LATEST_AFTER_ARRIVAL_NS
    return "" if plausible else f"time {time_ns}"


def payloads(count: int, seed: int) -> Fuzzed:
    """Fuzz the payload decoders, with all profiles loaded."""
    catalog = Catalog.load([SHIPPED], "Europe/Berlin")

    def take(message: RawMessage) -> str:
        try:
            decoded = catalog.decode(message)
        except UnclaimedError:
            return "unclaimed"
        except DecodeError as exc:
            return exc.reason
        said = unsound(decoded)
        if said:
            raise ValueError(said)
        return TAKEN

    return fuzz(take, Fuzzer(seed).message, count)

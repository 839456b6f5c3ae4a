"""A message while it is being decoded."""

from collections.abc import Callable

from gateway.errors import DecodeError
from gateway.model import Reading, Waveform
from gateway.profiles.expressions import Envelope

MAX_VALUES = 4096
"""Readings of one message, and elements of one ``each``."""


class Message:
    """What the steps of a rule read and add to; it lives for one call of decode.

    Attributes:
        envelope: What expressions see.
        device, time_ns, own_time: Of the readings that are added now.
        received_ns: Arrival.
        readings, waveforms: What the message says so far.
    """

    __slots__ = (
        "device", "envelope", "own_time", "readings", "received_ns", "time_ns", "waveforms",
    )  # fmt: skip

    def __init__(
        self, envelope: Envelope, device: str, time_ns: int | None, received_ns: int
    ) -> None:
        self.envelope = envelope
        self.device = device
        self.own_time = time_ns is not None
        self.time_ns = received_ns if time_ns is None else time_ns
        self.received_ns = received_ns
        self.readings: list[Reading] = []
        self.waveforms: list[Waveform] = []

    def check_count(self) -> None:
        """Raise DecodeError ``too_many_values`` above 4,096 readings."""
        if len(self.readings) > MAX_VALUES:
            raise DecodeError("too_many_values", f"more than {MAX_VALUES}")


Run = Callable[[Message], None]
"""A compiled step."""

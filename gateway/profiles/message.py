"""A message while it is being decoded."""

from collections.abc import Callable

from gateway.errors import DecodeError
from gateway.model import Picture, RawMessage, Reading, Request, Waveform
from gateway.profiles.codecs.image import Described
from gateway.profiles.expressions import Envelope
from gateway.profiles.memory import Lesson, Memory
from gateway.profiles.words import checked_name

MAX_VALUES = 4096
"""Readings of one message, and elements of one ``each``."""


class Message:
    """What the steps of a rule read and add to; it lives for one call of decode.

    Attributes:
        envelope: What expressions see.
        device, time_ns, own_time: Of the readings that are added now.
        received_ns: Arrival.
        readings, waveforms: What the message says so far.
        memory: What earlier messages have taught, in a profile that learns.
        lessons: What this one teaches.
        parents: Through which device another speaks.
        topic: Where it came.
        requests: What the device is to be asked.
        pictures: Pictures in it.
    """

    __slots__ = (
        "device", "envelope", "lessons", "memory", "own_time", "parents", "pictures", "readings",
        "received_ns", "requests", "time_ns", "topic", "waveforms",
    )  # fmt: skip

    def __init__(
        self,
        message: RawMessage,
        envelope: Envelope,
        device: str,
        time_ns: int | None,
        memory: Memory | None = None,
    ) -> None:
        received_ns = message.received_ns
        self.topic = message.topic
        self.memory = memory
        self.lessons: list[Lesson] | None = None
        self.parents: dict[str, str] | None = None
        self.requests: tuple[Request, ...] = ()
        self.pictures: tuple[Picture, ...] = ()
        self.envelope = envelope
        self.device = device
        self.own_time = time_ns is not None
        self.time_ns = received_ns if time_ns is None else time_ns
        self.received_ns = received_ns
        self.readings: list[Reading] = []
        self.waveforms: list[Waveform] = []

    def note_parent(self, parent: object) -> None:
        """Note through which device the one that is spoken of now speaks; null: none is known."""
        if type(parent) is str and parent != self.device:
            if self.parents is None:
                self.parents = {}
            self.parents[self.device] = checked_name("device", parent)

    def note_picture(self, value: object) -> None:
        """Keep a picture that a value describes; the reading tells which one it was."""
        if isinstance(value, Described):
            taken = Picture(self.device, value.body, self.time_ns)
            self.pictures = (*self.pictures, taken)

    def check_count(self) -> None:
        """Raise DecodeError ``too_many_values`` above 4,096 readings."""
        if len(self.readings) > MAX_VALUES:
            raise DecodeError("too_many_values", f"more than {MAX_VALUES}")


Run = Callable[[Message], None]
"""A compiled step."""

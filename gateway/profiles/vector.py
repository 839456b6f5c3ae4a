"""A test vector: a message, where it was seen, and the readings that must come of it."""

import base64
import binascii
from datetime import UTC
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from gateway.model import RawMessage
from gateway.profiles.times import reader

_DEFAULT_RECEIVED = "2030-01-01T00:00:00Z"  # later than all that was ever caught
DEFAULT_RECEIVED_NS = 1_893_456_000 * 10**9


class Expected(BaseModel):
    """A reading, or with ``fs`` a waveform, that must come out; all that it says is compared.

    Attributes:
        value: Number, bool, text, or an object or array (a reading's JSON text is read); null:
            there must be no reading of this metric, so nothing else can be said of it.
        time: ISO 8601, ``local:...`` for the site's wall clock, or null for the time of arrival.
        fs: Samples per second of a waveform.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    metric: str
    value: Any
    unit: str | None = None
    time: str | int | float | None = Field(
        default=None, validation_alias=AliasChoices("time", "ts")
    )
    fs: float | None = None

    @model_validator(mode="after")
    def _compares_what_it_says(self) -> Self:
        if self.value is None and (self.unit, self.time, self.fs) != (None, None, None):
            raise ValueError(
                "value null says that no such reading comes: it has no unit, time or fs"
            )
        return self


class Place(BaseModel):
    """Where a vector stands among those that make sense only in order.

    Attributes:
        group: Their session's name.
        step: Their order in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    step: int


class Vector(BaseModel):
    """A message and what must become of it.

    Attributes:
        id: Its name.
        firmware: Whose message it is.
        encoding: Of ``payload``.
        mode: ``exact``: these readings and no others; ``subset``: at least these.
        received: When it came in, ISO 8601.
        rejects: The reason for which it must be refused; ``unclaimed``: no rule may take it;
            ``any``: a rule must take and refuse it, for whatever reason.
        source: Where the payload was seen.
        sequence: The session it belongs to, and which message of it it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    topic: str
    payload: str
    encoding: Literal["utf8", "hex", "base64"] = "utf8"
    mode: Literal["exact", "subset"] = "exact"
    received: str = _DEFAULT_RECEIVED
    retained: bool = False
    expect: tuple[Expected, ...] = ()
    rejects: str = ""
    source: Annotated[str, Field(min_length=1)]
    firmware: str = ""
    sequence: Place | None = None

    @model_validator(mode="after")
    def _expects_or_rejects(self) -> Self:
        if self.rejects and self.expect:
            raise ValueError("a message that is refused gives no reading: expect or rejects")
        return self

    def message(self) -> RawMessage:
        """Return the message.

        Raises:
            ValueError: The payload is not what its encoding says, or the time cannot be read.
        """
        if self.encoding == "utf8":
            payload = self.payload.encode()
        else:
            payload = _DECODERS[self.encoding](self.payload)
        received_ns = reader("iso", None, UTC)(self.received, 0)
        if received_ns is None:
            raise ValueError(f"received: {self.received!r} is no ISO 8601 time")
        return RawMessage(self.topic, payload, received_ns, retained=self.retained)


_DECODERS = {"hex": binascii.unhexlify, "base64": base64.b64decode}

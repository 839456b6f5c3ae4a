"""What is kept of messages that could not be decoded, so that a person can find out why."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.errors import GatewayError
from gateway.features import DeadLetter
from gateway.model import RawMessage

SAMPLE_BYTES = 256
PARTLY = "partly"
"""The reason of a sample of a message that was stored without its malformed parts."""
OTHER_TOPICS = "(other topics)"
_SAMPLES_PER_S = 20
_TOPICS = 1000
PAYLOAD_BYTES = 2000  # enough to find the keys that a profile's messages have
_HEARD_MESSAGES = 2000
_HEARD_BYTES = 4_000_000


class BusyError(GatewayError):
    """This is done for somebody else just now."""

    code = "busy"


@dataclass(slots=True)
class UnclaimedTopic:
    """A topic that no profile claims, with the beginning of its last payload."""

    messages: int
    last_ns: int
    payload: bytes


class Heard(NamedTuple):
    """A message that gives nothing.

    Attributes:
        message: It, whole.
        profile: Whose rule takes and refuses it; "" where no profile claims it.
        reason: Why, or "".
    """

    message: RawMessage
    profile: str = ""
    reason: str = ""


class Unreadable:
    """Samples of dead letters, and the topics that nobody claims; both bounded."""

    def __init__(self) -> None:
        self.unclaimed: dict[str, UnclaimedTopic] = {}
        self._heard: list[Heard] | None = None
        self._heard_bytes = 0
        self._second = 0
        self._samples: Counter[str] = Counter()

    def note_unclaimed(self, message: RawMessage) -> None:
        """Count a message by its topic; beyond 1,000 topics they are counted together."""
        self.hear(Heard(message))
        topic = message.topic
        if topic not in self.unclaimed and len(self.unclaimed) >= _TOPICS:
            topic = OTHER_TOPICS
        known = self.unclaimed.setdefault(topic, UnclaimedTopic(0, 0, b""))
        known.messages += 1
        known.last_ns = message.received_ns
        known.payload = message.payload[:PAYLOAD_BYTES]

    def forget_claimed(self, is_claimed: Callable[[str], bool]) -> None:
        """Leave out topics that a profile has come to claim since."""
        for topic in [topic for topic in self.unclaimed if is_claimed(topic)]:
            del self.unclaimed[topic]

    def hear(self, heard: Heard) -> None:
        """Keep a message for whoever listens."""
        if self._heard is not None and len(self._heard) < _HEARD_MESSAGES:
            self._heard_bytes += len(heard.message.payload)
            if self._heard_bytes <= _HEARD_BYTES:
                self._heard.append(heard)

    async def listen(self, seconds: float) -> list[Heard]:
        """Return the messages that nobody claims or can read within some seconds, whole; bounded.

        Raises:
            BusyError: Somebody listens already.
        """
        if self._heard is not None:
            raise BusyError("somebody listens already; try again when that is over")
        self._heard, self._heard_bytes = [], 0
        try:
            await asyncio.sleep(seconds)
            return self._heard
        finally:
            self._heard = None

    def sample(
        self, message: RawMessage, reason: str, detail: str, profile: str
    ) -> DeadLetter | None:
        """Return the dead letter to keep; None above 20 a second of one reason."""
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._samples.clear()
        self._samples[reason] += 1
        if self._samples[reason] > _SAMPLES_PER_S:
            return None
        return DeadLetter(
            time_ns=message.received_ns,
            topic=printable(message.topic.encode("utf-8", "surrogatepass")),
            reason=reason,
            detail=detail[:200].encode("ascii", "backslashreplace").decode(),
            profile=profile,
            size_bytes=len(message.payload),
            sample=printable(message.payload),
        )


def printable(payload: bytes) -> str:
    r"""Return the first 256 bytes as text; what is not printable as ``\\x..``."""
    text = payload[:SAMPLE_BYTES].decode("utf-8", "backslashreplace")
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )

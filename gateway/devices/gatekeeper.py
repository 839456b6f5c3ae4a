"""Keeps what a device that is too loud sends away from the others, before it is decoded."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ingest import Inbox, Turnstile
from gateway.model import Decoded, RawMessage

_MOST_TOPICS = 1000
_LATE_NS = 60_000_000_000


@dataclass(slots=True)
class Watched:
    """A device under suspicion, limited or quarantined.

    Attributes:
        turnstile: What of it is let in; None: everything still is.
        topics: Those that are its alone.
        good: Messages of a topic that could be decoded, where the topic stands for the device.
        late: Messages that say of themselves that they are old: it brings what it kept.
    """

    turnstile: Turnstile | None = None
    topics: set[str] = field(default_factory=set)
    good: int = 0
    late: int = 0
    _shed: int = 0

    def shed_since(self) -> int:
        """Return how many messages the turnstile did not let in since this was called last."""
        before, self._shed = self._shed, self.turnstile.shed if self.turnstile else 0
        return self._shed - before


class Gatekeeper:
    """Knows the topics of those who are watched, and closes them.

    Only a topic that by itself names its device is closed before decoding; on one that several
    devices share, or that a payload decides on, messages are decoded first.

    Args:
        inbox: What came in, and its gate.
        device_of: Returns the device that a topic alone names, if it does.

    Attributes:
        watched: By name. Empty nearly always, and nothing is asked then.
    """

    def __init__(self, inbox: Inbox, device_of: Callable[[str], str | None]) -> None:
        self.watched: dict[str, Watched] = {}
        self._inbox = inbox
        self._device_of = device_of

    def name(self, topic: str) -> str:
        """Return by what name a topic is watched: its device's, or else its own."""
        return self._device_of(topic) or topic

    def watch(self, name: str) -> Watched:
        """Begin to note the topics of a device."""
        return self.watched.setdefault(name, Watched())

    def limit(self, name: str, messages: float) -> None:
        """Let in so many messages of a device until this is called again."""
        watched = self.watch(name)
        if watched.turnstile is None:
            watched.turnstile = Turnstile(name, messages)
            self._inbox.gate.update(dict.fromkeys(watched.topics, watched.turnstile))
            self._inbox.clear(watched.turnstile)
        watched.turnstile.left = messages

    def free(self, name: str) -> None:
        """Let everything of a device in again."""
        watched = self.watched.pop(name, None)
        if watched and watched.turnstile:
            self._inbox.gate.open(watched.turnstile)

    def refuses(self, message: RawMessage, decoded: Decoded) -> bool:
        """Say whether a message that was decoded has ended: its device may not say so much."""
        watched = self.watched.get(decoded.device)
        if watched is None:
            of_topic = self.watched.get(message.topic)
            if of_topic is not None:
                of_topic.good += 1
            return False
        if decoded.readings:
            first = decoded.readings[0]
            watched.late += first.own_time and first.time_ns < message.received_ns - _LATE_NS
        is_at_gate = message.topic in watched.topics
        if not is_at_gate and self._device_of(message.topic) == decoded.device:
            self._learn(watched, message.topic)
        if watched.turnstile is None or is_at_gate:
            return False
        return self._inbox.refuse(watched.turnstile)

    def note_bad(self, name: str, topic: str) -> None:
        """Note the topic of a message that could not be decoded."""
        watched = self.watched.get(name)
        if watched is not None:
            self._learn(watched, topic)

    def _learn(self, watched: Watched, topic: str) -> None:
        if len(watched.topics) < _MOST_TOPICS:
            watched.topics.add(topic)
            if watched.turnstile is not None:
                self._inbox.gate[topic] = watched.turnstile

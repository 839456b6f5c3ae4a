"""The gate before the inbox: topics of which not everything is let in."""

from dataclasses import dataclass


@dataclass(slots=True)
class Turnstile:
    """What of one device's messages is let in.

    Attributes:
        name: The device, or the topic where no device is known.
        left: So many more messages are let in; set anew each second.
        shed: Messages that were not.
    """

    name: str
    left: float = 0.0
    shed: int = 0

    def passes(self) -> bool:
        """Say whether one more message is let in."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Gate(dict[str, Turnstile]):
    """The turnstile of each topic that has one: a lookup costs the others nearly nothing."""

    def open(self, turnstile: Turnstile) -> None:
        """Let everything in again that went through a turnstile."""
        for topic in [topic for topic, each in self.items() if each is turnstile]:
            del self[topic]

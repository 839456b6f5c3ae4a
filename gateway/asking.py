"""Messages that a protocol wants sent back to its devices, not more often than is useful."""

import time
from collections.abc import Callable, Iterable

from gateway.model import Request

_AGAIN_AFTER_S = 10.0
_MOST_TOPICS = 1000


class Asking:
    """Publishes requests: each topic at most once in 10 s, for a storm helps nobody.

    Args:
        publish: Publishes on the device broker.
        now_s: A monotonic clock.
    """

    def __init__(
        self, publish: Callable[[str, bytes], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._publish = publish
        self._now_s = now_s
        self._asked_s: dict[str, float] = {}

    def ask(self, requests: Iterable[Request]) -> None:
        """Publish requests that were not made lately."""
        now_s = self._now_s()
        for request in requests:
            if now_s - self._asked_s.get(request.topic, -_AGAIN_AFTER_S) < _AGAIN_AFTER_S:
                continue
            if len(self._asked_s) >= _MOST_TOPICS:
                self._asked_s.clear()
            self._asked_s[request.topic] = now_s
            self._publish(request.topic, request.payload)

"""The bounded queue between the MQTT client's thread and the event loop."""

import asyncio
from collections import deque
from threading import Lock

from gateway.ingest.gate import Gate, Turnstile
from gateway.ledger import Ledger
from gateway.model import RawMessage

_SHED_TOPICS = 1000


class Inbox:
    """Messages that came in and are not yet taken.

    When it is full the oldest messages at QoS 0 are shed and counted by topic. Messages at
    QoS >= 1 are never shed: there are at most as many as the client lets the broker send before
    it acknowledges (its receive maximum).

    Args:
        ledger: Where what came in and what was shed is counted.
        max_messages: Bound of what waits.
        max_bytes: Bound of the payloads that wait.

    Attributes:
        gate: Topics of which not everything is let in.
    """

    def __init__(self, ledger: Ledger, max_messages: int, max_bytes: int) -> None:
        self.gate = Gate()
        self._ledger = ledger
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._kept: deque[RawMessage] = deque()  # QoS >= 1
        self._loose: deque[RawMessage] = deque()  # QoS 0
        self._bytes = 0
        self._lock = Lock()
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._kept) + len(self._loose)

    def put(self, message: RawMessage) -> bool:
        """Add a message; called from the MQTT client's thread.

        Returns:
            Whether it is let in; else it has ended and is to be acknowledged.
        """
        turnstile = self.gate.get(message.topic)
        with self._lock:
            self._ledger.received += 1
            if turnstile is not None and not turnstile.passes():
                self._refuse(turnstile)
                return False
            first = not self._kept and not self._loose
            (self._kept if message.qos else self._loose).append(message)
            self._bytes += len(message.payload)
            while self._loose and (len(self) > self._max_messages or self._bytes > self._max_bytes):
                self._shed(self._loose.popleft())
        if first:
            self._loop.call_soon_threadsafe(self._arrived.set)
        return True

    def refuse(self, turnstile: Turnstile) -> bool:
        """Count a message that was taken, unless its device's turnstile lets it pass.

        Returns:
            Whether it has ended so.
        """
        with self._lock:  # this is counted on two threads
            if turnstile.passes():
                return False
            self._refuse(turnstile)
        return True

    def clear(self, turnstile: Turnstile) -> None:
        """Let go of what waits at QoS 0 behind a turnstile that is new: others wait behind it."""
        with self._lock:
            waiting, self._loose = self._loose, deque()
            for message in waiting:
                if self.gate.get(message.topic) is turnstile:
                    self._bytes -= len(message.payload)
                    self._refuse(turnstile)
                else:
                    self._loose.append(message)

    async def take(self, limit: int) -> list[RawMessage]:
        """Wait for messages and return those that are there, at most ``limit``."""
        await self._arrived.wait()
        with self._lock:
            taken = [self._kept.popleft() for _ in range(min(limit, len(self._kept)))]
            room = limit - len(taken)
            taken += [self._loose.popleft() for _ in range(min(room, len(self._loose)))]
            self._bytes -= sum(len(message.payload) for message in taken)
            if not self._kept and not self._loose:
                self._arrived.clear()
        return taken

    def _refuse(self, turnstile: Turnstile) -> None:
        turnstile.shed += 1
        self._ledger.quarantined[turnstile.name] += 1

    def _shed(self, message: RawMessage) -> None:
        self._bytes -= len(message.payload)
        shed = self._ledger.shed
        known = message.topic in shed or len(shed) < _SHED_TOPICS
        shed[message.topic if known else "(other topics)"] += 1

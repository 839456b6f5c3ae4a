"""Whether devices are there: their own word, their parent's, and how long they have been silent."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from gateway.model import Decoded

ONLINE = "$online"
QUIET_S = 600.0
"""Silence after which a device counts as away when neither it nor its profile says anything of
it; most speak every few minutes. A profile says better with ``expires``."""
_ON_THE_WAY_NS = 5 * 10**9
"""What a device had said when it was revoked may come so much later."""
_MOST_DEVICES = 20_000
_MOST_ANCESTORS = 8


class Sign(NamedTuple):
    """What a device last said of itself.

    Attributes:
        online: Its ``$online``; None: it has never said.
        said_ns: When it said so.
        heard_ns: When anything came from it that the broker had not kept.
        revoked_ns: When it was let in no more; 0: it was not.
    """

    online: bool | None
    said_ns: int
    heard_ns: int
    revoked_ns: int = 0

    @property
    def is_revoked(self) -> bool:
        """Say whether it was revoked, and nothing came of it since, by whatever way."""
        return self.revoked_ns > 0 and self.heard_ns <= self.revoked_ns + _ON_THE_WAY_NS


class By(StrEnum):
    """What says that a device is there, or that it is not."""

    WORD = "own word"  # its last will, or a topic of its availability
    PARENT = "parent"  # the device through which it speaks is away
    EXPIRY = "expiry"  # the silence that its profile or message allows
    REVOKED = "revoked"  # it may speak no more; its last will was not let through either
    AGE = "age"  # nothing says anything, so when it was last heard


class Standing(NamedTuple):
    """Whether a device is there, and what says so."""

    online: bool
    by: By


class _Recalled(NamedTuple):
    """An "offline" that the broker had kept."""

    said_ns: int
    received_ns: int


class Presence:
    """The parents of devices and how long each may be silent; bounded.

    Attributes:
        parents: The device through which another speaks, by device.
        expires_s: Seconds of silence after which a device is away, by device.
    """

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        self.expires_s: dict[str, float] = {}
        self._recalled: dict[str, _Recalled] = {}

    def note(self, decoded: Decoded) -> None:
        """Take up what a message says of parents and silence."""
        for device, parent in (decoded.parents or {}).items():
            if device in self.parents or len(self.parents) < _MOST_DEVICES:
                self.parents[device] = parent
        device = decoded.device
        if decoded.expires_s is not None and (
            device in self.expires_s or len(self.expires_s) < _MOST_DEVICES
        ):
            self.expires_s[device] = decoded.expires_s

    def recall(self, decoded: Decoded, received_ns: int) -> None:
        """Take up what a retained message says: nobody knows how old it is."""
        for reading in decoded.readings:
            device = reading.device
            if reading.metric == ONLINE and (
                device in self._recalled or len(self._recalled) < _MOST_DEVICES
            ):
                self._recalled[device] = _Recalled(reading.time_ns, received_ns)

    def move(self, step_ns: int) -> None:
        """Move what the box stamped, as its clock is moved."""
        for device, (said_ns, received_ns) in self._recalled.items():
            own = said_ns != received_ns
            self._recalled[device] = _Recalled(
                said_ns if own else said_ns + step_ns, received_ns + step_ns
            )

    def standing(self, device: str, signs: dict[str, Sign], now_ns: int) -> Standing:
        """Say whether a device is there, and what says so.

        Its own "offline" counts whatever is heard of it afterwards: bridges repeat the values of
        devices that are gone. Only one that the broker had kept for nobody knows how long does
        not count any more once the device is heard. A device whose parent is away is away.

        Args:
            device: Its name.
            signs: What devices last said, by name.
            now_ns: Unix time.
        """
        own = self._own(device, signs, now_ns)
        if own is not None and not own.online:
            return own
        for parent in self._ancestors(device):
            said = self._own(parent, signs, now_ns)
            if said is not None and not said.online:
                return Standing(False, By.PARENT)
        if own is not None:
            return own
        sign = signs.get(device)
        return Standing(sign is not None and _within(sign, QUIET_S, now_ns), By.AGE)

    def away(self, device: str, signs: dict[str, Sign]) -> By | None:
        """Return who said that a device is away, itself or its parent; None: nobody did.

        Args:
            device: Its name.
            signs: What devices last said, by name; those that said nothing need not be there.
        """
        if self._says_away(device, signs):
            return By.WORD
        away = any(self._says_away(parent, signs) for parent in self._ancestors(device))
        return By.PARENT if away else None

    def _says_away(self, device: str, signs: dict[str, Sign]) -> bool:
        sign = signs.get(device)
        return sign is not None and sign.online is False and not self._is_refuted(device, sign)

    def _ancestors(self, device: str) -> Iterator[str]:
        for _ in range(_MOST_ANCESTORS):
            parent = self.parents.get(device)
            if parent is None:
                return
            yield parent
            device = parent

    def _own(self, device: str, signs: dict[str, Sign], now_ns: int) -> Standing | None:
        """Return what a device's word or the silence allowed to it says; None: neither is known."""
        sign = signs.get(device)
        if sign is None:
            return None
        if sign.is_revoked:
            return Standing(False, By.REVOKED)
        if self._says_away(device, signs):
            return Standing(False, By.WORD)
        limit_s = self.expires_s.get(device)
        if limit_s is not None and not _within(sign, limit_s, now_ns):
            return Standing(False, By.EXPIRY)
        if sign.online:
            return Standing(True, By.WORD)
        return None if limit_s is None else Standing(True, By.EXPIRY)

    def _is_refuted(self, device: str, sign: Sign) -> bool:
        """Say whether a device was heard after an "offline" that the broker had kept."""
        kept = self._recalled.get(device)
        if kept is None or kept.said_ns // 1000 != sign.said_ns // 1000:  # the store keeps µs
            return False
        return sign.heard_ns > kept.received_ns


def _within(sign: Sign, limit_s: float, now_ns: int) -> bool:
    return now_ns - sign.heard_ns <= limit_s * 1e9

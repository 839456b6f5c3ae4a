"""Whether devices are there: their own word, their parent's, and how long they have been silent."""

from typing import NamedTuple

from gateway.model import Decoded

_MOST_DEVICES = 20_000
_MOST_ANCESTORS = 8


class Sign(NamedTuple):
    """What a device last said of itself.

    Attributes:
        online: Its ``$online``; None: it has never said.
        said_ns: When it said so.
        heard_ns: When anything came from it.
    """

    online: bool | None
    said_ns: int
    heard_ns: int


class Presence:
    """The parents of devices and how long each may be silent; bounded.

    Attributes:
        parents: The device through which another speaks, by device.
        expires_s: Seconds of silence after which a device is away, by device.
    """

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        self.expires_s: dict[str, float] = {}

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

    def is_online(self, device: str, signs: dict[str, Sign], now_ns: int) -> bool | None:
        """Say whether a device is there; None: nothing speaks for either.

        Its word counts until it is heard again: a retained "offline" is older than the data that
        comes after it. A device whose parent is away is away.

        Args:
            device: Its name.
            signs: What devices last said, by name.
            now_ns: Unix time.
        """
        found: bool | None = None
        for _ in range(_MOST_ANCESTORS):
            own = self._own(device, signs.get(device), now_ns)
            if own is False:
                return False
            found = own if found is None else found
            parent = self.parents.get(device)
            if parent is None:
                break
            device = parent
        return found

    def _own(self, device: str, sign: Sign | None, now_ns: int) -> bool | None:
        if sign is None:
            return None
        limit_s = self.expires_s.get(device)
        if limit_s is not None:
            return now_ns - sign.heard_ns <= limit_s * 1e9 and sign.online is not False
        if sign.online is False and sign.heard_ns > sign.said_ns:
            return True
        return sign.online

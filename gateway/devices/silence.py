"""Who has fallen silent, and how much of it is told when many do at once."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from gateway.config import DevicesSection
from gateway.devices.rhythm import Rhythm

Label = Literal["silent", "back"]

MOST_TOLD = 20
"""Within `WITHIN_S`; what falls silent beyond it is told as one."""
WITHIN_S = 60.0
_IN_LONGEST = 3.0


class Change(NamedTuple):
    """What is to be told.

    Attributes:
        device: Its name; "" for the many that are told as one.
        devices: How many these are.
    """

    device: str
    label: Label
    devices: int = 1


def silent_after_s(rhythm: Rhythm, expires_s: float | None, policy: DevicesSection) -> float | None:
    """Return after how many seconds without a message a device counts as silent; None: never.

    Args:
        rhythm: How it usually speaks.
        expires_s: The silence that its profile allows, which wins; None: it says nothing of it.
        policy: ``[devices]`` of the configuration.
    """
    if expires_s is not None:
        return expires_s
    if not rhythm.is_regular(policy.learn_s):
        return None
    longest_s = max(policy.silent_factor * rhythm.mean_s, _IN_LONGEST * rhythm.longest_s)
    return max(policy.silent_least_s, longest_s)


class Silence:
    """Which changes are told, bounded; it knows no clock and no messages.

    Args:
        together: Devices whose silence was told as one before.

    Attributes:
        together: Devices whose silence is told as one.
        is_told: Whether it has been.
    """

    def __init__(self, together: Iterable[str] = ()) -> None:
        self.together = set(together)
        self.is_told = bool(self.together)
        self._told_s: deque[float] = deque(maxlen=MOST_TOLD)
        self._began_s = 0.0

    def look(
        self, now_s: float, silent: Mapping[str, bool | None], was: Callable[[str], bool]
    ) -> list[Change]:
        """Return what is to be told now.

        Args:
            now_s: Any clock that only goes forward.
            silent: Whether each device is silent; None: nobody can say, so nothing changes.
            was: Whether it was told that a device is silent, and not yet that it is back.
        """
        changes: list[Change] = []
        grown = False
        for name, is_silent in silent.items():
            if is_silent is False:
                self.together.discard(name)
                if was(name):
                    changes.append(Change(name, "back"))
            elif is_silent and name not in self.together and not was(name):
                if self._has_room(now_s):
                    self._told_s.append(now_s)
                    changes.append(Change(name, "silent"))
                else:
                    self._began_s = self._began_s or now_s
                    self.together.add(name)
                    grown = True
        return changes + self._as_one(now_s, grown=grown)

    def _has_room(self, now_s: float) -> bool:
        return len(self._told_s) < MOST_TOLD or now_s - self._told_s[0] > WITHIN_S

    def _as_one(self, now_s: float, *, grown: bool) -> list[Change]:
        """Tell of the many once they are all there; forget them once they are few.

        Those that are silent still are then told one by one.
        """
        if not self.is_told:
            if not self.together:
                self._began_s = 0.0
            elif not grown or now_s - self._began_s > WITHIN_S:
                self.is_told = True
                return [Change("", "silent", len(self.together))]
            return []
        if len(self.together) > MOST_TOLD or not self._has_room(now_s):
            return []
        few = len(self.together)
        self.together.clear()
        self.is_told, self._began_s = False, 0.0
        return [Change("", "back", few)]

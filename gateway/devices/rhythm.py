"""How often a device usually speaks, learned while it behaves."""

from dataclasses import dataclass

KNOWN_S = 60.0
"""Observed for so long, a device's rate counts as its usual one."""
_AVERAGE_S = 4 * 3600.0
_GAPS = 256
_LONGEST_IN_MEANS = 3.0
_LEAST_GAPS = 30
_PAUSE_S = 60.0
_PAUSE_IN_MEANS = 10.0


@dataclass(slots=True)
class Rhythm:
    """A slow average of a device's rate, and of the gaps between the moments at which it speaks.

    What it sends within a second or so is one moment.

    Attributes:
        usual_hz: Messages per second while it speaks; long pauses do not lower it.
        observed_s: Of how long that is the average.
        mean_s: Average gap.
        longest_s: Longest gap of late; it fades.
        gaps: How many were learned, up to 256.
    """

    usual_hz: float = 0.0
    observed_s: float = 0.0
    mean_s: float = 0.0
    longest_s: float = 0.0
    gaps: int = 0

    def learn(self, messages: int, gap_s: float) -> None:
        """Take up that some messages came, so long after the last ones."""
        if gap_s <= 0:
            return
        if gap_s <= max(_PAUSE_S, _PAUSE_IN_MEANS * self.mean_s):
            self.observed_s = min(self.observed_s + gap_s, _AVERAGE_S)
            weight = min(1.0, gap_s / self.observed_s)
            self.usual_hz += (messages / gap_s - self.usual_hz) * weight
        self.gaps = min(self.gaps + 1, _GAPS)
        self.mean_s += (gap_s - self.mean_s) / self.gaps
        fading_s = self.longest_s - (self.longest_s - self.mean_s) / _GAPS
        self.longest_s = max(gap_s, fading_s)

    @property
    def is_known(self) -> bool:
        """Say whether the rate is its usual one."""
        return self.observed_s >= KNOWN_S

    def is_regular(self, learn_s: float) -> bool:
        """Say whether its silence means something: no gap of late was much longer than the others.

        A device that reports on change has gaps of all lengths.

        Args:
            learn_s: For so long it must have been observed.
        """
        return (
            self.gaps >= _LEAST_GAPS
            and self.observed_s >= learn_s
            and self.longest_s <= _LONGEST_IN_MEANS * self.mean_s
        )

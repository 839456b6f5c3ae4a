"""A system whose clocks a test sets."""

from dataclasses import dataclass

from gateway.clock import MADE_NS, Sample

SECOND = 10**9
DAY = 86_400 * SECOND
YEAR = 365 * DAY
NOW = MADE_NS + 10 * YEAR


@dataclass
class FakeSystem:
    """The clocks of a system.

    Attributes:
        wall_ns: What its clock says.
        since_boot_ns: For how long it is up.
        synced: Whether somebody keeps its clock.
        boot_id: What names this boot.
    """

    wall_ns: int = NOW
    since_boot_ns: int = 100 * SECOND
    synced: bool | None = False
    boot_id: str = "boot-1"

    def pass_s(self, seconds: float) -> None:
        self.wall_ns += int(seconds * SECOND)
        self.since_boot_ns += int(seconds * SECOND)

    def reboot(self, off_s: float, wall_ns: int | None = None) -> None:
        self.boot_id += "'"
        self.since_boot_ns = 5 * SECOND
        self.wall_ns = self.wall_ns + int(off_s * SECOND) if wall_ns is None else wall_ns

    def up_ns(self) -> int:
        return self.since_boot_ns

    def sample(self) -> Sample:
        return Sample(self.wall_ns, self.since_boot_ns, self.synced)

    def boot(self) -> str:
        return self.boot_id

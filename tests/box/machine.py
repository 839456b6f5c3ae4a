"""What a test asks of a box, whatever it is made of."""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

UNITS = ("weir-leaf", "weir-mqtt", "weir-gateway")
HOST_NAME = "clean-box"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "COLUMNS": "200",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
}


class BoxError(Exception):
    """A box did not do what it was told; the text holds what it said."""


class SkipBox(Exception):  # noqa: N818 - not an error: this machine cannot run such a box
    """This machine cannot run such a box, and why."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command in the box came to.

    Attributes:
        code: Its exit code.
        text: Standard output and standard error.
    """

    code: int
    text: str


class Machine(Protocol):
    """A box that runs systemd.

    Attributes:
        arch: Debian's name of its architecture.
        outside: The address under which the box reaches the tests.
        slowness: What takes a second elsewhere may take this many here.
    """

    arch: str
    outside: str
    slowness: float

    def start(self) -> float:
        """Start it and return after how many seconds systemd was there."""

    def call(self, command: str, limit_s: float = 60.0) -> Said:
        """Run a line of shell as root."""

    def put(self, file: Path, folder: str) -> None:
        """Copy a file or folder of this machine into a folder of the box."""

    def get(self, file: str, to: Path) -> None:
        """Copy a file of the box to this machine."""

    def device_address(self, port: int) -> tuple[str, int]:
        """Return where the tests reach a port of the box."""

    def reboot(self) -> float:
        """Restart it in order and return after how many seconds systemd was there again."""

    def cut_power(self) -> float:
        """End it without a word, start it, and return the same."""

    def stop(self) -> None:
        """End it and remove what it was made of; may be called twice."""


def run(box: Machine, command: str, limit_s: float = 60.0) -> str:
    """Run a line of shell as root and return what it printed.

    Raises:
        BoxError: It failed.
    """
    said = box.call(command, limit_s * box.slowness)
    if said.code:
        raise BoxError(f"{command}: exit code {said.code}\n{said.text[-4000:]}")
    return said.text


def wait(what: str, done: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> float:
    """Wait until ``done`` gives something true, and return how many seconds that took.

    Raises:
        BoxError: It took longer than ``limit_s``.
    """
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > limit_s:
            raise BoxError(f"{what}: not within {limit_s:.0f} s")
        time.sleep(pause_s)
    return time.monotonic() - began


def write(box: Machine, path: str, text: str) -> None:
    """Write a small text file in the box."""
    run(box, f"printf %s {shlex.quote(text)} > {path}")

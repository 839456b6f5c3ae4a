"""A later version of our package, made from the one that was built."""

import re
import subprocess
from pathlib import Path

from tests.box.machine import BoxError

CONFFILE = "etc/weir/gateway.toml"
NEW_LINE = "# A line that came with the later version."


def later(deb: Path, folder: Path, suffix: str = "+later1") -> Path:
    """Return the same package with a higher version and a changed conffile.

    Args:
        deb: weir-gateway as it was built.
        folder: Where the new one is put.
        suffix: Appended to its version.
    """
    root = folder / "later"
    _run("dpkg-deb", "--raw-extract", str(deb), str(root))
    control = root / "DEBIAN/control"
    text = control.read_text()
    found = re.search(r"^Version: (.+)$", text, re.MULTILINE)
    if found is None:
        raise BoxError(f"{deb.name} has no version")
    control.write_text(text.replace(found[0], found[0] + suffix))
    with (root / CONFFILE).open("a") as conffile:
        conffile.write(f"{NEW_LINE}\n")
    made = folder / f"weir-gateway_{found[1]}{suffix}_all.deb"
    _run("dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", str(root), str(made))
    _run("rm", "-rf", str(root))
    return made


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BoxError(f"{' '.join(command)}\n{done.stderr[-3000:]}")

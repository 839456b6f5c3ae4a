"""Cut one Python's and one machine's requirements out of the universal lock.

pip evaluates the lock's markers with the Python that runs it, which here is the build machine's:
`python3 target_lock.py run.txt 3.13 aarch64` evaluates them as the target would.
"""

import sys
from pathlib import Path

from pip._vendor.packaging.markers import Marker


def cut(lock: str, python: str, machine: str) -> str:
    """Return the requirements that hold for a target, without markers.

    Args:
        lock: As `uv pip compile --universal --generate-hashes --no-annotate` writes it.
        python: Such as 3.13.
        machine: As `uname -m` says it.
    """
    target = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    kept, wanted = [], False
    for line in lock.splitlines():
        if not line.startswith((" ", "#")):
            pin, _, marker = line.removesuffix("\\").partition(";")
            wanted = not marker.strip() or Marker(marker.strip()).evaluate(target)
            line = f"{pin.strip()} \\"  # noqa: PLW2901 - the same line without its marker
        if wanted:
            kept.append(line)
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    sys.stdout.write(cut(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2], sys.argv[3]))

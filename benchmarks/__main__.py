"""All measurements behind the README's figures: ``make bench``, or one by name.

python -m benchmarks [profiles] [skab] [path] [ceiling] [cameras] [noisy]
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import cameras, noisy, path, profiles, skab

_ROOT = Path(__file__).parents[1]
_DATA = Path(os.environ.get("SHARED_DATA", _ROOT.parent / "shared")) / "data"


def _skab() -> None:
    skab.main(_DATA / "skab")


def _path() -> None:
    path.main([1000, 5000, 10_000])
    path.main([1000, 5000], every=True)
    mosquitto = _mosquitto()
    if mosquitto:
        path.main([1000, 5000, 10_000], mosquitto)


def _ceiling() -> None:
    path.ceiling(_mosquitto())


def _mosquitto() -> str:
    unpacked = _ROOT / ".tools" / "bin" / "mosquitto"
    return str(unpacked) if unpacked.exists() else shutil.which("mosquitto") or ""


MEASUREMENTS: dict[str, Callable[[], None]] = {
    "profiles": profiles.main,
    "skab": _skab,
    "path": _path,
    "ceiling": _ceiling,
    "cameras": cameras.main,
    "noisy": noisy.measure,
}


def main() -> int:
    """Run the measurements named, or all."""
    names = sys.argv[1:] or list(MEASUREMENTS)
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    print(path.machine())
    for name in names:
        print(f"\n== {name}", flush=True)
        MEASUREMENTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())

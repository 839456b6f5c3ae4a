"""Build a clean box, take it through its life, and tell: ``python -m tests.box amd64``."""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.box.limits import enforce

from tests.box import images, nspawn, vm
from tests.box.lifecycle import Record, live
from tests.box.machine import BoxError, Machine, SkipBox, run
from tests.box.outside import Hub
from tests.box.small import strain

AnyMachine = TypeVar("AnyMachine", bound=Machine)
SKIPPED = 77
DIST = Path(__file__).parents[2] / "dist"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    images.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=images.CACHE) as folder:
        yield Path(folder)


def amd64(dist: Path) -> Record:
    """Run the life cycle in systemd-nspawn."""
    nspawn.can_run()
    debs = images.packages(dist, "amd64")
    base = images.base("amd64", debs)
    with _folder() as folder, _running(nspawn.Nspawn(base, folder)) as box:
        _bring(box, debs)
        with _hub(folder, box.outside) as hub:
            return live(box, hub, debs, folder)


def arm64(dist: Path) -> Record:
    """Run the life cycle on an emulated board."""
    vm.can_run(vm.ARM64)
    debs = images.packages(dist, "arm64")
    base = images.base("arm64", debs, kernel=True)
    with (
        _folder() as folder,
        _running(vm.Vm(vm.ARM64, base, debs, folder)) as box,
        _hub(folder, "127.0.0.1", box.outside) as hub,
    ):
        return live(box, hub, debs, folder, rate_hz=8.0)


def small(dist: Path) -> Record:
    """Load a box with 1 GB and 2 cores."""
    nspawn.can_run()
    debs = images.packages(dist, "amd64")
    box = partial(nspawn.Nspawn, images.base("amd64", debs), memory_mb=1024)
    os.sched_setaffinity(0, {0, 1})
    with _folder() as folder, _running(box(folder)) as made:
        _bring(made, debs)
        with _hub(folder, made.outside) as hub:
            return strain(made, hub, debs, folder)


def limits(dist: Path) -> Record:
    """See that a box of 1 GB with a kernel of its own holds the units to their limits."""
    vm.can_run(vm.AMD64)
    debs = images.packages(dist, "amd64")
    base = images.base("amd64", debs, kernel=True)
    with (
        _folder() as folder,
        _running(vm.Vm(vm.AMD64, base, debs, folder, memory_mb=1024)) as box,
        _hub(folder, "127.0.0.1", box.outside) as hub,
    ):
        return enforce(box, hub, debs, folder)


def _bring(box: Machine, debs: list[Path]) -> None:
    run(box, "mkdir /debs")
    for deb in debs:
        box.put(deb, "/debs")


@contextlib.contextmanager
def _running(box: AnyMachine) -> Iterator[AnyMachine]:
    try:
        took_s = box.start()
        print(f"  a clean Debian 12, {box.arch}, runs after {took_s:.1f} s", flush=True)  # noqa: T201
        yield box
    finally:
        box.stop()


@contextlib.contextmanager
def _hub(folder: Path, host: str, seen_as: str = "") -> Iterator[Hub]:
    hub = Hub(folder / "hub", host, seen_as)
    try:
        yield hub
    finally:
        hub.stop()


KINDS = {"amd64": amd64, "arm64": arm64, "small": small, "limits": limits}


def main() -> int:
    """Run one kind of box; return 0, 1 for faults, or `SKIPPED` where none can run."""
    parser = argparse.ArgumentParser(prog="python -m tests.box", description=__doc__)
    parser.add_argument("kind", choices=(*KINDS, "ready"), help="ready: can amd64 run here?")
    parser.add_argument("--dist", type=Path, default=DIST, help="where the packages lie")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        if options.kind == "ready":
            nspawn.can_run()
            return 0
        record = KINDS[options.kind](options.dist)
    except SkipBox as exc:
        print(exc)  # noqa: T201
        return SKIPPED
    except BoxError as exc:
        print(f"FAILED: {exc}")  # noqa: T201
        return 1
    for fault in record.faults:
        print(f"FAULT: {fault}")  # noqa: T201
    print(f"{len(record.faults)} faults; {time.monotonic() - began:.0f} s")  # noqa: T201
    return 1 if record.faults else 0


if __name__ == "__main__":
    sys.exit(main())

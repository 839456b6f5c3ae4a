"""The machine under the gateway: processor, Python, memory."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn
from gateway.processor import refusal

_COMPILED = ("numpy", "duckdb", "onnxruntime", "openvino", "orjson", "uvloop", "pydantic_core")
_SMALL_BYTES = 900_000_000
_CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")


def processor(_: Box) -> Iterator[Finding]:
    """Tell whether the processor has the instructions that the libraries need."""
    why = refusal()
    yield fail(why, "run it on another machine") if why else ok("the processor has what is needed")


def python(_: Box) -> Iterator[Finding]:
    """Tell whether the libraries are there, and made for this Python."""
    running = f"{sys.version_info.major}{sys.version_info.minor}"
    wrong = [problem for name in _COMPILED if (problem := _misfit(name, running))]
    if wrong:
        yield fail(
            f"libraries do not fit Python {sys.version.split()[0]}: {'; '.join(wrong)}",
            "install weir-runtime for this release of the distribution (apt install weir-runtime)",
        )
    else:
        yield ok(f"Python {sys.version.split()[0]}, and the libraries are made for it")


def _misfit(name: str, running: str) -> str:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not there"
    return misfit(name, found.read_text("WHEEL") or "", running)


def misfit(name: str, wheel: str, running: str) -> str:
    """Return why a library does not fit; "" when it does.

    Args:
        name: Of the library.
        wheel: Its ``WHEEL`` file: a line ``Tag: cp311-cp311-manylinux...`` for each platform.
        running: Version of Python, as ``311``.
    """
    tags = [line.removeprefix("Tag: ") for line in wheel.splitlines() if line.startswith("Tag: ")]
    if not tags or any(_fits(tag, running) for tag in tags):
        return ""
    return f"{name} is made for {tags[0].split('-')[0]}"


def _fits(tag: str, running: str) -> bool:
    python, _, rest = tag.partition("-")
    return python.startswith("py3") or python == f"cp{running}" or rest.startswith("abi3")


def memory(_: Box) -> Iterator[Finding]:
    """Tell how much memory there is, and whether the kernel can bound what a unit takes."""
    total = psutil.virtual_memory()
    shown = f"{total.available / 1e6:,.0f} of {total.total / 1e6:,.0f} MB of memory are free"
    if total.total < _SMALL_BYTES:
        yield warn(f"{shown}: less than the 1 GB that it is made for", "few plugins, no cameras")
    else:
        yield ok(shown)
    try:
        controllers = _CONTROLLERS.read_text(encoding="ascii").split()
    except OSError:
        yield unseen("memory limits of units: there is no cgroup v2 here", "")
        return
    yield limits(controllers)


def limits(controllers: list[str]) -> Finding:
    """Return whether units' memory limits count."""
    if "memory" in controllers:
        return ok("the kernel bounds the memory of units")
    return warn(
        "the kernel does not bound memory: a plugin that eats all of it takes the box with it",
        "on a Raspberry Pi add cgroup_enable=memory to the line in /boot/firmware/cmdline.txt "
        "(or /boot/cmdline.txt), and reboot",
    )

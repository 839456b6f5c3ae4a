"""Whether this processor has what the libraries were compiled for.

A library that meets an instruction it lacks ends the process with SIGILL and says nothing: this is
asked before any of them is imported, so it imports none.
"""

import platform
from pathlib import Path

_X86_64_V2 = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"})
"""The level x86-64-v2 of the System V ABI in the words of Linux (`pni` is SSE3): NumPy's least."""

_CPUINFO = Path("/proc/cpuinfo")


def lacking(cpuinfo: str) -> list[str]:
    """Return the features of x86-64-v2 that a processor does not have, sorted.

    Args:
        cpuinfo: As Linux has it in ``/proc/cpuinfo``; one without a line of flags lacks nothing.
    """
    for line in cpuinfo.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return sorted(_X86_64_V2 - set(flags.split()))
    return []


def refusal() -> str:
    """Return why this machine cannot run Weir, or nothing."""
    if platform.machine() != "x86_64":  # each aarch64 that Debian runs on has what is needed
        return ""
    try:
        missing = lacking(_CPUINFO.read_text(encoding="utf-8"))
    except OSError:
        return ""  # nothing known against it
    if not missing:
        return ""
    return (
        f"this processor lacks {', '.join(missing)}. Weir's libraries are made for x86-64-v2: "
        "Intel since 2009, AMD since 2011. In a virtual machine, give it the host's processor "
        "(QEMU: -cpu host)"
    )

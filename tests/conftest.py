"""What lies outside the repository or has to be fetched: given where it is there, else skipped."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

Weir = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """Return the Mosquitto that tests/get-mosquitto.sh found or made."""
    for program in (ROOT / ".tools/bin/mosquitto", Path("/usr/sbin/mosquitto")):
        if program.is_file():
            return str(program)
    reason = ROOT / ".tools/mosquitto-missing.txt"
    said = reason.read_text().strip() if reason.is_file() else "run tests/get-mosquitto.sh"
    pytest.skip(said)


@pytest.fixture(scope="session")
def faketime() -> str:
    """Return the library of libfaketime that tests/get-faketime.sh found or made."""
    library = ROOT / ".tools/lib/libfaketimeMT.so.1"
    if library.is_file():
        return str(library)
    reason = ROOT / ".tools/faketime-missing.txt"
    pytest.skip(reason.read_text().strip() if reason.is_file() else "run tests/get-faketime.sh")


@pytest.fixture(scope="session")
def gst_python() -> str:
    """Return the Python with GStreamer's RTSP server that tests/get-gstreamer.sh made."""
    program = ROOT / ".tools/bin/gst-python"
    if program.is_file():
        return str(program)
    reason = ROOT / ".tools/gstreamer-missing.txt"
    pytest.skip(reason.read_text().strip() if reason.is_file() else "run tests/get-gstreamer.sh")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the real data is not beside this repository")
    return folder


@pytest.fixture(scope="session")
def weir() -> Weir:
    """Return a function that runs a command of `weir` as a user would."""

    def run(*arguments: str, limit_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "300"},
        )

    return run

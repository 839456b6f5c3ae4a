"""The process in which one plugin lives.

``python -m gateway.inference.worker FOLDER FD PARENT MB FRAMES`` loads the plugin, says ``ready``
(with the size of its pictures) or ``refused`` on the socket FD, then answers batches until the
socket closes. FRAMES is the descriptor of the memory for pictures, or -1. Whatever the plugin does
to this process, it does to no other.
"""

import ctypes
import faulthandler
import math
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.errors import PluginError
from gateway.inference.detector import Detector
from gateway.inference.hook import load_hook
from gateway.inference.manifest import MAX_NUMBERS, Manifest, load_manifest
from gateway.inference.models import load_model
from gateway.inference.rounds import Evaluate, evaluate_in_rounds
from gateway.inference.wire import (
    FrameReader,
    frame,
    pack_results,
    unpack_windows,
)
from gateway.model import Result, Windows

Answer = Callable[[Any], list[Result]]
"""Turns the body of a call into results."""

EXIT_MEMORY = 78
"""Exit code of a worker whose plugin asked for more memory than it may have."""
RESERVED_MB = 128
"""Address space that is writable and not resident: thread stacks, arenas, OpenBLAS buffers."""
MAX_STATE_BYTES = 1_000_000
NICENESS = 5
OOM_SCORE = 300  # of 1000, which is all of the memory; one may raise it and never lower it again
_PR_SET_PDEATHSIG = 1
_PIECE_BYTES = 1 << 18


def main(argv: list[str]) -> None:
    """Run a worker until its socket closes.

    Args:
        argv: The plugin's folder, the socket's descriptor, the parent's process id, the memory
            limit in MB, the descriptor of the memory for pictures.
    """
    folder, descriptor, parent, memory_mb, frames = argv
    _confine(int(parent), int(memory_mb))
    with socket.socket(fileno=int(descriptor)) as channel:
        try:
            _serve(channel, Path(folder), int(frames))
        except MemoryError:
            traceback.print_exc()
            os._exit(EXIT_MEMORY)
        except ConnectionError:
            return  # the gateway is gone


def _confine(parent: int, memory_mb: int) -> None:
    """Take care that this process outlives nobody, leaves no core file and yields to the rest."""
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the gateway stops it, after the last batch
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the gateway ended while this process started")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data_bytes = (memory_mb + RESERVED_MB) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    os.nice(NICENESS)
    _offer()


def _offer() -> None:
    """Have the kernel end this process before the gateway when memory runs out.

    The unit's OOMScoreAdjust, which keeps the gateway, is inherited.
    """
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError):  # where there is no /proc the kernel chooses by size, as it would
        if int(score.read_text()) < OOM_SCORE:
            score.write_text(str(OOM_SCORE))


def _serve(channel: socket.socket, folder: Path, frames: int) -> None:
    try:
        manifest = load_manifest(folder)
        answer, size = _looking(manifest, frames) if manifest.wants_frames else _sensing(manifest)
    except PluginError as exc:
        channel.sendall(frame(0, "refused", [exc.file, exc.field, exc.reason]))
        return
    channel.sendall(frame(0, "ready", size))
    reader = FrameReader()
    while piece := channel.recv(_PIECE_BYTES):
        for number, _, body in reader.feed(piece):
            channel.sendall(_answered(number, body, answer, manifest))


def _sensing(manifest: Manifest) -> tuple[Answer, None]:
    evaluate = load_plugin(manifest)
    return lambda body: evaluate(*unpack_windows(body)), None


def _looking(manifest: Manifest, frames: int) -> tuple[Answer, tuple[int, int]]:
    """Return what answers calls of frames, and the size of the pictures that it wants."""
    # Importing OpenCV takes 40 MB that a plugin of windows need not have.
    from gateway.inference.looking import looking  # noqa: PLC0415

    return looking(manifest, frames)


def load_plugin(manifest: Manifest) -> Evaluate:
    """Load a plugin's model and code, and return what evaluates its windows.

    Raises:
        PluginError: The model or the code does not load, or does not fit the manifest.
    """
    model = load_model(manifest)
    if not manifest.has_code:
        detector = Detector(model, manifest)
        return lambda windows, _: detector.evaluate(windows)
    hook = load_hook(model, manifest)

    def evaluate(windows: Windows, states: list[bytes | None]) -> list[Result]:
        return evaluate_in_rounds(hook.evaluate, windows, states)

    return evaluate


def _answered(number: int, body: Any, answer: Answer, manifest: Manifest) -> bytes:  # noqa: ANN401
    try:
        results = answer(body)
        check_results(results, manifest)
        return frame(number, "results", pack_results(results))
    except MemoryError:
        raise
    except Exception as exc:  # noqa: BLE001 - the plugin's own call ends here
        traceback.print_exc()
        return frame(number, "error", f"{type(exc).__name__}: {exc}"[:2000])


def check_results(results: list[Result], manifest: Manifest) -> None:
    """Refuse results that could not become an outcome.

    Raises:
        ValueError, TypeError: With what is wrong.
    """
    for r in results:
        if not isinstance(r, Result):
            raise TypeError(f"evaluate gave a {type(r).__name__}, not a Result")
        if r.label not in manifest.outcome.labels:
            raise ValueError(f"label {r.label!r} is not among outcome.labels")
        if not math.isfinite(r.score):
            raise ValueError(f"score {r.score} is not finite")
        if r.confidence is not None and not 0 <= r.confidence <= 1:
            raise ValueError(f"confidence {r.confidence} is not within 0 to 1")
        if len(r.numbers) > MAX_NUMBERS or not all(map(math.isfinite, r.numbers.values())):
            raise ValueError(f"numbers {r.numbers} are over {MAX_NUMBERS} or not finite")
        if r.state is not None and len(r.state) > MAX_STATE_BYTES:
            raise ValueError(f"a state of {len(r.state)} bytes is over {MAX_STATE_BYTES}")


if __name__ == "__main__":
    main(sys.argv[1:])

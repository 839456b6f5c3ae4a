"""A real RTSP server (GStreamer's) that can be killed, frozen, damaged and cut off, for tests.

    with RtspServer(program, file=clip) as server:
        look_at(server.url())

`program` is what tests/get-gstreamer.sh makes. See `tests.rtsp_process` for the other end.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import psutil
from numpy.typing import NDArray

ROW_BITS, ROWS, ROWS_IN_HEIGHT = 24, 2, 24
_START_S = 15.0


class RtspServer:
    """A server with one or more streams, all alike, on a free port of the loopback.

    Args:
        program: The `gst-python`.
        file: An .mp4 of H.264 that is passed through as it is; None: pictures are made.
        raw: I420 pictures of ``size`` in a file, one after the other, coded and played for ever.
        codec: ``h264``, ``h265`` or ``mjpeg``, of made pictures.
        size: Width and height of made pictures, px.
        fps: Pictures per second, of a file as well.
        loop: Begin a file again at its end.
        clock: Burn the sender's time into made pictures; see `read_clock`.
        streams: How many there are; see `url`.
        user, password: What clients must say; "": nothing.
        digest: They say it by digest, not basic.
        kbit: Bits per second / 1000 of made pictures.
    """

    def __init__(
        self,
        program: str,
        *,
        file: Path | None = None,
        raw: Path | None = None,
        codec: str = "h264",
        size: tuple[int, int] = (640, 360),
        fps: float = 10.0,
        loop: bool = True,
        clock: bool = True,
        streams: int = 1,
        user: str = "",
        password: str = "",
        digest: bool = False,
        kbit: int = 4000,
    ) -> None:
        self._program = program
        self._settings = {
            "file": str(file) if file else "", "raw": str(raw) if raw else "", "codec": codec,
            "size": size, "fps": fps, "loop": loop, "clock": clock, "streams": streams,
            "user": user, "password": password, "digest": digest, "kbit": kbit,
            "port": free_port(),
        }  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    @property
    def port(self) -> int:
        """Return the port, the same after each start."""
        return int(str(self._settings["port"]))

    def url(self, number: int = 1, *, port: int = 0, secret: bool = True) -> str:
        """Return the address of a stream, from 1, with user and password where there are such.

        Args:
            number: The stream.
            port: Another port, of a `Wire` to this server.
            secret: With user and password.
        """
        user, password = self._settings["user"], self._settings["password"]
        who = f"{user}:{password}@" if user and secret else ""
        return f"rtsp://{who}127.0.0.1:{port or self.port}/stream{number}"

    def start(self, **changed: object) -> Self:
        """Start it, again or for the first time, with settings changed.

        Raises:
            RuntimeError: It does not start.
        """
        self._settings.update(changed)
        source = Path(__file__).with_name("rtsp_process.py")
        self._process = subprocess.Popen(
            [self._program, str(source), json.dumps(self._settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},  # that an identity is no payloader
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.kill()
            raise RuntimeError("the RTSP server did not start")
        return self

    def process(self) -> psutil.Process:
        """Return the process that is running."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def kill(self) -> None:
        """End it at once, as a camera that loses its power."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_START_S)
            for end in (process.stdin, process.stdout):
                if end is not None:
                    end.close()

    def freeze(self, *, frozen: bool = True) -> None:
        """Send the same picture again and again, or no longer."""
        self._tell(freeze=frozen)

    def corrupt(self, flip: float = 0.0, drop: float = 0.0) -> None:
        """Damage what is sent: share of bytes in which a bit is turned, share of packets lost."""
        self._tell(flip=flip, drop=drop)

    def resize(self, width: int, height: int) -> None:
        """Go on in another size, in the middle of the stream (made pictures only)."""
        self._settings["size"] = (width, height)
        self._tell(size=(width, height))

    def _tell(self, **order: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class Wire:
    """A TCP connection to a server that can be cut, or on which bytes vanish."""

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._open = True
        self._passing = threading.Event()
        self._passing.set()
        self._ends: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close all connections and refuse others."""
        self._open = False
        self._close_all()

    def stall(self) -> None:
        """Keep connections open and pass nothing on, neither way."""
        self._passing.clear()

    def restore(self) -> None:
        """Pass everything again; what vanished is gone."""
        self._open = True
        self._passing.set()

    def close(self) -> None:
        """Close it for good."""
        self.cut()
        self._passing.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                if not self._open:
                    raise ConnectionRefusedError
                far = socket.create_connection(self._target, 2.0)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._ends |= {near, far}
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if self._passing.is_set():
                    sink.sendall(data)
        except OSError:
            pass  # the other direction ended
        finally:
            for end in (source, sink):
                _shut(end)
                end.close()
                self._ends.discard(end)

    def _close_all(self) -> None:
        for end in list(self._ends):
            _shut(end)


def _shut(end: socket.socket) -> None:
    """End a connection; closing alone would wait for whoever still reads from it."""
    with contextlib.suppress(OSError):  # it is closed
        end.shutdown(socket.SHUT_RDWR)


def read_clock(image: NDArray[np.uint8]) -> int | None:
    """Return the time burnt into a picture, Unix ms, or None if it cannot be read.

    Args:
        image: uint8 [height, width, 3].
    """
    height, width = image.shape[:2]
    columns = (np.arange(ROW_BITS) * 2 + 1) * width // (2 * ROW_BITS)
    word = 0
    for row in range(ROWS):
        levels = image[(2 * row + 1) * height // (2 * ROWS_IN_HEIGHT), columns, 1]
        for level in levels.tolist():
            word = word << 1 | (level > 127)
    ms, check = word >> 6, word & 63
    return ms if ms % 61 == check and ms else None


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port

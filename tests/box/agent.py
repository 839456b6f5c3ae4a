"""Speaks to QEMU's guest agent: commands and files, without a network and without a login."""

import base64
import json
import socket
import time
from pathlib import Path
from typing import Any

from tests.box.machine import ENVIRONMENT, BoxError, Said

_PIECE_BYTES = 512 * 1024
_ANSWER_S = 60.0


class Agent:
    """The agent behind a virtio port.

    Args:
        path: The socket that QEMU made for the port.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""

    def answers(self) -> bool:
        """Say whether it is there; for the start, so it does not wait long."""
        try:
            self._ask("guest-ping", limit_s=2.0)
        except (OSError, BoxError):
            self.close()
            return False
        return True

    def call(self, command: str, limit_s: float) -> Said:
        """Run a line of shell as root.

        Raises:
            BoxError: It takes longer than ``limit_s``, or the agent is gone.
        """
        started = self._ask(
            "guest-exec",
            path="/bin/sh",
            arg=["-c", f"exec 2>&1 </dev/null; {command}"],
            env=[f"{name}={value}" for name, value in ENVIRONMENT.items()],
            capture_output=True,
        )
        until, pause_s = time.monotonic() + limit_s, 0.01
        while time.monotonic() < until:
            found = self._ask("guest-exec-status", pid=started["pid"])
            if found["exited"]:
                text = base64.b64decode(found.get("out-data", "")).decode(errors="replace")
                return Said(found.get("exitcode", 128 + found.get("signal", 0)), text)
            time.sleep(pause_s)
            pause_s = min(0.5, pause_s * 1.5)
        raise BoxError(f"{command}: longer than {limit_s:.0f} s")

    def put(self, file: Path, where: str) -> None:
        """Write a file of this machine to a path in the box."""
        handle = self._ask("guest-file-open", path=where, mode="w")
        content = file.read_bytes()
        for at in range(0, len(content), _PIECE_BYTES):
            piece = base64.b64encode(content[at : at + _PIECE_BYTES]).decode()
            self._ask("guest-file-write", handle=handle, buf_b64=piece)
        self._ask("guest-file-close", handle=handle)

    def get(self, where: str, to: Path) -> None:
        """Write a file of the box to this machine."""
        handle = self._ask("guest-file-open", path=where, mode="r")
        with to.open("wb") as out:
            while True:
                found = self._ask("guest-file-read", handle=handle, count=_PIECE_BYTES)
                out.write(base64.b64decode(found["buf-b64"]))
                if found["eof"]:
                    break
        self._ask("guest-file-close", handle=handle)

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
        self._socket = None
        self._rest = b""

    def _ask(self, what: str, *, limit_s: float = _ANSWER_S, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(limit_s)
            self._socket.connect(str(self._path))
            self._sync()
        self._socket.settimeout(limit_s)
        said = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._send({"execute": what, "arguments": said})
        answer = self._receive()
        if "error" in answer:
            raise BoxError(f"{what}: {answer['error'].get('desc')}")
        return answer["return"]

    def _sync(self) -> None:
        """Have the agent forget what was said before, and skip what it had answered."""
        mark = time.monotonic_ns() % 2**31
        assert self._socket is not None
        self._socket.sendall(b"\xff")
        self._send({"execute": "guest-sync-delimited", "arguments": {"id": mark}})
        while self._receive().get("return") != mark:
            pass

    def _send(self, document: dict[str, Any]) -> None:
        assert self._socket is not None
        self._socket.sendall(json.dumps(document).encode() + b"\n")

    def _receive(self) -> Any:  # noqa: ANN401 - any JSON
        assert self._socket is not None
        while b"\n" not in self._rest:
            got = self._socket.recv(1 << 20)
            if not got:
                raise BoxError("the agent hung up")
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line.rpartition(b"\xff")[2])

"""A web camera for tests: an MJPEG stream and snapshots, with all that can go wrong.

with WebCamera() as camera:
    look_at(camera.url("/stream"))
"""

import base64
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

REALM, NONCE, BOUNDARY = "camera", "5f2c", "--weir picture"
USER = "user"


class WebCamera:
    """Serves ``/stream`` and ``/snapshot`` on a free port of the loopback.

    Attributes:
        size: Width and height of the pictures, px.
        fps: Pictures per second of the stream.
        password: That of `USER`; "": none is asked for.
        digest: It is asked for by digest, not basic.
        lengths: The parts of the stream have a Content-Length.
        broken: Pictures break off in the middle, and the connection with them.
        torn: Pictures lack their second half, and the stream goes on.
        stalled: Nothing is sent, and connections stay open.
        frozen: The picture is always the same.
        requests: How many there were.
        headers: Authorization headers that came.
    """

    def __init__(self, *, password: str = "", digest: bool = False) -> None:
        self.size = (320, 240)
        self.fps = 20.0
        self.password, self.digest = password, digest
        self.lengths = True
        self.broken = self.torn = self.stalled = self.frozen = False
        self.requests = 0
        self.headers: list[str] = []
        self._number = 0
        self._open = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def url(self, path: str = "/stream", user: str = "") -> str:
        """Return an address, the same after each start."""
        return f"http://{user and user + '@'}127.0.0.1:{self._port}{path}"

    def start(self) -> Self:
        """Serve, again or for the first time."""
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # the client went away

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._open.set()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """End it, with all connections."""
        self._open.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def picture(self) -> bytes:
        """Return the next picture."""
        self._number += not self.frozen
        return jpeg(self.size, self._number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        if not self._may(request):
            request.send_response(401)
            how = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth"'
            offer = how if self.digest else f'Basic realm="{REALM}"'
            request.send_header("WWW-Authenticate", offer)
            request.end_headers()
        elif request.path.startswith("/stream"):
            self._stream(request)
        elif request.path.startswith("/snapshot"):
            self._snapshot(request)
        elif request.path.startswith("/page"):
            request.send_response(200)
            request.send_header("Content-Type", "text/html")
            request.end_headers()
            request.wfile.write(b"<html>log in</html>")
        else:
            request.send_error(404)

    def _snapshot(self, request: BaseHTTPRequestHandler) -> None:
        picture = self.picture()
        request.send_response(200)
        request.send_header("Content-Type", "image/jpeg")
        request.send_header("Content-Length", str(len(picture)))
        request.end_headers()
        self._wait()
        request.wfile.write(picture[: len(picture) // 2] if self.broken else picture)

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        mark = BOUNDARY.removeprefix("--")
        request.send_header("Content-Type", f'multipart/x-mixed-replace; boundary="{BOUNDARY}"')
        request.end_headers()
        request.wfile.write(b"\r\n")
        while self._open.is_set():
            self._wait()
            picture = self.picture()
            if self.torn:
                picture = picture[: len(picture) // 2]
            length = f"Content-Length: {len(picture)}\r\n" if self.lengths else ""
            head = f"--{mark}\r\nContent-Type: image/jpeg\r\n{length}\r\n"
            if self.broken:
                request.wfile.write(head.encode() + picture[: len(picture) // 2])
                return
            request.wfile.write(head.encode() + picture + b"\r\n")
            request.wfile.flush()
            time.sleep(1 / self.fps)

    def _wait(self) -> None:
        while self.stalled and self._open.is_set():
            time.sleep(0.02)

    def _may(self, request: BaseHTTPRequestHandler) -> bool:
        given = request.headers.get("Authorization", "")
        if given:
            self.headers.append(given)
        if not self.password:
            return True
        if not self.digest:
            login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
            return given == f"Basic {login}"
        said = dict(part.strip().split("=", 1) for part in given[7:].split(",") if "=" in part)
        said = {key: value.strip('"') for key, value in said.items()}
        secret = _md5(f"{USER}:{REALM}:{self.password}")
        asked = _md5(f"GET:{request.path}")
        parts = (secret, NONCE, said.get("nc", ""), said.get("cnonce", ""), "auth", asked)
        return said.get("response") == _md5(":".join(parts))


def jpeg(size: tuple[int, int], number: int) -> bytes:
    """Return a picture of noise in which a bright block moves on with its number."""
    done, data = cv2.imencode(".jpg", image(size, number))
    assert done
    return data.tobytes()


def image(size: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """Return the same, uint8 [height, width, 3]."""
    width, height = size
    noise = np.random.default_rng(number).integers(0, 60, (height // 8, width // 8, 3), np.uint8)
    pixels = cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
    left = 8 * number % width
    pixels[:, left : left + 8] = 255
    return pixels.astype(np.uint8, copy=False)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

"""GStreamer's RTSP server as a process: what `tests.rtsp_server` starts with `gst-python`.

It takes its settings as JSON in its first argument, says ``ready`` on stdout, and then obeys lines
of JSON on stdin: ``{"freeze": true}``, ``{"flip": 0.1}``, ``{"drop": 0.1}``, ``{"size": [w, h]}``.
Nothing but Debian's Python and gi is there for it to use.
"""

import json
import random
import sys
import threading
import time
from typing import Any

import gi  # type: ignore[import-not-found, import-untyped, unused-ignore] # Debian's own, no stubs

for _name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(_name, "1.0")
from gi.repository import (  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
    GLib,
    Gst,
    GstRtsp,
    GstRtspServer,
)

ROW_BITS, ROWS, ROWS_IN_HEIGHT = 24, 2, 24
"""The clock: rows of blocks at the top, each as high as the 24th part of the picture."""
_LEAST_CODED = 64
"""Bytes of a coded picture that are left alone at its start: without headers nothing is decoded."""

# keyframes every second or so, as cameras send them; no B-frames, as cameras do not
_CODERS = {
    "h264": "x264enc name=coder tune=zerolatency speed-preset=ultrafast key-int-max={gop}"
    " bitrate={kbit} sliced-threads=false threads=1 ! video/x-h264,profile=constrained-baseline"
    " ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au"
    " ! rtph264pay name=pay config-interval=-1",
    "h265": "x265enc name=coder tune=zerolatency speed-preset=ultrafast key-int-max={gop}"
    " bitrate={kbit} option-string=pools=none:frame-threads=1 ! h265parse"
    " ! video/x-h265,stream-format=byte-stream,alignment=au"
    " ! rtph265pay name=pay config-interval=-1",
    "mjpeg": "jpegenc name=coder quality=85 ! rtpjpegpay name=pay",
}
_CODED = "video/x-h264,stream-format=byte-stream,alignment=au"
_PACKETS = " ! identity name=pay0 drop-probability=0"


def clock_rows(ms: int, width: int) -> list[bytes]:
    """Return the lines of luma that carry a time, one of each row, highest bit first."""
    bits = f"{ms << 6 | ms % 61:0{ROWS * ROW_BITS}b}"
    return [
        bytes(235 if bits[at + x * ROW_BITS // width] == "1" else 16 for x in range(width))
        for at in range(0, len(bits), ROW_BITS)
    ]


class Pictures:
    """Raw I420 pictures: a moving pattern, or those of a file, with the time burnt in."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._number = 0
        self._base = b""
        self._for = (0, 0)
        self._file = open(settings["raw"], "rb") if settings["raw"] else None  # noqa: PTH123, SIM115

    def next(self, size: tuple[int, int]) -> bytes:
        """Return the next picture."""
        width, height = size
        picture = bytearray(self._from_file(size) if self._file else self._pattern(size))
        self._number += 1
        if self._settings["clock"]:
            lines = clock_rows(time.time_ns() // 1_000_000, width)
            for y in range(height * ROWS // ROWS_IN_HEIGHT):
                line = lines[y * ROWS_IN_HEIGHT // height]
                picture[y * width : (y + 1) * width] = line
        return bytes(picture)

    def _from_file(self, size: tuple[int, int]) -> bytes:
        assert self._file is not None
        length = size[0] * size[1] * 3 // 2
        picture = self._file.read(length)
        if len(picture) < length:
            self._file.seek(0)
            picture = self._file.read(length)
        return picture

    def _pattern(self, size: tuple[int, int]) -> bytes:
        width, height = size
        if size != self._for:
            ramp = bytes((x * 200 // width) + 28 for x in range(width))
            self._base = b"".join(ramp[y % width :] + ramp[: y % width] for y in range(height))
            self._for = size
        at = (self._number * 4 % height) * width
        return self._base[at:] + self._base[:at] + b"\x80" * (width * height // 2)


class Clip:
    """The coded pictures of a file, as they are in it."""

    def __init__(self, path: str) -> None:
        pipeline = Gst.parse_launch(
            f'filesrc location="{path}" ! qtdemux ! h264parse config-interval=-1 ! {_CODED}'
            " ! appsink name=sink sync=false max-buffers=64"
        )
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        self.pictures: list[tuple[bytes, bool]] = []
        while sample := sink.emit("pull-sample"):
            buffer = sample.get_buffer()
            whole = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
            self.pictures.append((buffer.extract_dup(0, buffer.get_size()), whole))
        pipeline.set_state(Gst.State.NULL)


class Feeder:
    """Feeds one media's appsrc, at its own pace, until the media is gone."""

    def __init__(self, media: Any, server: "Server", clip: Clip | None) -> None:  # noqa: ANN401
        element = media.get_element()
        self._source = element.get_by_name("source")
        self._server = server
        self._clip = clip
        self._stop = threading.Event()
        self.loss = element.get_by_name("pay0")
        element.get_by_name("pay").get_static_pad("sink").add_probe(
            Gst.PadProbeType.BUFFER, self._pass
        )
        media.connect("unprepared", lambda _: self._stop.set())
        self._source.connect("need-data", self._begin)
        self._begun = False

    def _begin(self, *_: object) -> None:
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self) -> None:
        settings = self._server.settings
        fps = settings["fps"]
        pictures = Pictures(settings)
        began, count, last, size = time.monotonic(), 0, b"", (0, 0)
        while not self._stop.is_set():
            if self._clip:
                last = self._coded(count, last)
                if not last:
                    self._source.emit("end-of-stream")
                    return
            else:
                if size != self._server.size:
                    size = self._server.size
                    self._source.set_property("caps", _raw(size, fps))
                    last = b""
                if not last or not self._server.frozen:
                    last = pictures.next(size)
            buffer = Gst.Buffer.new_wrapped(last)
            buffer.pts = buffer.dts = int(count / fps * Gst.SECOND)
            buffer.duration = int(Gst.SECOND / fps)
            if self._source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            count += 1
            self._stop.wait(max(0.0, began + count / fps - time.monotonic()))

    def _coded(self, count: int, last: bytes) -> bytes:
        """Return the next coded picture; of a frozen stream a whole one again and again."""
        assert self._clip is not None
        pictures = self._clip.pictures
        if count >= len(pictures) and not self._server.settings["loop"]:
            return b""
        if self._server.frozen:
            at = count % len(pictures)
            while not pictures[at][1]:
                at -= 1
            return last if last in [p for p, whole in pictures if whole] else pictures[at][0]
        return pictures[count % len(pictures)][0]

    def _pass(self, pad: Any, info: Any) -> Any:  # noqa: ANN401 - gi has no types
        rate = self._server.flips
        buffer = info.get_buffer()
        if not rate or buffer.has_flags(Gst.BufferFlags.MARKER):
            return Gst.PadProbeReturn.OK
        data = bytearray(buffer.extract_dup(0, buffer.get_size()))
        for _ in range(max(1, int(rate * len(data)))):
            if len(data) > _LEAST_CODED:
                data[random.randrange(_LEAST_CODED, len(data))] ^= 1 << random.randrange(8)  # noqa: S311
        damaged = Gst.Buffer.new_wrapped(bytes(data))
        damaged.pts, damaged.dts, damaged.duration = buffer.pts, buffer.dts, buffer.duration
        damaged.set_flags(Gst.BufferFlags.MARKER)  # do not damage it again
        pad.get_peer().push(damaged)
        return Gst.PadProbeReturn.DROP


def _send_at_once(_: object, client: Any) -> None:  # noqa: ANN401 - gi has no types
    """Let no packet of a picture wait for the client's acknowledgement of the one before."""
    client.get_connection().get_write_socket().set_option(6, 1, 1)  # TCP_NODELAY


def _raw(size: tuple[int, int], fps: float) -> Any:  # noqa: ANN401 - gi has no types
    rate = f"{round(fps * 1000)}/1000"
    return Gst.Caps.from_string(
        f"video/x-raw,format=I420,width={size[0]},height={size[1]},framerate={rate}"
    )


class Server:
    """The server, its streams, and what is done to them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.size: tuple[int, int] = tuple(settings["size"])
        self.frozen = False
        self.flips = 0.0
        self._drops = 0.0
        self._feeders: list[Feeder] = []
        self._clip = Clip(settings["file"]) if settings["file"] else None
        self._server = GstRtspServer.RTSPServer()
        self._server.set_address("127.0.0.1")
        self._server.set_service(str(settings["port"]))
        for number in range(1, settings["streams"] + 1):
            self._server.get_mount_points().add_factory(f"/stream{number}", self._factory())
        if settings["user"]:
            self._protect()
        self._server.connect("client-connected", _send_at_once)
        if not self._server.attach(None):
            sys.exit(f"cannot listen on port {settings['port']}")

    def _factory(self) -> Any:  # noqa: ANN401 - gi has no types
        settings = self.settings
        source = "appsrc name=source is-live=true format=time do-timestamp=false"
        if self._clip:
            way = f"{source} caps={_CODED} ! rtph264pay name=pay config-interval=-1"
        else:
            coder = _CODERS[settings["codec"]]
            gop = max(1, round(settings["fps"]))
            way = f"{source} ! {coder.format(gop=gop, kbit=settings['kbit'])}"
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {way} pt=96{_PACKETS} )")
        factory.set_shared(True)
        factory.set_latency(0)
        transports = GstRtsp.RTSPLowerTrans
        factory.set_protocols(transports.TCP | transports.UDP)
        factory.connect("media-configure", self._configured)
        if settings["user"]:
            rights = GstRtspServer.RTSPPermissions()
            for right in ("media.factory.access", "media.factory.construct"):
                rights.add_permission_for_role("viewer", right, True)
            factory.set_permissions(rights)
        return factory

    def _protect(self) -> None:
        user, password = self.settings["user"], self.settings["password"]
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        guard = GstRtspServer.RTSPAuth()
        if self.settings["digest"]:
            guard.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            guard.add_digest(user, password, token)
        else:
            basic = GstRtspServer.RTSPAuth.make_basic(user, password)
            guard.add_basic(basic, token)
        self._server.set_auth(guard)

    def _configured(self, _: object, media: Any) -> None:  # noqa: ANN401 - gi has no types
        feeder = Feeder(media, self, self._clip)
        feeder.loss.set_property("drop-probability", self._drops)
        self._feeders.append(feeder)
        media.connect("unprepared", lambda _: self._feeders.remove(feeder))

    def obey(self, order: dict[str, Any]) -> None:
        """Do what a line on stdin says."""
        self.frozen = order.get("freeze", self.frozen)
        self.flips = order.get("flip", self.flips)
        self.size = tuple(order.get("size", self.size))
        self._drops = order.get("drop", self._drops)
        for feeder in list(self._feeders):
            feeder.loss.set_property("drop-probability", self._drops)


def main() -> None:
    """Serve until stdin closes."""
    Gst.init(None)
    server = Server(json.loads(sys.argv[1]))
    loop = GLib.MainLoop()

    def listen() -> None:
        for line in sys.stdin:
            GLib.idle_add(server.obey, json.loads(line))
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()

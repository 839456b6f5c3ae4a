"""Pictures: what is taken for whole, what is refused, and pictures in pieces."""

import base64
import hashlib
import struct
import zlib
from typing import Any

import orjson
import pytest

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.image import ImageOptions
from gateway.profiles.codecs.multipart import MultipartOptions
from gateway.profiles.codecs.pieces import PiecesOptions

NOW_NS = 1_800_000_000 * 10**9
# SOI, a comment, a frame header, a scan header, two bytes of data, EOI.
JPEG = bytes.fromhex(
    "ffd8 fffe0004abcd ffc0000b080001000101011100 ffda0008010100003f00 3fff00 ffd9"
)
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
WEBP = b"RIFF" + struct.pack("<I", 8) + b"WEBPVP8 "


def message(payload: bytes, topic: str = "cam/a", after_s: int = 0) -> RawMessage:
    return RawMessage(topic, payload, NOW_NS + after_s * 10**9)


def image(payload: bytes) -> dict[str, Any]:
    found: dict[str, Any] = ImageOptions().build()(message(payload))
    return found


@pytest.mark.parametrize(("body", "media"), [(JPEG, "jpeg"), (PNG, "png"), (WEBP, "webp")])
def test_picture_is_described_when_whole(body: bytes, media: str) -> None:
    wanted = {
        "media": f"image/{media}",
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert image(body) == wanted
    assert image(base64.b64encode(body) + b"\n") == wanted
    assert image(f"data:image/{media};base64,".encode() + base64.b64encode(body)) == wanted


@pytest.mark.parametrize("body", [JPEG, PNG, WEBP])
def test_every_cut_is_refused_when_the_end_is_missing(body: bytes) -> None:
    for length in range(1, len(body)):
        with pytest.raises(DecodeError) as caught:
            image(body[:length])
        assert caught.value.reason in {"truncated_image", "bad_image"}


def test_jpeg_is_whole_when_padded_and_filled() -> None:
    assert image(JPEG + bytes(16))["bytes"] == len(JPEG) + 16
    assert image(JPEG[:2] + b"\xff\xff" + JPEG[2:])["media"] == "image/jpeg"


def test_end_within_a_segment_is_none_when_the_scan_is_missing() -> None:
    with pytest.raises(DecodeError, match="truncated_image"):
        image(bytes.fromhex("ffd8 fffe0004ffd9"))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", "empty_payload"), (b"hello!", "bad_image"), (b"aGVsbG8=", "bad_image"),
     (b"\xff\xd8" + bytes(1_000_000), "too_large")],
)  # fmt: skip
def test_reason_is_told_when_it_is_no_picture(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        image(payload)
    assert caught.value.reason == reason


class Camera:
    """Sends a picture in two pieces."""

    def __init__(self) -> None:
        self._codec = PiecesOptions().build()

    def start(
        self, name: str = "a", after_s: int = 0, said: dict[str, object] | None = None
    ) -> object:
        said = {"id": 7, "size": len(JPEG), "chunks": 2} | (said or {})
        return self._codec(message(orjson.dumps(said), f"cam/{name}/start", after_s))

    def piece(self, n: object, body: bytes, id_: object = 7) -> object:
        return self._codec(message(body, f"cam/a/data/{id_}/{n}"))

    def end(self, id_: int = 7) -> Any:  # noqa: ANN401 - what the codec gives
        return self._codec(message(orjson.dumps({"id": id_}), "cam/a/end"))


def test_picture_is_put_together_when_pieces_come_in_any_order() -> None:
    camera = Camera()
    assert camera.start() is None
    assert camera.piece(1, JPEG[20:]) is None
    assert camera.piece(0, JPEG[:20]) is None
    assert camera.end()["sha256"] == hashlib.sha256(JPEG).hexdigest()
    with pytest.raises(DecodeError, match="bad_pieces"):
        camera.end()


@pytest.mark.parametrize(
    ("n", "body", "id_"),
    [(0, JPEG[:20], 7), (1, JPEG[20:], 8), (2, JPEG[20:], 7), (1, JPEG, 7), ("x", JPEG[20:], 7)],
    ids=["twice", "other-picture", "beyond", "longer-than-said", "no-number"],
)
def test_picture_is_refused_when_a_piece_does_not_fit(n: object, body: bytes, id_: int) -> None:
    camera = Camera()
    camera.start()
    camera.piece(0, JPEG[:20])
    with pytest.raises(DecodeError, match="bad_pieces"):
        camera.piece(n, body, id_)


def test_picture_is_refused_when_a_piece_is_missing() -> None:
    camera = Camera()
    camera.start()
    camera.piece(0, JPEG[:20])
    with pytest.raises(DecodeError, match="bad_pieces"):
        camera.end()


@pytest.mark.parametrize(
    ("said", "reason"),
    [({"size": 2_000_000}, "too_large"), ({"chunks": 0}, "bad_pieces"),
     ({"size": None}, "bad_pieces"), ({"chunks": 5000}, "bad_pieces"),
     ({"x": "y" * 2000}, "too_large")],
)  # fmt: skip
def test_start_is_refused_when_it_says_too_much_or_nothing(
    said: dict[str, object], reason: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        Camera().start(said=said)
    assert caught.value.reason == reason


def test_memory_is_bounded_when_many_cameras_never_finish() -> None:
    camera = Camera()
    camera.start()
    for i in range(64):
        camera.start(f"other{i}")
    with pytest.raises(DecodeError, match="bad_pieces"):
        camera.piece(0, JPEG[:20])


def test_picture_is_forgotten_when_a_minute_passed() -> None:
    camera = Camera()
    camera.start()
    camera.start("b", after_s=61)
    with pytest.raises(DecodeError, match="bad_pieces"):
        camera.piece(0, JPEG[:20])


def part(body: bytes, headers: str = "") -> bytes:
    head = f"\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def test_stream_gives_its_parts_when_their_lengths_are_told() -> None:
    tricky = JPEG[:-2] + b"\r\n--b\r\n\r\n" + JPEG[-2:]  # a boundary within a picture
    stream = part(tricky, "X-Timestamp: 1700000000.100000\r\n") + part(JPEG) + b"\r\n--b\r\n"
    found = MultipartOptions().build()(message(stream))
    assert [(p["image"]["bytes"], p["time"]) for p in found] == [
        (len(tricky), "1700000000.100000"),
        (len(JPEG), None),
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", "bad_parts"), (b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG, "bad_parts"),
     (part(JPEG)[:-1], "truncated_image"), (part(b"text"), "bad_image")],
)  # fmt: skip
def test_stream_is_refused_when_a_part_is_not_whole(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        MultipartOptions().build()(message(payload))
    assert caught.value.reason == reason

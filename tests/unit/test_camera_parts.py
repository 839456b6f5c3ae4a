"""The parts of a camera's thread that need no camera: pace, content, JPEG, multipart, rate."""

import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.cameras import jpeg
from gateway.ingest.cameras.address import parse
from gateway.ingest.cameras.content import Content
from gateway.ingest.cameras.multipart import Multipart, TooLargeError
from gateway.ingest.cameras.opening import CAPTURE_OPTIONS, Opening
from gateway.ingest.cameras.pace import Backoff, Due
from gateway.ingest.cameras.rtsp import authorization
from gateway.ingest.cameras.state import Rate
from tests.mjpeg_server import image
from tests.mjpeg_server import jpeg as picture


@pytest.mark.parametrize(("camera_fps", "wanted"), [(25, 10), (10, 5), (30, 12), (10, 30), (15, 0)])
def test_wanted_rate_is_kept_on_average_when_the_camera_has_another(
    camera_fps: int, wanted: int
) -> None:
    due = Due(wanted)
    given_frames = sum(due(number / camera_fps) for number in range(10 * camera_fps))
    expected = min(wanted or camera_fps, camera_fps) * 10
    assert abs(given_frames - expected) <= 1


def test_no_burst_follows_when_the_camera_paused() -> None:
    due = Due(2)
    assert due(0)
    assert [due(10 + i / 10) for i in range(6)] == [True, False, False, False, False, True]


def test_frame_is_taken_when_it_is_a_tenth_early() -> None:
    due = Due(10)
    assert [due(0), due(0.089), due(0.091), due(0.2)] == [True, False, True, True]


def test_waits_grow_to_a_cap_when_tries_fail() -> None:
    longest, shortest = Backoff(lambda: 1.0), Backoff(lambda: 0.0)
    assert [longest.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert [shortest.next_s() for _ in range(4)] == [0.25, 0.5, 1.0, 1.0]
    longest.reset()
    assert longest.next_s() == 0.5


def test_picture_is_frozen_when_it_stays_the_same_to_the_bit() -> None:
    content = Content(10.0)
    still, other = image((320, 240), 1), image((320, 240), 2)
    for second in range(10):
        content.look(still, second)
        assert not content.frozen
    content.look(still, 10.0)
    assert content.frozen
    assert content.is_overdue(10.0)
    content.try_again(10.0)
    content.look(still, 12.0)
    assert content.frozen
    assert not content.is_overdue(12.0)
    content.look(other, 13.0)
    assert not content.frozen


def test_picture_is_not_frozen_when_nobody_looked_meanwhile_or_it_is_off() -> None:
    content, off = Content(10.0), Content(0.0)
    content.look(image((32, 24), 1), 0.0)
    content.look(image((32, 24), 1), 60.0)
    assert not content.frozen
    assert content.is_due(62.0)
    assert not content.is_due(61.0)
    off.look(image((32, 24), 1), 0.0)
    off.look(image((32, 24), 1), 60.0)
    assert not off.frozen
    assert not off.is_due(100.0)


def test_jpeg_is_whole_and_has_its_size_when_it_is_one() -> None:
    data = picture((320, 240), 1)
    assert jpeg.is_whole(data)
    assert jpeg.is_whole(data + b"\0" * 20)
    assert not jpeg.is_whole(data[:-2])
    assert not jpeg.is_whole(b"")
    assert jpeg.size_of(data) == (320, 240)
    decoded = jpeg.decode(data)
    assert decoded is not None
    assert decoded.shape == (240, 320, 3)
    assert np.abs(decoded.astype(int) - image((320, 240), 1)).mean() < 10


def test_jpeg_is_not_decoded_when_it_says_that_it_is_huge() -> None:
    data = bytearray(picture((320, 240), 1))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert jpeg.size_of(bytes(data)) == (65535, 65535)
    assert jpeg.decode(bytes(data)) is None


@given(st.binary(max_size=200))
def test_jpeg_header_is_read_whatever_it_holds(data: bytes) -> None:
    jpeg.size_of(b"\xff\xd8" + data)
    assert jpeg.decode(b"\xff\xd8\xff" + data) is None or True


@given(st.data(), st.booleans(), st.sampled_from(["frame", "--frame", '"a b"']))
def test_pictures_are_whole_however_the_stream_is_cut(
    data: st.DataObject, lengths: bool, boundary: str
) -> None:
    bodies = [b"\xff\xd8 one \r\n\r\n \xff\xd9", b"\xff\xd8two\xff\xd9", b"\xff\xd8\xff\xd9"]
    mark = boundary.strip('"').lstrip("-")
    stream = b"\r\n\r\n"
    for body in bodies:
        length = f"Content-Length: {len(body)}\r\n" if lengths else ""
        stream += f"--{mark}\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + body + b"\r\n"
    stream += f"--{mark}--".encode()
    parts, found = Multipart(boundary), list[bytes]()
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += parts.feed(stream[:cut])
        stream = stream[cut:]
    assert [body.removesuffix(b"\r\n") for body in found] == bodies


def test_stream_is_given_up_when_no_boundary_comes() -> None:
    parts = Multipart("frame")
    parts.feed(b"x" * 8000)
    with pytest.raises(TooLargeError):
        parts.feed(b"x" * 1000)
    parts = Multipart("frame")
    with pytest.raises(TooLargeError):
        parts.feed(b"--frame\r\nContent-Length: 999999999\r\n\r\n")


def test_another_camera_is_opened_soon_when_one_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_OPTIONS, "")
    opening, let_go = Opening(), threading.Event()
    seen: list[str | None] = []

    def hang() -> None:
        with opening.with_options("a;1"):
            seen.append(os.environ.get(CAPTURE_OPTIONS))
            let_go.wait(10)

    hung = [threading.Thread(target=hang) for _ in range(3)]
    for thread in hung:
        thread.start()
    while len(seen) < 3:  # side by side
        time.sleep(0.005)
    began_s = time.monotonic()
    with opening.with_options("b;2"):
        seen.append(os.environ.get(CAPTURE_OPTIONS))
    took_s = time.monotonic() - began_s
    let_go.set()
    for thread in hung:
        thread.join()
    assert seen == ["a;1"] * 3 + ["b;2"]
    assert 0.2 < took_s < 1


def test_digest_answers_as_the_standard_shows() -> None:
    """RFC 2617, section 3.5, without qop and for the method DESCRIBE (computed by hand)."""
    address = parse("rtsp://Mufasa@host/dir")
    offer = ("www-authenticate", 'Digest realm="testrealm@host.com", nonce="dcd98b", opaque="x"')
    line = authorization([offer], address, "Circle Of Life")
    assert 'username="Mufasa"' in line
    assert 'uri="rtsp://host/dir"' in line
    assert "Circle" not in line
    basic = authorization([("www-authenticate", 'Basic realm="x"')], address, "p")
    assert basic == "Authorization: Basic TXVmYXNhOnA=\r\n"


def test_rate_is_measured_when_frames_come_evenly() -> None:
    rate = Rate()
    for number in range(101):
        rate.count(number / 10)
    assert rate.fps == pytest.approx(10, rel=0.01)


def test_environment_is_as_before_when_nothing_is_being_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CAPTURE_OPTIONS, raising=False)
    with Opening().with_options("protocol_whitelist;file"):
        assert os.environ[CAPTURE_OPTIONS] == "protocol_whitelist;file"
    assert CAPTURE_OPTIONS not in os.environ  # else it would bind whatever else opens streams here

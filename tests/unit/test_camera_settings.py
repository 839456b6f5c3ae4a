"""A camera's file: what it may say, and that nothing of a login is shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CameraError
from gateway.ingest.cameras.address import parse
from gateway.ingest.cameras.directory import CameraDirectory, compare
from gateway.ingest.cameras.settings import load_camera

SECRET = "s3cret"  # noqa: S105 - made up


def write(folder: Path, text: str, name: str = "door.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_settings_are_read_when_the_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "door.password").write_text(SECRET + "\n")
    file = write(
        tmp_path,
        """
url = "rtsp://admin@10.0.0.7/stream1?channel=1"
password_file = "door.password"
transport = "udp"
[lines]
gate = [[0.0, 0.5], [1.0, 0.5]]
[zones]
hall = [[0, 0], [1, 0], [1, 1]]
""",
    )
    door = load_camera(file)
    assert door.name == "door"
    assert door.password() == SECRET
    assert door.places["gate"] == ((0.0, 0.5), (1.0, 0.5))
    assert door.shown_url == "rtsp://10.0.0.7/stream1?..."
    assert "admin" not in repr(door)
    url = door.address.with_login(SECRET)
    assert url == f"rtsp://admin:{SECRET}@10.0.0.7/stream1?channel=1"
    assert load_camera(file) == door
    assert (door.stall_s, door.frozen_after_s) == (5.0, 30.0)


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("", "url", "is required"),
        ("url = 3", "url", "valid string"),
        (f'url = "rtsp://admin:{SECRET}@h/x"', "url", "must not hold a password"),
        (f'url = "rtsp://admin:{SECRET}@h:99999/x"', "url", "port is not valid"),
        (f'url = "ftp://admin:{SECRET}@h/x"', "url", "must be rtsp://"),
        (f'url = "rtsp:/admin:{SECRET}@h/x"', "url", "must be rtsp://"),
        ('url = "rtsp://"', "url", "names no host"),
        ('url = "v4l2:video0"', "url", "must be rtsp://"),
        ('url = "mqtt:"', "url", "must be rtsp://"),
        ('url = "rtsp://h/x"\nfrozen_after = 3', "frozen_after", "did you mean 'frozen_after_s'?"),
        (f'url = "rtsp://h/x"\npassword = "{SECRET}"', "password", "did you mean 'password_file'?"),
        ('url = "rtsp://h/x"\ntransport = "tls"', "transport", "'tls'"),
        ('url = "rtsp://h/x"\nkind = "mjpeg"', "", "kind is for http"),
        ('url = "http://h/x"\npoll_fps = 0', "poll_fps", "0: "),
        ('url = "rtsp://h/x"\npassword_file = "x"', "", "needs a user"),
        ('url = "rtsp://u@h/x"\npassword_file = "x"', "password_file", "No such file"),
        ('url = "rtsp://h/x"\nlines.a = [[0, 0], [0, 0]]', "", "the same point twice"),
        ('url = "rtsp://h/x"\nlines.a = [[0, 0], [0, 2]]', "lines.a.1.1", "less than or equal"),
        ('url = "rtsp://h/x"\nzones.a = [[0, 0], [0, 1]]', "zones.a", "at least 3"),
        (f'url = "rtsp://u:{SECRET}@h/x', "", "not readable as TOML"),
    ],
)
def test_file_is_refused_with_the_reason_when_it_is_wrong(
    tmp_path: Path, text: str, field: str, reason: str
) -> None:
    with pytest.raises(CameraError) as refused:
        load_camera(write(tmp_path, text))
    assert (refused.value.field, refused.value.file) == (field, str(tmp_path / "door.toml"))
    assert reason in refused.value.reason
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_file_is_refused_when_its_name_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="name is the camera's"):
        load_camera(write(tmp_path, 'url = "rtsp://h/x"', "front door.toml"))


def test_login_is_refused_when_ffmpeg_would_cut_it(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("#" * 41)
    file = write(tmp_path, 'url = "rtsp://u@h/x"\npassword_file = "pw"')
    load_camera(file)
    (tmp_path / "pw").write_text("#" * 42)
    with pytest.raises(CameraError, match="over 127 characters"):
        load_camera(file)


@given(st.text(min_size=1, max_size=12).filter(lambda t: t.isprintable()))
def test_login_comes_through_whatever_the_password_holds(password: str) -> None:
    address = parse("rtsp://us%40er@[fe80::1]:8554/a?b=c")
    again = parse(address.bare)
    url = address.with_login(password)
    with pytest.raises(ValueError, match="must not hold a password"):
        parse(url)
    assert url.count("@") == 1
    assert (again.host, again.port, address.user) == ("fe80::1", 8554, "us@er")
    assert "us" not in repr(address).replace("Address", "")


@pytest.mark.parametrize(
    ("url", "rest", "shown"),
    [
        ("file:/a b.mp4", "/a b.mp4", "file:/a b.mp4"),
        ("file:///a%20b.mp4", "/a b.mp4", "file:/a b.mp4"),
        ("mqtt:esp32/cam 1", "esp32/cam 1", "mqtt:esp32/cam 1"),
        ("v4l2:/dev/video0", "/dev/video0", "v4l2:/dev/video0"),
        ("http://u@h:8080/x.cgi?pwd=1", "/x.cgi?pwd=1", "http://h:8080/x.cgi?..."),
    ],
)
def test_address_is_shown_without_login(url: str, rest: str, shown: str) -> None:
    assert (parse(url).rest, parse(url).shown) == (rest, shown)


def test_change_is_by_content_when_files_are_touched(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    write(first, 'url = "mqtt:a"', "a.toml")
    write(first, 'url = "mqtt:b"', "b.toml")
    write(first, 'url = "mqtt:c"', "c.toml")
    directory = CameraDirectory([first, second, tmp_path / "none"])
    before = directory.scan()
    assert list(directory.cameras) == ["a", "b", "c"]
    write(first, '# a comment\nurl = "mqtt:a"', "a.toml")
    write(second, 'url = "mqtt:B"', "b.toml")
    write(first, "url = ", "c.toml")
    write(first, 'url = "mqtt:d"', "d.toml")
    change = compare(before, directory.scan())
    assert (change.added, change.changed, change.removed) == (("d",), ("b",), ())
    assert [Path(error.file).name for error in directory.rejected] == ["c.toml"]
    assert change.cameras["c"].address.rest == "c"  # wrong now, and as it was
    assert change.cameras["b"].address.rest == "B"

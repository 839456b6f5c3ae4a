"""Snapshots: a bounded ring of files, or none at all."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.clock import BoxClock
from gateway.snapshots import Album, SnapshotError
from tests.fake_system import YEAR, FakeSystem

PICTURE = np.full((48, 64, 3), 120, np.uint8)


def test_newest_pictures_stay_when_there_are_too_many(tmp_path: Path) -> None:
    album = Album(tmp_path / "snapshots", keep=3)
    paths = [album.save(f"cam-{i}", PICTURE) for i in range(5)]
    left = sorted((tmp_path / "snapshots").iterdir())
    assert len(left) == 3
    assert left == sorted(paths)[-3:]
    read = cv2.imread(str(left[0]))
    assert read is not None
    assert read.shape == PICTURE.shape
    assert left[0].stat().st_mode & 0o007 == 0  # nobody else looks


def test_newest_picture_stays_when_the_clock_was_set_back(tmp_path: Path) -> None:
    system = FakeSystem()
    clock = BoxClock(system)
    album = Album(tmp_path / "snapshots", 2, clock)
    system.wall_ns += YEAR
    ahead = Album(tmp_path / "snapshots", 2, BoxClock(system))
    for _ in range(2):
        system.pass_s(1)
        ahead.save("cam", PICTURE)
    paths = []
    for _ in range(2):
        system.pass_s(1)
        paths.append(album.save("cam", PICTURE))
    assert sorted((tmp_path / "snapshots").iterdir()) == paths


def test_nothing_is_written_when_snapshots_are_off(tmp_path: Path) -> None:
    album = Album(tmp_path / "snapshots", keep=0)
    with pytest.raises(SnapshotError, match="keep = 0"):
        album.save("cam", PICTURE)
    assert not (tmp_path / "snapshots").exists()


def test_reason_is_told_when_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("a file", "utf-8")
    with pytest.raises(SnapshotError, match="not written"):
        Album(tmp_path / "snapshots", keep=3).save("cam", PICTURE)

"""A read-only file system, at the start and under a running gateway (ext4 after a fault)."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.kill import config, start_load
from benchmarks.stand import mosquitto as broker
from benchmarks.stand import stand
from benchmarks.truth import readings
from tests.conftest import Weir
from tests.small_disk import mend, mount_image, mounted_image


def test_the_start_says_why_when_the_file_system_is_read_only(tmp_path: Path, weir: Weir) -> None:
    with mounted_image(tmp_path / "state", 16) as folder:
        subprocess.run(["umount", str(folder)], check=True)
        assert mount_image(folder, "loop,ro").returncode == 0
        done = weir("run", "--state-dir", str(folder), "--port", "0")
    assert done.returncode == 78
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_acknowledged_and_nothing_lost_when_it_becomes_read_only(
    tmp_path: Path, mosquitto: str
) -> None:
    with (
        mounted_image(tmp_path / "state", 200) as folder,
        broker(tmp_path, mosquitto) as url,
        stand(tmp_path) as here,
    ):
        here.write_config(
            config(url, hub="").replace("[hub]", "[store]\nreserve_bytes = 8000000\n[hub]")
        )
        here.start_gateway()
        load = start_load(here.broker(), rate_hz=200, devices=20, seconds=5)
        time.sleep(2)
        subprocess.run(["mount", "-o", "remount,abort", str(folder)], check=True)
        report = json.loads(load.communicate()[0])
        status: dict[str, Any] = here.ask("/status")
        assert status["messages"]["in_hand"] > 0, "not stored, and not acknowledged"
        assert status["messages"]["stored"] < report["sent"]
        assert status["messages"]["shed"] == 0
        here.stop("gateway", 9)
        mend(folder)
        here.start_gateway()
        until = time.monotonic() + 20
        while readings_of(here) < report["sent"]:
            assert time.monotonic() < until
            time.sleep(0.2)
        here.stop("gateway")
        found = readings(here.state_dir)
    assert (found.rows, found.distinct, found.gaps) == (report["sent"], report["sent"], 0)


def readings_of(here: Any) -> int:  # noqa: ANN401 - a stand
    query = "SELECT count(*) FROM readings WHERE metric = 'seq'"
    return int(here.ask("/sql", query)["rows"][0][0])

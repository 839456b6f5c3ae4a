"""A box whose clock is not set at boot, and one whose clock is stepped by a year and back."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stand import Stand, stand
from benchmarks.truth import PLUGIN, Told, at_hub

YEAR_S = 365 * 86_400
DEVICES = 4
OWN = "own-time"
"""The device that says its own time, and says it right."""
SOON_S = 20.0
WITHIN_S = 5.0
CONFIG = """
[gateway]
name = "shop-1"
state_dir = "{state_dir}"
[clock]
follow_after_s = 2
synced_file = "{state_dir}/../synced"
[mqtt]
port = 0
[hub]
url = "{leaf_url}"
[metrics]
port = -1
[plugins]
shipped = false
dirs = ["PLUGINS"]
""".replace("PLUGINS", str(Path(__file__).parents[2] / "benchmarks/plugins"))


GIVEN_AGAIN_S = 11
"""The embedded broker gives again what was not acknowledged after 10 s (its ack_wait)."""


class Plant(threading.Thread):
    """Devices that speak at QoS 1 until told to stop; each reading says what time it is.

    Args:
        here: Where to.
        ahead_s: What time it is, against that of the machine of the test.
    """

    def __init__(self, here: Stand, ahead_s: float = 0) -> None:
        super().__init__(daemon=True)
        self._ahead_s = ahead_s
        self.sent = 0
        self.acked = 0
        self.silent = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "plant", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._note
        self._client.connect(*here.broker())
        self._client.loop_start()

    def _note(self, *_: object) -> None:
        self.acked += 1

    def run(self) -> None:
        while not self.silent.wait(0.1):
            for device in [*(f"dev-{i}" for i in range(DEVICES)), OWN]:
                now = time.time() + self._ahead_s
                values = {"seq": self.sent, "current": self.sent % 7, "sent": now}
                stamped = {"ts": now, **values} if device == OWN else values
                self._client.publish(f"sensors/{device}", json.dumps(stamped), qos=1)
                self.sent += 1

    def finish(self) -> None:
        self.silent.set()
        self.join(5)
        until = time.monotonic() + SOON_S
        while self.acked < self.sent and time.monotonic() < until:
            time.sleep(0.05)
        self._client.disconnect()
        self._client.loop_stop()


class Box:
    """A gateway and a hub, and the clock of the gateway's box."""

    def __init__(self, here: Stand, library: str) -> None:
        self.here = here
        self._rate = here.folder / "faketime.rc"
        here.environment.update(
            LD_PRELOAD=library,
            FAKETIME_TIMESTAMP_FILE=str(self._rate),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            NO_FAKE_STAT="1",
        )

    def set_clock(self, ahead_s: float, *, synced: bool = False) -> None:
        part = self._rate.with_suffix(".part")
        part.write_text(f"{ahead_s:+.0f}")
        part.replace(self._rate)  # it is read at every look at the clock
        if synced:
            (self.here.folder / "synced").touch()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.here.ask("/status")
        return status

    def await_moved(self, times: int) -> dict[str, Any]:
        until = time.monotonic() + SOON_S
        while (clock := self.status()["clock"])["moved"] < times:
            assert time.monotonic() < until, clock
            time.sleep(0.05)
        assert clock["moved"] == times
        return dict(clock)

    def await_windows(self) -> float:
        """Wait until each source has had a window; return how many seconds it took."""
        began, windows = time.monotonic(), self._windows()
        while self._windows() < windows + DEVICES + 1:
            assert time.monotonic() < began + SOON_S, "windows stand still"
            time.sleep(0.05)
        return time.monotonic() - began

    def _windows(self) -> int:
        return sum(plugin["windows"] for plugin in self.status()["plugins"])


@pytest.fixture
def box(tmp_path: Path, faketime: str) -> Iterator[Box]:
    with stand(tmp_path) as here:
        here.start_hub()
        here.write_config(CONFIG)
        yield Box(here, faketime)


def assert_whole(
    here: Stand, plant: Plant, status: dict[str, Any], away_s: tuple[float, float] = (0, 0)
) -> None:
    """Assert that each message is stored once, with the time at which it was sent.

    What was sent while the gateway was away bears a later time, that of its arrival.
    """
    assert (status["messages"]["in_hand"], status["messages"]["too_old"]) == (0, 0)
    assert status["readings"]["deleted_by_age"] == 0
    with duckdb.connect(str(here.state_dir / "weir.duckdb"), read_only=True) as store:
        found = store.execute(
            "SELECT count(*), count(DISTINCT value) FROM readings WHERE metric = 'seq'"
        ).fetchone()
        far = store.execute(
            "SELECT source, epoch(time), value FROM readings"
            " WHERE metric = 'sent' AND value NOT BETWEEN ? AND ?"
            " AND abs(epoch(time) - value) > 1 LIMIT 5",
            away_s,
        ).fetchall()
    assert found == (plant.sent, plant.sent)
    assert not far


def notices(told: list[Told]) -> list[dict[str, Any]]:
    return [orjson.loads(t.payload) for t in told if t.plugin == "weir-gateway-fault"]


async def test_all_is_in_its_time_when_the_clock_is_set_long_after_the_boot(box: Box) -> None:
    here, real_s = box.here, time.time()
    box.set_clock(100 - real_s)
    here.start_gateway()
    plant = Plant(here)
    plant.start()
    box.await_windows()
    assert box.status()["clock"]["standing"] == "unset"
    away_from_s = time.time() - 1
    here.stop("gateway", signal.SIGKILL)
    here.start_gateway()  # it is not known better now, and goes on where it was
    away_s = away_from_s, time.time() + 2
    box.await_windows()
    box.set_clock(0, synced=True)
    box.await_moved(1)
    assert box.await_windows() < WITHIN_S
    plant.finish()
    await asyncio.sleep(GIVEN_AGAIN_S)
    status = here.settle()
    assert status["clock"]["standing"] == "ok"
    told = await at_hub(here.hub_url)
    here.stop("gateway")
    assert_whole(here, plant, status, away_s)

    unset, right = notices(told)
    assert (unset["label"], right["label"]) == ("clock-unset", "clock-ok")
    step_ms = right["end"] - right["start"]
    assert right["num"]["rows"] > 0
    packets = [orjson.loads(t.payload) for t in told if t.plugin == PLUGIN]
    assert {p["clock"] for p in packets} == {"unset", "ok"}
    for packet in packets:  # a consumer can put them right
        end_ms = packet["end"] + (step_ms if packet["clock"] == "unset" else 0)
        assert real_s < end_ms / 1000 < time.time()
    ends = [(p["src"], p["end"] + step_ms * (p["clock"] == "unset")) for p in packets]
    assert len(ends) == len({(source, end // 100) for source, end in ends}), "none is told twice"


async def test_windows_go_on_when_the_clock_is_stepped_by_a_year(box: Box) -> None:
    here = box.here
    now_s = 2 * YEAR_S  # so that a year back is a time that can be
    box.set_clock(now_s)
    here.start_gateway()
    plant = Plant(here, now_s)
    plant.start()
    box.await_windows()
    box.set_clock(now_s + YEAR_S)
    await asyncio.sleep(1.2)
    box.set_clock(now_s)  # undone before it is believed
    assert box.await_windows() < WITHIN_S
    assert box.status()["clock"]["moved"] == 0
    for moved, ahead_s in enumerate((YEAR_S, 0, -YEAR_S, 0), 1):
        box.set_clock(now_s + ahead_s)
        clock = box.await_moved(moved)
        assert abs(clock["now_ns"] / 1e9 - time.time() - now_s - ahead_s) < 1
        assert clock["standing"] == "unsynced"
        assert box.await_windows() < WITHIN_S
    plant.finish()
    status = here.settle()
    told = await at_hub(here.hub_url)
    here.stop("gateway")
    assert_whole(here, plant, status)
    steps = [n["num"]["step_s"] / YEAR_S for n in notices(told) if n["label"] == "clock-stepped"]
    assert [round(step, 2) for step in steps] == [1, -1, -1, 1]
    ends = {(t.source, t.end_ms) for t in told}
    assert len(ends) == len(told), "none is told twice"

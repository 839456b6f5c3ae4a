"""From a device's publish to the outcome's PubAck: latency by rate, and the highest rate stored."""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stand import Stand, stand

DEVICES = 500
SECONDS = 15.0
WARM_UP_S = 3.0
MUST = {"p95 at 5,000/s": 30.0, "stored without shed": 20_000}

CONFIG = """
[gateway]
name = "bench"
state_dir = "{state_dir}"
log_level = "warning"
[mqtt]
broker = "%(broker)s"
port = 0
queue_messages = 200000
[hub]
url = "{leaf_url}"
[metrics]
port = -1
[plugins]
shipped = false
dirs = [%(plugins)s]
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What one rate gave.

    Attributes:
        pub_ack_ms: p50, p95, p99 from a device's publish to the outcome's PubAck.
        panel_ms: The same to a local MQTT subscriber of the outcomes.
        used: Share of a core (%) and memory (MB) of each process.
        stages_ms: p50 and p95 of each stage, as the gateway sees it.
    """

    rate_hz: int
    sent: int
    stored: int
    shed: int
    windows: int
    outcomes: int
    at_hub: int
    pub_ack_ms: list[float]
    panel_ms: list[float]
    used: dict[str, tuple[float, float]]
    stages_ms: dict[str, dict[str, float]]


class Panel:
    """A local MQTT subscriber of outcomes that notes when each came."""

    def __init__(self, host: str, port: int) -> None:
        self.came_ns: dict[tuple[str, int], int] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, "bench-panel")
        self._client.on_message = self._note
        self._client.connect(host, port)
        self._client.subscribe("outcomes/#")
        self._client.loop_start()

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        now_ns = time.time_ns()
        packet = orjson.loads(message.payload)
        self.came_ns[packet["src"], packet["end"]] = now_ns

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()


def measure(
    rate_hz: int, *, seconds: float = SECONDS, mosquitto: str = "", every: bool = False
) -> Run:
    """Load a fresh gateway at one rate and return what it did.

    Args:
        rate_hz: Messages per second of all devices together.
        seconds: How long.
        mosquitto: The broker's program; "" for the embedded broker.
        every: Report every window; else when its label changes, about one in ten.
    """
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        # In memory: a hub has a disk of its own, and must not share the gateway's syncs.
        tempfile.TemporaryDirectory(prefix="weir-hub-", dir="/dev/shm") as hub_folder,
        _broker(Path(folder), mosquitto) as broker,
        stand(Path(folder), Path(hub_folder)) as here,
    ):
        dirs = plugins(Path(folder), every=every)
        here.start_hub()
        here.write_config(CONFIG % {"broker": broker, "plugins": json.dumps(str(dirs))})
        here.start_gateway()
        return _measure(here, rate_hz, seconds)


def plugins(folder: Path, *, every: bool) -> Path:
    """Return a folder with bench-mean, which reports every window or one in ten."""
    dirs = folder / "plugins"
    shutil.copytree(Path(__file__).parent / "plugins" / "bench-mean", dirs / "bench-mean")
    if not every:
        manifest = dirs / "bench-mean" / "plugin.toml"
        text = manifest.read_text().replace("always = true", 'on = ["change"]\nevery_s = 0')
        # One score in twenty is as high as this, so one window in ten changes the label.
        manifest.write_text(text.replace('["high", 1e9]', '["high", 0.95]'))
    return dirs


@contextmanager
def _broker(folder: Path, mosquitto: str) -> Iterator[str]:
    """Give the broker's URL: ``embedded``, or that of a Mosquitto started for the run."""
    if not mosquitto:
        yield "embedded"
        return
    port = 21883
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 2000\n"
        "max_queued_messages 100000\nset_tcp_nodelay true\n"
    )
    process = subprocess.Popen([mosquitto, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _measure(here: Stand, rate_hz: int, seconds: float) -> Run:
    host, port = here.broker()
    panel = Panel(host, port)
    load = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", "--host", host, "--port", str(port),
         "--rate", str(rate_hz), "--devices", str(DEVICES), "--seconds", str(seconds), "--json"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(WARM_UP_S)
    tree = {**here.tree(), "load": psutil.Process(load.pid)}
    before = {name: sum(each.cpu_times()[:2]) for name, each in tree.items()}
    began = time.monotonic()
    time.sleep(seconds - WARM_UP_S - 1)
    span_s = time.monotonic() - began
    used = {
        name: (
            round(100 * (sum(each.cpu_times()[:2]) - before[name]) / span_s, 1),
            round(each.memory_info().rss / 1e6, 1),
        )
        for name, each in tree.items()
    }
    sent = json.loads(load.communicate()[0])
    status = _settled(here)
    rows = here.ask("/sql", _LATENCY_SQL)["rows"]
    panel.close()
    warm_ns = sent["first_ns"] + int(WARM_UP_S * 1e9)
    pub_ack, shown = [], []
    for source, end_us, trigger_us, acked_us in rows:
        if trigger_us * 1000 < warm_ns:
            continue
        pub_ack.append((acked_us - trigger_us) / 1000)
        came_ns = panel.came_ns.get((source, end_us // 1000))
        if came_ns:
            shown.append(came_ns / 1e6 - trigger_us / 1000)
    return Run(
        rate_hz=rate_hz,
        sent=sent["sent"],
        stored=status["messages"]["stored"],
        shed=status["messages"]["shed"],
        windows=status["plugins"][0]["windows"],
        outcomes=status["outcomes"]["sent"],
        at_hub=status["hub"]["forwarded"],
        pub_ack_ms=_percentiles(pub_ack),
        panel_ms=_percentiles(shown),
        used=used,
        stages_ms=status["latency_ms"],
    )


_LATENCY_SQL = """
SELECT o.source, epoch_us(o.window_end), epoch_us(min(r.time)), epoch_us(o.time)
FROM outcome o JOIN series s ON s.source = o.source
  JOIN reading r ON r.series = s.id AND r.time >= o.window_end
    AND r.time < o.window_end + INTERVAL 1 SECOND
GROUP BY ALL LIMIT 100000
"""


def _settled(here: Stand) -> dict[str, Any]:
    """Wait until nothing is under way, at most 20 s, and return the status."""
    until = time.monotonic() + 20
    status: dict[str, Any] = here.ask("/status")
    while time.monotonic() < until:
        time.sleep(0.5)
        before, status = status, here.ask("/status")
        due = sum(plugin["due"] for plugin in status["plugins"])
        same = before["messages"]["received"] == status["messages"]["received"]
        if same and not (status["messages"]["in_hand"] or due or status["outcomes"]["queued"]):
            break
    time.sleep(1.5)  # the outcomes' rows are written once a second
    return here.ask("/status")  # type: ignore[no-any-return]


def _percentiles(values: list[float]) -> list[float]:
    if not values:
        return []
    return [round(float(v), 2) for v in np.percentile(values, (50, 95, 99))]


def machine() -> str:
    """Return what machine this is, in a line."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gb = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GiB, {system}"


def report(run: Run) -> None:
    """Print what one rate gave."""
    lost = run.sent - run.stored - run.shed
    print(
        f"{run.rate_hz:>7,}/s  PubAck p50/p95/p99 {'/'.join(map(str, run.pub_ack_ms))} ms   "
        f"panel {'/'.join(map(str, run.panel_ms))} ms   stored {run.stored:,} of {run.sent:,}, "
        f"shed {run.shed:,}, missing {lost:,}   outcomes {run.outcomes:,}, "
        f"hub {run.at_hub:,}",
        flush=True,
    )
    used = ", ".join(f"{name} {cpu:.0f} % {mb:.0f} MB" for name, (cpu, mb) in run.used.items())
    print(f"           {used}", flush=True)
    stages = ", ".join(
        f"{name} {ms['p50']:.1f}/{ms['p95']:.1f}" for name, ms in run.stages_ms.items()
    )
    print(f"           stages p50/p95 ms: {stages}", flush=True)


def main(rates: list[int], mosquitto: str = "", *, every: bool = False) -> None:
    """Measure and print what each rate gave."""
    told = "every one reported" if every else "one in ten reported"
    print(f"{DEVICES} devices, 3 readings a message, a window of every device each second, {told};")
    print(f"broker: {'Mosquitto' if mosquitto else 'embedded'}; the hub's store is in memory")
    for rate in rates:
        report(measure(rate, mosquitto=mosquitto, every=every))


def ceiling(mosquitto: str = "", rates: tuple[int, ...] = (15_000, 20_000, 25_000, 30_000)) -> int:
    """Print and return the highest rate at which every message was stored."""
    best = 0
    for rate in rates:
        run = measure(rate, seconds=10, mosquitto=mosquitto)
        report(run)
        kept_pace = run.sent >= 0.98 * rate * 10
        if not kept_pace or run.shed or run.stored < run.sent:
            break
        best = rate
    print(f"highest rate stored with nothing shed: {best:,} messages/s, {3 * best:,} readings/s")
    return best


if __name__ == "__main__":
    main([int(rate) for rate in sys.argv[1:]] or [1000, 5000, 10_000])

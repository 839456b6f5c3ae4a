"""The gateway killed at random moments under a QoS 1 load: what is stored and told, and how often.

The broker outlives the gateway, as a Mosquitto beside it does.

    python -m benchmarks.kill --times 20
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.stand import Stand, mosquitto, stand
from benchmarks.truth import Comparison, Readings, at_hub, compare, expected, readings

GATEWAY = "bench"
CONFIG = """
[gateway]
name = "bench"
state_dir = "{state_dir}"
log_level = "warning"
[mqtt]
broker = "%(broker)s"
port = 0
[leaf]
in_order_backlog = %(in_order_backlog)d
[hub]
url = "%(hub)s"
[metrics]
port = -1
[plugins]
shipped = false
dirs = [%(plugins)s]
"""
_AT_START = 0.25
"""Share of the kills that come while the gateway is still starting."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """One end of the gateway.

    Attributes:
        ready: It was serving devices.
        code: Its exit code.
        took_s: From the signal to the end.
    """

    signal: str
    ready: bool
    code: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Kills:
    """What came of it.

    Attributes:
        sent, acked: Messages, and those that the broker acknowledged.
        duplicates: Messages that came again after the last start and were known.
        repeated: Outcomes handed to the leaf again after the last start, and known there.
    """

    stops: list[Stopped]
    sent: int
    acked: int
    readings: Readings
    outcomes: Comparison
    duplicates: int
    repeated: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Say whether every reading is stored once and every expected outcome at the hub once."""
        once = self.sent == self.acked == self.readings.rows == self.readings.distinct
        return once and not self.readings.gaps and self.outcomes.exact


def config(broker: str, hub: str = "{leaf_url}", in_order_backlog: int = 5000) -> str:
    """Return a configuration with the plugin that reports every window."""
    plugins = json.dumps(str(Path(__file__).parent / "plugins"))
    values = {"broker": broker, "plugins": plugins, "hub": hub}
    return CONFIG % {**values, "in_order_backlog": in_order_backlog}


def start_load(
    broker: tuple[str, int], *, rate_hz: float, devices: int, seconds: float, qos: int = 1
) -> "subprocess.Popen[bytes]":
    """Start a load with running numbers in a process of its own."""
    host, port = broker
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", "--host", host, "--port", str(port),
         "--rate", str(rate_hz), "--devices", str(devices), "--seconds", str(seconds),
         "--qos", str(qos), "--sequence", "--json"],
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip


async def run(
    folder: Path,
    program: str,
    signals: Sequence[int],
    *,
    seed: int = 1,
    rate_hz: float = 400.0,
    devices: int = 50,
) -> Kills:
    """Load a gateway, end it with each of the signals and start it again; then count.

    Args:
        folder: Everything lies below it.
        program: A Mosquitto.
        signals: One for each end of the gateway, SIGKILL or one that it may answer.
        seed: Of the random moments.
        rate_hz: Messages per second, all devices together.
        devices: How many there are.
    """
    rng = random.Random(seed)  # noqa: S311 - moments of a test
    began = time.monotonic()
    with mosquitto(folder, program) as broker, stand(folder) as here:
        here.start_hub()
        here.write_config(config(broker))
        here.start_gateway()
        load = start_load(
            here.broker(), rate_hz=rate_hz, devices=devices, seconds=2.0 + 2.2 * len(signals)
        )
        stops = [_end_and_start(here, rng, number) for number in signals]
        report = json.loads(load.communicate()[0])
        here.await_ready()
        status = here.settle(60.0)
        told = await at_hub(here.hub_url)
        here.stop("gateway")
        return Kills(
            stops=stops,
            sent=report["sent"],
            acked=report["acked"],
            readings=readings(here.state_dir),
            outcomes=compare(expected(here.state_dir), told, GATEWAY),
            duplicates=status["messages"]["duplicates"],
            repeated=status["outcomes"]["repeated"],
            seconds=round(time.monotonic() - began, 1),
        )


def _end_and_start(here: Stand, rng: random.Random, number: int) -> Stopped:
    ready = number != signal.SIGKILL or rng.random() >= _AT_START
    if ready:
        here.await_ready()
    time.sleep(rng.uniform(0.0, 1.5))
    began = time.monotonic()
    code = here.stop("gateway", number)
    took_s = round(time.monotonic() - began, 2)
    here.start_gateway(wait=False)
    return Stopped(signal.Signals(number).name, ready, code, took_s)


def main() -> int:
    """Kill it and print what came of it; return 0 if nothing was lost and nothing came twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=400.0, help="messages per second")
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--mosquitto", default=".tools/bin/mosquitto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-kill-") as folder:
        kills = asyncio.run(
            run(
                Path(folder),
                options.mosquitto,
                [signal.SIGKILL] * options.times,
                seed=options.seed,
                rate_hz=options.rate,
                devices=options.devices,
            )
        )
    print(json.dumps(asdict(kills)))
    return 0 if kills.exact else 1


if __name__ == "__main__":
    sys.exit(main())

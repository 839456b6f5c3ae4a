"""One device too loud, another with nothing but garbage: what the others notice of it.

python -m benchmarks.noisy --before 70 --noise 60 --after 20
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kill import config
from benchmarks.stand import Stand, stand

LOUD = "loud-000"
GARBAGE = "garbage-000"
_WARM_UP_S = 3.0
_LATENCY_SQL = """
SELECT count(*), quantile_cont(took, 0.5), quantile_cont(took, 0.95), max(took)
FROM (SELECT (epoch_us(time) - epoch_us(received)) / 1000 AS took FROM outcome
  WHERE plugin = 'bench-mean' AND source LIKE 'bench%%'
  AND window_end >= make_timestamp(%d) AND window_end < make_timestamp(%d))
"""
_TOLD_SQL = """
SELECT source, label, epoch_us(time) FROM outcome
WHERE plugin = 'weir' AND packet LIKE '%device-noisy%' ORDER BY time
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is done.

    Attributes:
        before_s: All are honest, the loud one too.
        noise_s: The loud one and the garbage.
        after_s: The honest ones alone.
        devices: How many of them.
        each_hz: Messages per second of each.
        policy: Lines of ``[devices]``.
        qos: Of the noise.
    """

    before_s: float = 70.0
    noise_s: float = 60.0
    after_s: float = 20.0
    devices: int = 200
    each_hz: float = 5.0
    loud_hz: float = 5000.0
    garbage_hz: float = 2000.0
    policy: str = ""
    qos: int = 0


@dataclass(frozen=True, slots=True)
class Noisy:
    """What came of it.

    Attributes:
        sent: Messages, by who sent them.
        stored: Messages of the honest devices that were stored.
        messages: The gateway's book.
        told: Source, label and second after the noise began, of each outcome of kind
            ``device-noisy``.
        honest_ms: p50, p95 and the most from arrival to the leaf's acknowledgement of the honest
            devices' outcomes: before, until all noise was limited, from then on, and after it.
        outcomes: How many these were.
    """

    sent: dict[str, int]
    stored: int
    messages: dict[str, Any]
    told: list[tuple[str, str, float]]
    honest_ms: dict[str, list[float]]
    outcomes: dict[str, int]


def run(here: Stand, case: Case) -> Noisy:
    """Load a gateway whose configuration is written."""
    here.start_gateway()
    whole_s = case.before_s + case.noise_s + case.after_s
    loads: dict[str, list[subprocess.Popen[bytes]]] = {}

    def start(name: str, rate_hz: float, seconds: float, *more: str) -> None:
        host, port = here.broker()
        command = [
            sys.executable, "-m", "benchmarks.load", "--host", host, "--port", str(port),
            "--name", name, "--rate", str(rate_hz), "--seconds", str(seconds), "--json",
        ]  # fmt: skip
        loads.setdefault(name, []).append(
            subprocess.Popen(
                [*command, *more], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
            )
        )

    began_ns = time.time_ns()
    one = ("--devices", "1", "--connections", "1")
    start("bench", case.devices * case.each_hz, whole_s, "--devices", str(case.devices))
    start("loud", case.each_hz, case.before_s, *one)
    time.sleep(case.before_s)
    noise_ns = time.time_ns()
    qos = ("--qos", str(case.qos))
    start("loud", case.loud_hz, case.noise_s, *one, *qos)
    start("garbage", case.garbage_hz, case.noise_s, "--garbage", *one, *qos)
    time.sleep(case.noise_s)
    after_ns = time.time_ns()
    sent = {
        name: sum(json.loads(process.communicate()[0])["sent"] for process in processes)
        for name, processes in loads.items()
    }
    messages = here.settle(30.0)["messages"]
    time.sleep(1.5)  # the outcomes' rows are written once a second
    told = [
        (source, label, round((at_us * 1000 - noise_ns) / 1e9, 1))
        for source, label, at_us in here.ask("/sql", _TOLD_SQL)["rows"]
    ]
    limited_s = max((at_s for _, label, at_s in told if label == "limited"), default=0.0)
    bounds_ns = {
        "before": (began_ns + int(_WARM_UP_S * 1e9), noise_ns),
        "noise, until limited": (noise_ns, noise_ns + int(limited_s * 1e9)),
        "noise, limited": (noise_ns + int(limited_s * 1e9), after_ns),
        "after": (after_ns, after_ns + int(case.after_s * 1e9)),
    }
    spans: dict[str, list[Any]] = {}
    for name, (since_ns, until_ns) in bounds_ns.items():
        [spans[name]] = here.ask("/sql", _LATENCY_SQL % (since_ns // 1000, until_ns // 1000))[
            "rows"
        ]
    stored = sum(d["messages"] for d in here.ask("/devices") if d["device"].startswith("bench"))
    return Noisy(
        sent, stored, messages, told,
        {name: [round(ms, 1) for ms in span[1:] if ms is not None] for name, span in spans.items()},
        {name: span[0] for name, span in spans.items()},
    )  # fmt: skip


@contextmanager
def prepared(case: Case, broker: str = "embedded") -> Iterator[Stand]:
    """Give a stand with a hub, and the configuration of a case."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-noisy-") as folder,
        tempfile.TemporaryDirectory(prefix="weir-hub-", dir="/dev/shm") as hub_folder,  # as path.py
        stand(Path(folder), Path(hub_folder)) as here,
    ):
        here.start_hub()
        here.write_config(config(broker) + f"[devices]\n{case.policy}\n")
        yield here


def measure(case: Case | None = None) -> None:
    """Measure a case, and print what came of it."""
    case = case or Case()
    with prepared(case) as here:
        noisy = run(here, case)
    messages = noisy.messages
    print(
        f"{case.devices} devices at {case.each_hz:g}/s; then one of them at {case.loud_hz:,.0f}/s, "
        f"and {case.garbage_hz:,.0f}/s of garbage"
    )
    for name, span in noisy.honest_ms.items():
        shown = "/".join(map(str, span))
        print(f"{name:>22}  p50/p95/most {shown} ms, {noisy.outcomes[name]:,} outcomes")
    print(f"  honest messages: {noisy.sent['bench']:,} sent, {noisy.stored:,} stored")
    print(f"  all: {json.dumps(messages)}")
    for source, label, at_s in noisy.told:
        print(f"  {at_s:6.1f} s  {source} {label}")


def main() -> None:
    """Measure with the times of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noisy", description=__doc__)
    parser.add_argument("--before", type=float, default=Case().before_s)
    parser.add_argument("--noise", type=float, default=Case().noise_s)
    parser.add_argument("--after", type=float, default=Case().after_s)
    parser.add_argument("--qos", type=int, choices=(0, 1), default=0)
    options = parser.parse_args()
    measure(Case(options.before, options.noise, options.after, qos=options.qos))


if __name__ == "__main__":
    main()

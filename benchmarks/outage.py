"""The hub away under load, then back: what arrives, in which order, and how late.

python -m benchmarks.outage --seconds 60
python -m benchmarks.outage --seconds 60 --cut --in-order-backlog 500
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.kill import GATEWAY, config, start_load
from benchmarks.link import Link, link
from benchmarks.stand import Stand, stand
from benchmarks.truth import Comparison, Told, acknowledged, at_hub, compare, disordered, expected

_BEFORE_S = 2.0
_RETURN_S = 20.0  # most that link and forwarder may take
_AFTER_S = 4.0


@dataclass(frozen=True, slots=True)
class Outage:
    """What came of it.

    Attributes:
        backlog: Outcomes that waited when the hub came back.
        returned_s: From the hub's return to the first outcome there.
        caught_up_s: From then until the last of the backlog was there.
        late: Outcomes that came over the late lane.
        overtook: Outcomes of the live lane that were at the hub before the last of the backlog.
        late_disordered, live_disordered: Sources out of order within a lane; over both together
            it is ``outcomes.disordered``.
        before_ms, after_ms: p50, p95 and the most from a device's publish to the hub's commit, of
            outcomes made before the outage, and of those made after the first was back.
        held_ms: The same of the latter from the leaf's acknowledgement on: how long they lay there.
    """

    seconds: float
    backlog: int
    outcomes: Comparison
    returned_s: float
    caught_up_s: float
    late: int
    overtook: int
    late_disordered: int
    live_disordered: int
    before_ms: list[float]
    after_ms: list[float]
    held_ms: list[float]


@dataclass(frozen=True, slots=True)
class Case:
    """What is done.

    Attributes:
        cut: The link is cut; otherwise the hub is stopped.
        in_order_backlog: As in the configuration.
    """

    seconds: float
    cut: bool = False
    in_order_backlog: int = 5000
    rate_hz: float = 1000.0
    devices: int = 250


async def run(folder: Path, case: Case) -> Outage:
    """Load a gateway, take its hub away for a while, and look at what the hub has in the end."""
    with stand(folder) as here:
        here.start_hub()
        leaf = urlsplit(here.leaf_url)
        with link((str(leaf.hostname), int(leaf.port or 0))) as wire:
            hub = f"nats-leaf://127.0.0.1:{wire.port}" if case.cut else here.leaf_url
            here.write_config(config("embedded", hub, case.in_order_backlog))
            here.start_gateway()
            seconds = _BEFORE_S + case.seconds + _RETURN_S + _AFTER_S
            load = start_load(
                here.broker(), rate_hz=case.rate_hz, devices=case.devices, seconds=seconds, qos=0
            )  # what is in the store is what counts here
            await asyncio.sleep(_BEFORE_S)
            gone_ns, back_ns, backlog = _take_away(here, wire if case.cut else None, case.seconds)
            _await_hub(here)
            await asyncio.sleep(_AFTER_S)
            load.terminate()
            load.communicate()
            here.settle(60.0)
        told = await at_hub(here.hub_url)
        here.stop("gateway")
        outcomes = compare(expected(here.state_dir), told, GATEWAY)
        queued_ns = acknowledged(here.state_dir)
        return _summary(case, told, outcomes, (gone_ns, back_ns, backlog), queued_ns)


def _await_hub(here: Stand) -> None:
    until = time.monotonic() + _RETURN_S
    while not here.ask("/status")["hub"]["up"] and time.monotonic() < until:
        time.sleep(0.1)


def _take_away(here: Stand, wire: Link | None, seconds: float) -> tuple[int, int, int]:
    gone_ns = time.time_ns()
    if wire:
        wire.cut()
    else:
        here.stop("hub")
    time.sleep(seconds)
    backlog: int = here.ask("/status")["outcomes"]["queued"]
    if wire:
        wire.restore()
    else:
        here.start_hub()
    return gone_ns, time.time_ns(), backlog


def _summary(
    case: Case,
    told: list[Told],
    outcomes: Comparison,
    when: tuple[int, int, int],
    queued_ns: dict[str, int],
) -> Outage:
    gone_ns, back_ns, backlog = when
    first_ns = min((t.stored_ns for t in told if t.stored_ns > back_ns - 2e9), default=back_ns)
    waited = [t for t in told if gone_ns / 1e6 < t.end_ms < back_ns / 1e6]
    after = [t for t in told if t.end_ms > first_ns / 1e6]
    last_ns = max((t.stored_ns for t in waited), default=0)
    return Outage(
        seconds=case.seconds,
        backlog=backlog,
        outcomes=outcomes,
        returned_s=round((first_ns - back_ns) / 1e9, 2),
        caught_up_s=round((last_ns - first_ns) / 1e9, 2),
        late=sum(t.late for t in told),
        overtook=sum(not t.late and t.stored_ns < last_ns for t in after),
        late_disordered=disordered(t for t in told if t.late),
        live_disordered=disordered(t for t in told if not t.late),
        before_ms=_spread([t.delay_ms for t in told if t.end_ms < gone_ns / 1e6 - 500]),
        after_ms=_spread([t.delay_ms for t in after]),
        held_ms=_spread([(t.stored_ns - queued_ns[t.id]) / 1e6 for t in after]),
    )


def _spread(values: list[float]) -> list[float]:
    if not values:
        return []
    return [round(float(v), 1) for v in np.percentile(values, (50, 95, 100))]


def main() -> int:
    """Take the hub away and print what came of it; return 0 if nothing is missing or twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cut", action="store_true", help="cut the link instead")
    parser.add_argument("--in-order-backlog", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=1000.0, help="messages per second")
    parser.add_argument("--devices", type=int, default=250)
    options = parser.parse_args()
    case = Case(
        options.seconds, options.cut, options.in_order_backlog, options.rate, options.devices
    )
    with tempfile.TemporaryDirectory(prefix="weir-outage-") as folder:
        outage = asyncio.run(run(Path(folder), case))
    print(json.dumps(asdict(outage)))
    return 0 if outage.outcomes.exact else 1


if __name__ == "__main__":
    sys.exit(main())

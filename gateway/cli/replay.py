"""``weir replay``: a table of sensor data, published as a device would publish it."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from rich.progress import Progress

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    err,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.table_file import TableError, TableFile, read_table
from gateway.cli.text import counted
from gateway.client import ask
from gateway.demo.dialects import DIALECTS, Dialect
from gateway.errors import BrokerError
from gateway.topics import token

_IN_FLIGHT = 200
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is published where.

    Attributes:
        speed: Rows' own time by wall time; 0: as fast as it goes.
    """

    table: TableFile
    device: str
    dialect: Dialect
    speed: float
    host: str
    port: int


def replay(
    file: Annotated[Path, typer.Argument(help="CSV with a column of times and columns of numbers")],
    dialect: Annotated[str, typer.Option("--as", help=f"firmware: {', '.join(DIALECTS)}")] = "json",
    speed: Annotated[float, typer.Option(help="1: as it was; 0: as fast as it goes")] = 0.0,
    device: Annotated[str, typer.Option(help="its name; default: the file's")] = "",
    skip: Annotated[str, typer.Option(help="columns left out")] = "anomaly,changepoint,label",
    broker: Annotated[str, typer.Option(help="host:port; default: the gateway's")] = "",
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Publish a table of sensor data to the gateway as a device would, at QoS 1.

    The rows keep their distances in time and are moved so that the last one is now.

    Example: `weir replay pump.csv --as tasmota --speed 10`
    """
    with told():
        path = settings(config, state_dir).socket_path
        if dialect not in DIALECTS:
            raise typer.BadParameter(f"{dialect!r}; one of {', '.join(DIALECTS)}")
        address = broker or str(ask(path, "/status")["broker"]["url"]).partition("://")[2]
        host, _, port = address.strip("/").partition(":")
        table = read_table(file, [name.strip() for name in skip.split(",")])
        _check_times(table, dialect)
        plan = Plan(
            table, device or token(file.stem), DIALECTS[dialect], speed, host, int(port or 1883)
        )
        since_ns = asyncio.run(_publish(plan, quiet=json))
        report = _await_stored(path, plan, since_ns)
    if json:
        print_json(report)
    else:
        rows, metrics = counted(report["rows"], "row"), counted(report["metrics"], "metric")
        out.print(
            f"{rows} x {metrics} = {report['expected']:,} readings; "
            f"{report['stored']:,} are in the store"
        )
    raise typer.Exit(0 if report["stored"] == report["expected"] else 1)


def _check_times(table: TableFile, dialect: str) -> None:
    """Refuse rows that this firmware could not tell apart: the store keeps one of them.

    Raises:
        TableError: With the first such row.
    """
    step_s = DIALECTS[dialect].step_s
    for number, (earlier, later) in enumerate(pairwise(table.seconds), start=3):
        if later - earlier < step_s * 0.999:  # times of a file are decimal fractions
            raise TableError(
                f"line {number}: {later - earlier:.6g} s after the row before; as {dialect} rows "
                f"must be {step_s:g} s apart in the order of their times"
            )


async def _publish(plan: Plan, *, quiet: bool) -> int:
    """Publish all rows; return the time (Unix ns) that the first one bears."""
    client = Client(CallbackAPIVersion.VERSION2, f"weir-replay-{plan.device}")
    client.max_inflight_messages_set(_IN_FLIGHT)
    try:
        client.connect(plan.host, plan.port)
    except OSError as exc:
        raise BrokerError(f"{plan.host}:{plan.port}: {exc}; name it with --broker") from exc
    client.loop_start()
    table = plan.table
    ahead_s = table.seconds[-1] / plan.speed if plan.speed else 0.0
    start = time.time()
    base_ns = int((start + ahead_s - table.seconds[-1]) * 1e6) * 1000
    with Progress(disable=quiet, console=err) as progress:
        task = progress.add_task(plan.device, total=len(table.rows))
        for at_s, message in _messages(plan, base_ns):
            if plan.speed:
                await asyncio.sleep(max(0.0, start + at_s / plan.speed - time.time()))
            info = client.publish(*message, qos=1)
            if info.mid % _IN_FLIGHT == 0:
                await asyncio.to_thread(info.wait_for_publish, _WAIT_S)
            progress.advance(task)
        await asyncio.to_thread(info.wait_for_publish, _WAIT_S)
    client.disconnect()
    client.loop_stop()
    return base_ns


def _messages(plan: Plan, base_ns: int) -> Iterator[tuple[float, tuple[str, bytes]]]:
    for at_s, values in zip(plan.table.seconds, plan.table.rows, strict=True):
        named = dict(zip(plan.table.columns, values, strict=True))
        known = {name: number for name, number in named.items() if number is not None}
        yield at_s, plan.dialect.message(plan.device, known, base_ns + int(at_s * 1e6) * 1000)


def _await_stored(path: Path, plan: Plan, since_ns: int) -> dict[str, Any]:
    """Wait until the store has all readings, at most 30 s, and say how many it has."""
    expected = sum(number is not None for row in plan.table.rows for number in row)
    until = time.monotonic() + _WAIT_S
    while True:
        device = plan.device.replace("'", "''")
        found = ask(
            path,
            "/sql",
            f"SELECT count(value) FROM readings WHERE device = '{device}'"  # noqa: S608 - only reading, our own store
            f" AND epoch_us(time) >= {since_ns // 1000 - 1_000_000}",
        )
        stored = int(found["rows"][0][0])
        if stored >= expected or time.monotonic() > until:
            break
        time.sleep(0.2)
    rows, metrics = len(plan.table.rows), len(plan.table.columns)
    return {
        "device": plan.device,
        "rows": rows,
        "metrics": metrics,
        "expected": expected,
        "stored": stored,
    }

"""Reads a CSV table of sensor data: one column of times, columns of numbers."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import GatewayError

_TIME_NAMES = {"time", "timestamp", "datetime", "date", "ts"}


class TableError(GatewayError):
    """The file cannot be read as a table of sensor data."""

    code = "table"


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table.

    Attributes:
        columns: Names of the columns of numbers.
        seconds: Time of each row since the first; a second apart where the file has no times.
        rows: Each row's numbers; None where the cell is empty.
    """

    columns: list[str]
    seconds: list[float]
    rows: list[list[float | None]]


def read_table(path: Path, skip: list[str]) -> TableFile:
    """Read a CSV file; the delimiter is found out.

    Args:
        path: The file.
        skip: Columns to leave out.

    Raises:
        TableError: With the line that is wrong.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.read(4096)
            file.seek(0)
            dialect = csv.Sniffer().sniff(head.partition("\n")[0] + "\n", ",;\t|")
            lines = [line for line in csv.reader(file, dialect) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise TableError(f"{path}: not readable as CSV: {exc}") from exc
    if len(lines) < 2:
        raise TableError(f"{path}: no rows below the header")
    header, body = lines[0], lines[1:]
    at = next((i for i, name in enumerate(header) if name.strip().lower() in _TIME_NAMES), None)
    taken = [i for i, name in enumerate(header) if i != at and name.strip() not in skip]
    times = [_seconds(path, n, line, at) for n, line in enumerate(body, start=2)]
    rows = [[_number(path, n, line, i) for i in taken] for n, line in enumerate(body, start=2)]
    return TableFile([header[i].strip() for i in taken], [t - times[0] for t in times], rows)


def _seconds(path: Path, number: int, line: list[str], at: int | None) -> float:
    if at is None:
        return float(number)
    cell = line[at].strip()
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(cell).replace(tzinfo=UTC).timestamp()
    except ValueError as exc:
        raise TableError(f"{path}: line {number}: {cell!r} is not a time") from exc


def _number(path: Path, number: int, line: list[str], at: int) -> float | None:
    cell = line[at].strip() if at < len(line) else ""
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError as exc:
        raise TableError(
            f"{path}: line {number}: {cell!r} is not a number; leave its column out with --skip"
        ) from exc

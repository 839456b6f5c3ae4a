"""What the commands share: where they print, and how they end when something is wrong."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.config import Settings, load_settings
from gateway.errors import ConfigError, GatewayError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

SYSTEM_CONFIG = Path("/etc/weir/gateway.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="gateway.toml; default: $WEIR_CONFIG, /etc/weir, or none"),
]
StateOption = Annotated[
    Path | None, typer.Option("--state-dir", help="state directory of the gateway to ask")
]
JsonOption = Annotated[bool, typer.Option("--json", help="for programs: JSON")]


def settings(config: Path | None, state_dir: Path | None = None, **tables: Any) -> Settings:  # noqa: ANN401 - as TOML has them
    """Load the configuration that a command speaks of.

    Raises:
        ConfigError: With all that is wrong.
    """
    named = os.environ.get("WEIR_CONFIG")
    path = config or (Path(named) if named else None)
    if path is None and SYSTEM_CONFIG.is_file():
        path = SYSTEM_CONFIG
    if state_dir:
        tables.setdefault("gateway", {})["state_dir"] = str(state_dir)
    return load_settings(path, **tables)


@contextmanager
def told() -> Iterator[None]:
    """Turn an error of ours into its text and an exit code: 78 for the configuration, else 1."""
    try:
        yield
    except ConfigError as exc:
        for problem in exc.problems:
            err.print(f"[red]error:[/red] {_plain(problem)}")
        raise typer.Exit(exc.exit_code) from exc
    except GatewayError as exc:
        err.print(f"[red]error:[/red] {_plain(str(exc))}")
        raise typer.Exit(1) from exc


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON document on one line."""
    sys.stdout.write(orjson.dumps(document, default=str).decode() + "\n")


def table(*columns: str, title: str | None = None) -> Table:
    """Return a table with left-aligned columns; one named ``#...`` is right-aligned."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column.startswith("#")
        made.add_column(column.lstrip("#"), justify="right" if number else "left")
    return made


def _plain(text: str) -> str:
    return text.replace("[", "\\[")

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
from rich.markup import escape
from rich.table import Table

from gateway.config import CONFIG_VARIABLE, Settings, load_settings, load_usable_settings
from gateway.errors import ConfigError, GatewayError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)  # a log's line is not broken

SYSTEM_CONFIG = Path("/etc/weir/gateway.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", help=f"gateway.toml; default: ${CONFIG_VARIABLE}, {SYSTEM_CONFIG}, none"
    ),
]
StateOption = Annotated[
    Path | None, typer.Option("--state-dir", help="the gateway's state directory")
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="one line of JSON")]


def settings(
    config: Path | None,
    state_dir: Path | None = None,
    *,
    existing: bool = False,
    **tables: Any,  # noqa: ANN401 - as TOML has them
) -> Settings:
    """Load the configuration that a command speaks of.

    Args:
        config: The file named on the command line, if any.
        state_dir: Wins over the configuration's.
        existing: Files and folders named in it must be there.
        tables: What else the command line says.

    Raises:
        ConfigError: With all that is wrong.
    """
    path = configuration_file(config)
    if state_dir:
        tables.setdefault("gateway", {})["state_dir"] = str(state_dir.absolute())
    load = load_usable_settings if existing else load_settings
    return load(path, **tables)


def configuration_file(config: Path | None) -> Path | None:
    """Return the ``gateway.toml`` that a command speaks of, None where there is none.

    Args:
        config: The one named on the command line, if any.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if config or named:
        return config or Path(str(named))
    return SYSTEM_CONFIG if SYSTEM_CONFIG.is_file() else None


@contextmanager
def told() -> Iterator[None]:
    """Turn an error of ours into its text and an exit code: 78 for the configuration, else 1."""
    try:
        yield
    except ConfigError as exc:
        for problem in exc.problems:
            complain(problem)
        raise typer.Exit(exc.exit_code) from exc
    except GatewayError as exc:
        complain(str(exc))
        raise typer.Exit(1) from exc
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # as a shell has it: 128 and SIGINT's number


def complain(problem: str) -> None:
    """Print what is wrong to standard error."""
    err.print(f"[red]error:[/red] {escape(problem)}")


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON document on one line."""
    sys.stdout.write(orjson.dumps(document, default=str).decode() + "\n")
    sys.stdout.flush()  # a program at a pipe's other end waits for each


def table(*columns: str) -> Table:
    """Return a table with left-aligned columns.

    One named ``#...`` is right-aligned; one named ``!...`` is never broken or cut.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            column.lstrip("#!"),
            justify="right" if column.startswith("#") else "left",
            no_wrap=column.startswith(("#", "!")),
            overflow="fold",
        )
    return made


def cells(*texts: object) -> list[str]:
    """Return data as a row's cells: a topic or payload may hold what looks like rich's markup."""
    return [escape("" if text is None else str(text)) for text in texts]

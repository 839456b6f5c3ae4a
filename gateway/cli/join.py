"""``weir join`` and ``weir leave``: where outcomes go."""

import asyncio
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    complain,
    configuration_file,
    err,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.text import counted
from gateway.client import NotRunningError, RefusedError, ask
from gateway.config import Settings
from gateway.errors import ConfigError
from gateway.joining.arrival import Arrival, wait_for_arrival
from gateway.joining.login import Invitation, invitation
from gateway.joining.papers import Papers
from gateway.joining.services import restart, running_units
from gateway.joining.trial import Trial, try_hub

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="seconds to wait for the first outcome at the hub")
]


def join(
    url: Annotated[str, typer.Argument(help="nats-leaf://host:7422, tls://host or wss://host")],
    creds: Annotated[Path | None, typer.Option(metavar="FILE", help="NATS credentials")] = None,
    token: Annotated[
        str, typer.Option(help="what the hub wants to hear; others on this box can see it here")
    ] = "",
    token_file: Annotated[
        str, typer.Option(metavar="FILE", help="the same from a file; - to type it or pipe it in")
    ] = "",
    user: Annotated[str, typer.Option(help="with it the token is this user's password")] = "",
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the authority behind its certificate")
    ] = None,
    untried: Annotated[
        bool, typer.Option("--untried", metavar="", help="the hub need not answer now")
    ] = False,
    wait_s: WaitOption = 30.0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Connect this gateway to a hub: try it, write it down, and show the first outcome there.

    Nothing is changed before the hub has taken a link. The table goes to gateway.d/hub.toml,
    secrets to files that only the gateway may read.

    Example: `weir join tls://hub.example.org --user shop-01 --token-file -`
    """
    with told():
        chosen, papers = _ours(config)
        asked = invitation(
            url, token=_token(token, token_file, user), user=user, creds=creds, ca=ca
        )
        _warn(token, asked)
        trial = None if untried else _try(chosen, asked, quiet=json)
        papers.write(asked)
    if not json:
        _say(f"[green]written[/green] {escape(str(papers.table))}")
    units, todo = _take_up(quiet=json)
    found = wait_for_arrival(
        chosen,
        asked.url,
        wait_s,
        lambda each: None if json else _say_change(each),
        restarted=bool(units) and not todo,
    )
    if json:
        print_json(_document(asked.url, trial, todo, found))
    else:
        _say_arrival(found, todo)


def leave(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Take the hub back that `weir join` wrote. Outcomes are kept, for the next hub.

    Example: `weir leave`
    """
    with told():
        chosen, papers = _ours(config)
        queued = _queued(chosen)
        there = papers.remove()
        left = settings(config).hub.shown_url
    units, todo = _take_up(quiet=json) if there else ([], "")
    if there and not units and queued is not None:
        todo = "restart the gateway that runs"
    if json:
        print_json({"left": there, "todo": todo, "hub": left, "queued": queued})
        return
    _say("left" if there else "no hub was joined; nothing is changed")
    if left:
        _say(f"another part of the configuration still names a hub: {left}")
    if queued is not None:
        _say(f"{counted(queued, 'outcome')} waited here; they are kept, with all that come")
    if todo:
        _say(f"to take it up: {todo}")


def _ours(config: Path | None) -> tuple[Settings, Papers]:
    path = configuration_file(config)
    if path is None:
        raise ConfigError(
            ["there is no gateway.toml beside which to write gateway.d/hub.toml; name one with -c"]
        )
    chosen = settings(config)
    return chosen, Papers(path, chosen.gateway.state_dir)


def _token(token: str, file: str, user: str) -> str:
    """Return the token, wherever it comes from."""
    if token and file:
        raise ConfigError(["--token and --token-file: one of them is enough"])
    if not file:
        return token
    try:
        if file != "-":
            found = Path(file).read_text(encoding="utf-8")
        elif sys.stdin.isatty():
            found = getpass.getpass(f"password of {user}: " if user else "token: ")
        else:
            found = sys.stdin.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"--token-file {file!r}: {exc}"]) from exc
    if not found.strip():
        raise ConfigError([f"--token-file {file!r}: there is nothing in it"])
    return found.strip()


def _warn(token: str, asked: Invitation) -> None:
    if token:
        err.print(
            "[yellow]note:[/yellow] a token on the command line can be seen by everyone on this "
            "box and stays in the shell's history; --token-file - does not show it"
        )
    if asked.is_open_to_listeners:
        err.print(
            "[yellow]note:[/yellow] over this url the login goes unencrypted; use tls:// or wss://"
        )


def _try(chosen: Settings, asked: Invitation, *, quiet: bool) -> Trial:
    """Try the hub.

    Raises:
        Exit: It did not take the link; nothing was changed.
    """
    with _status(f"trying {asked.url}", quiet=quiet):
        trial = asyncio.run(try_hub(chosen, asked))
    if not trial.linked:
        complain(f"{trial.reason}. Nothing was changed; --untried writes it all the same")
        raise typer.Exit(1)
    if quiet:
        return trial
    _say("[green]the hub takes the link[/green]")
    if trial.takes_outcomes:
        _say(f"[green]its stream answers[/green] {chosen.gateway.name}")
    else:
        _say(
            f"[yellow]it takes no outcomes yet[/yellow]: {escape(trial.outcomes_reason)}; or it "
            f"lets nobody publish as {chosen.gateway.name}, this gateway's name. "
            "Outcomes wait on the box"
        )
    return trial


@contextmanager
def _status(text: str, *, quiet: bool) -> Iterator[None]:
    if quiet:
        yield
    else:
        with err.status(text):
            yield


def _take_up(*, quiet: bool) -> tuple[list[str], str]:
    """Have the units that run read their configuration; return them, and what is left to do."""
    units = running_units()
    if not units:
        return [], ""
    with _status(f"restarting {', '.join(units)}", quiet=quiet):
        return units, restart(units)


def _queued(chosen: Settings) -> int | None:
    try:
        return int(ask(chosen.socket_path, "/status", limit_s=5.0)["outcomes"]["queued"])
    except (NotRunningError, RefusedError):
        return None


def _say_change(found: Arrival) -> None:
    if found.up and not found.is_there:
        _say(f"[green]the link is up[/green]; {counted(found.queued, 'outcome')} to bring over")


def _say_arrival(found: Arrival, todo: str) -> None:
    if found.is_there:
        _say(f"[green]{counted(found.forwarded, 'outcome')} at the hub[/green]; the newest:")
        if found.packet:
            out.print(found.packet, markup=False, soft_wrap=True)
    elif found.up:
        _say("no outcome yet: it goes as soon as a plugin tells one (weir outcomes)")
    elif todo:
        _say(f"to take it up: {todo}")
    elif found.silent:
        _say("no gateway runs here now; it takes the hub up when it starts")
    elif not found.running:
        _say(f"not taken up yet: {escape(found.reason)}. Restart the gateway that runs")
    else:
        waits = counted(found.queued, "outcome")
        _say(f"[yellow]{waits} wait here[/yellow]: {escape(found.reason)} (weir status)")


def _document(url: str, trial: Trial | None, todo: str, found: Arrival) -> dict[str, Any]:
    packet = orjson.loads(found.packet) if found.packet else None
    return {
        "hub": url,
        "trial": asdict(trial) if trial else None,
        "todo": todo,
        **asdict(found),
        "packet": packet,
    }


def _say(text: str) -> None:
    out.print(text, soft_wrap=True)

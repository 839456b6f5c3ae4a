"""``weir pair``: a device that nobody knows is heard, and let in when the operator says so."""

import asyncio
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.access.door import Door, Visitor
from gateway.access.errors import AccessError
from gateway.access.hosts import addresses, host_names
from gateway.cli.access import folder_of
from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    complain,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.device_admission import let_in, show
from gateway.cli.device_lines import Entry
from gateway.cli.device_topics import DEFAULT_PROFILE, Dialect
from gateway.cli.pairing import Guess, Guesser, settings_over_mqtt
from gateway.cli.text import one_line
from gateway.errors import ConfigError

_PORT = 1882
_LOOK_S = 0.3
_SETTLE_S = 2.0
"""After a device has come: it says who it is in its first messages."""
_LEAST_PASSWORD = 8
_COMMON_USERS = {"DVES_USER"}  # Tasmota's default, the same in every one


def pair(
    minutes: Annotated[float, typer.Option(min=0.01, max=120, help="how long")] = 10.0,
    port: Annotated[int, typer.Option(help="where devices are heard")] = _PORT,
    listen: Annotated[str, typer.Option(help="address to listen on; default: all")] = "",
    yes: Annotated[
        list[str] | None, typer.Option(help="accept the device of this name unasked; repeat it")
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", metavar="", help="devices keep the user and password they bring"),
    ] = False,
    host: Annotated[str, typer.Option(help="the box, as devices reach it")] = "",
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Hear devices that nobody knows, and let in those that you accept.

    Point a device at the box and this port, 1882, without user and password. What it says is shown
    here and goes nowhere else. One that you accept gets a user and a password of its own: Tasmota
    and newer Shellys are told, for others the settings are printed. The port closes with the time,
    or with this command.

    Exit code 1 when a device of --yes did not come.

    Example: `weir pair --minutes 10`
    """
    with told():
        chosen = settings(config, state_dir)
        folder = folder_of(config, state_dir)
        guesser = Guesser(chosen.profile_dirs, chosen.gateway.timezone)
        where = host or (*addresses(), host_names()[0])[0]
        desk = Desk(folder, chosen.profile_dirs, where, keep=keep, json=json)
        with _Doorman(listen, port, minutes * 60) as doorman:
            if not json:
                out.print(
                    f"for {minutes:g} min devices are heard on {where}, port {doorman.door.port}, "
                    "without user and password; Ctrl-C ends it",
                    soft_wrap=True,
                )
            missing = _serve(doorman, guesser, desk, list(yes or []))
        if json:
            print_json(desk.accepted)
    if missing:
        complain(f"did not come: {', '.join(missing)}")
        raise typer.Exit(1)


class _Doorman:
    """Holds the door open on a thread of its own, so that it closes while somebody is asked."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.door = Door()
        self._where = (host, port)
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._opened: Future[None] = Future()
        self._close = asyncio.Event()
        self._thread = Thread(target=self._run, name="door", daemon=True)

    def __enter__(self) -> "_Doorman":
        self._thread.start()
        try:
            self._opened.result(10)
        except OSError as exc:
            raise ConfigError(
                [f"--port {self._where[1]}: {exc.strerror}; is another `weir pair` running?"]
            ) from exc
        return self

    def __exit__(self, *_: object) -> None:
        if self.open:
            self._loop.call_soon_threadsafe(self._close.set)
        self._thread.join(5)

    @property
    def open(self) -> bool:
        """Say whether devices can still come."""
        return self._thread.is_alive()

    def tell(self, visitor: Visitor, topic: str, payload: bytes) -> bool:
        """Say something to a device; return whether it is there to hear it."""
        if not self.open:
            return False
        said = asyncio.run_coroutine_threadsafe(self.door.tell(visitor, topic, payload), self._loop)
        return said.result(5)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._hold())
        finally:
            self._loop.close()

    async def _hold(self) -> None:
        try:
            async with self.door.open(*self._where):
                self._opened.set_result(None)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._close.wait(), self._seconds)
        except OSError as exc:
            if not self._opened.done():
                self._opened.set_exception(exc)


class Desk:
    """Where devices are accepted.

    Attributes:
        accepted: What was let in, as `weir device add --json` has it.
    """

    def __init__(
        self, folder: Path, profile_dirs: list[Path], host: str, *, keep: bool, json: bool
    ) -> None:
        self.accepted: list[dict[str, Any]] = []
        self._folder = folder
        self._dirs = profile_dirs
        self._host = host
        self._keep = keep
        self._json = json

    def accept(self, doorman: _Doorman, visitor: Visitor, guess: Guess) -> None:
        """Let a device in, and tell it so where that can be.

        Raises:
            AccessError: Its name or topics are another's.
            ConfigError: Its profile names no topics of one device.
        """
        topics = Dialect(guess.profile or DEFAULT_PROFILE, self._dirs).topics_of(guess.name)
        user, password = self._brought(visitor)
        [found] = let_in(self._folder, [(user or guess.name, topics)], password=password)
        self.accepted.append({**found, "host": self._host, "keeps_its_own": bool(user)})
        if user:
            self._say(f"{user} keeps its password; its port is to be 1883")
            return
        entry = Entry(self._host, found["name"], found["password"], guess.name)
        messages = settings_over_mqtt(visitor, guess.profile, entry)
        sent = bool(messages) and all(doorman.tell(visitor, *each) for each in messages)
        self.accepted[-1]["sent"] = sent
        if not self._json:
            show([found], self._folder, self._host, json=False, topic=guess.name)
        if sent:
            self._say(f"{found['name']} was sent these settings and should come to port 1883 now")

    def _brought(self, visitor: Visitor) -> tuple[str, str]:
        """Return the user and password that a device keeps; "" for none."""
        user, password = visitor.connect.user, visitor.connect.password
        if not self._keep or not user or user in _COMMON_USERS:
            return "", ""
        if len(password) < _LEAST_PASSWORD:
            self._say(f"{user}: its password is shorter than {_LEAST_PASSWORD}; it gets a new one")
            return "", ""
        return user, password

    def _say(self, text: str) -> None:
        if not self._json:
            out.print(text, markup=False, soft_wrap=True)


def _serve(doorman: _Doorman, guesser: Guesser, desk: Desk, wanted: list[str]) -> list[str]:
    """Show and ask until the time is over or all that are wanted came; return who did not."""
    asking = sys.stdin.isatty() and not wanted and not desk._json  # noqa: SLF001 - of this file
    seen: set[tuple[str, str]] = set()
    missing = list(wanted)
    while doorman.open and (missing or not wanted):
        time.sleep(_LOOK_S)
        for key, visitor in list(doorman.door.visitors.items()):
            if key in seen or time.monotonic() - visitor.first_s < _SETTLE_S:
                continue
            seen.add(key)
            guess = guesser.guess(visitor)
            named = {guess.name, visitor.connect.client_id, visitor.connect.user} & set(missing)
            _show(visitor, guess, quiet=desk._json)  # noqa: SLF001 - of this file
            missing = [name for name in missing if name not in named]
            chosen = guess if named else _ask(guess) if asking else None
            if chosen is not None:
                try:
                    desk.accept(doorman, visitor, chosen)
                except (AccessError, ConfigError) as exc:
                    complain(str(exc))
    return missing


def _show(visitor: Visitor, guess: Guess, *, quiet: bool) -> None:
    if quiet:
        return
    connect = visitor.connect
    login = f", user {connect.user!r}" if connect.user else ", no user"
    firmware = guess.profile + ("" if guess.sure else "?") if guess.profile else "unknown"
    out.print(f"\n[bold]{escape(guess.name)}[/bold]: firmware {escape(firmware)}, "
              f"from {visitor.address}, client id {escape(repr(connect.client_id))}{escape(login)}",
              soft_wrap=True)  # fmt: skip
    for topic, payload in list(visitor.topics.items())[:5]:
        said = f"  {one_line(topic, 60)}  {one_line(payload.decode(errors='replace'), 60)}"
        # Nobody knows who this is: no escape sequences for the operator's terminal.
        said = "".join(c if c.isprintable() else "." for c in said)
        out.print(said, markup=False, soft_wrap=True)
    if not visitor.topics:
        out.print("  it said nothing yet")


def _ask(guess: Guess) -> Guess | None:
    """Ask whether to let a device in, and under which name; None for no."""
    said = typer.prompt(
        f"let it in as {guess.name}? y, n, or another name", default="n", show_default=False
    ).strip()
    if said.lower() in {"n", "no", ""}:
        return None
    if said.lower() in {"y", "yes"}:
        return guess
    return Guess(said, guess.profile, guess.sure)

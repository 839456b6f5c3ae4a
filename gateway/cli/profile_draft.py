"""The command that writes a first profile from what the gateway hears: draft."""

import os
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.profile_explain import print_near
from gateway.cli.text import counted
from gateway.client import ask
from gateway.deadletters import OTHER_TOPICS, PAYLOAD_BYTES, Heard
from gateway.errors import ConfigError
from gateway.model import RawMessage
from gateway.profiles import Catalog
from gateway.profiles.draft import draft as draft_profile
from gateway.profiles.folders import PROFILE_FILE, find
from gateway.profiles.guesses import is_command
from gateway.profiles.nearest import Recognition
from gateway.profiles.vectors import VECTORS_FILE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHOWN_COMMANDS = 5


def draft(
    name: Annotated[str, typer.Argument(help="the new profile's name")],
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="how long to listen")] = 60.0,
    prefix: Annotated[str, typer.Option(help="only topics that begin so")] = "",
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="where the profile's folder is made")
    ] = Path(),
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Listen to what no profile claims or can read, and write a first profile with vectors from it.

    Needs a running gateway. The draft is not active: it is for you to look over, and to copy
    into the gateway's folder of profiles.

    Example: `weir profile draft meteo --seconds 60 --prefix meteo/`
    """
    with told():
        chosen = settings(config, state_dir)
        folder = _new_folder(name, directory, chosen.profile_dirs)
        if not json:
            out.print(f"listening for {seconds:g} s to what no profile claims or can read ...")
        heard = [h for h in _listen(chosen.socket_path, seconds) if _begins(h, prefix)]
        messages = [each.message for each in heard]
        if all(is_command(message.topic) for message in messages):
            what = "nothing but commands" if messages else "nothing"
            raise ConfigError([f"{what} came that no profile reads; try longer, or no --prefix"])
        others = Catalog.load(chosen.profile_dirs, chosen.gateway.timezone)
        refused = Counter((h.profile, h.reason) for h in heard if h.profile)
        drafted = draft_profile(name, messages, others, sorted({p for p, _ in refused}))
        near = Recognition(others).nearest_to_any(messages)
        files = _write(folder, drafted.profile, drafted.vectors)
    activate = _activation(folder, chosen.profile_dirs[-1])
    if json:
        refusals = [{"profile": p, "reason": r, "messages": n} for (p, r), n in refused.items()]
        print_json(
            {"messages": len(messages), "files": files, "refused": refusals,
             "commands": list(drafted.commands), "activate": activate}
        )  # fmt: skip
        return
    topics = len({message.topic for message in messages})
    _say(f"{counted(len(messages), 'message')} on {counted(topics, 'topic')}: wrote {files[0]}")
    _say(f"and {files[1]}")
    for (profile, reason), count in refused.items():
        said = f"profile {profile} takes and refuses ({reason}); the draft is asked before it"
        _say(f"{count} of them {said}")
    if drafted.commands:
        shown = ", ".join(drafted.commands[:_SHOWN_COMMANDS])
        _say(f"left out, for they look like commands to the device: {shown}")
    for each in near:
        print_near(each)
    at = shlex.quote(str(folder))
    _say("It is not active. Look over what it guesses, then:")
    _say(f"  weir profile lint {at} && weir profile test {at}")
    _say(f"  {activate}")


def _say(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)


def _new_folder(name: str, directory: Path, dirs: list[Path]) -> Path:
    """Return where a draft goes.

    Raises:
        ConfigError: There is something, it would be active at once, or take another's place.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError([f"{name!r}: a profile's name has letters, digits and _ . - only"])
    folder = directory.absolute() / name
    if folder.exists():
        raise ConfigError([f"{folder}: is there already; choose another name or --out"])
    if name in find(dirs):
        raise ConfigError([f"a profile {name!r} is in use, and would be replaced; choose another"])
    if any(folder.resolve().is_relative_to(each.resolve()) for each in dirs):
        raise ConfigError(
            [f"{folder.parent}: a profile in it is active at once; name another folder with --out"]
        )
    return folder


def _write(folder: Path, profile: str, vectors: str) -> list[str]:
    made = [folder / PROFILE_FILE, folder / VECTORS_FILE]
    try:
        folder.mkdir(parents=True)
        for file, text in zip(made, (profile, vectors), strict=True):
            file.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError([f"{folder}: {exc.strerror}"]) from exc
    return [str(file) for file in made]


def _activation(folder: Path, own: Path) -> str:
    """Return the command that makes a draft active."""
    own = own.absolute()
    there = next(each for each in (own, *own.parents) if each.exists())
    sudo = "" if os.access(there, os.W_OK | os.X_OK) else "sudo "
    return f"{sudo}cp -r {shlex.quote(str(folder))} {shlex.quote(f'{own}/')}"


def _begins(heard: Heard, prefix: str) -> bool:
    return heard.message.topic.startswith(prefix)


def _listen(socket: Path, seconds: float) -> list[Heard]:
    """Return what came while listening, and the last of each topic that came only before.

    What is sent seldom or was kept by the broker, as a last will, is among these.
    """
    rows = ask(socket, "/unclaimed/listen", str(seconds), limit_s=seconds + 10)
    heard = [_heard(row) for row in rows]
    topics = {each.message.topic for each in heard}
    for row in ask(socket, "/unclaimed"):
        payload = bytes.fromhex(row["payload"])
        if row["topic"] not in {*topics, OTHER_TOPICS} and len(payload) < PAYLOAD_BYTES:
            heard.append(Heard(RawMessage(row["topic"], payload, row["last_ns"])))
    return heard


def _heard(row: dict[str, Any]) -> Heard:
    payload = bytes.fromhex(row["payload"])
    message = RawMessage(row["topic"], payload, row["received_ns"], retained=row["retained"])
    return Heard(message, row["profile"], row["reason"])

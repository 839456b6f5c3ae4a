#!/usr/bin/env python3
"""Makes the manual pages and the shell completions from the commands themselves.

    packaging/make_man.py build/man

writes ``weir.1``, a page ``weir-<command>.1`` for each command, and ``completion/`` with
``weir.bash``, ``_weir`` (zsh) and ``weir.fish``. The pages are the help that `--help` shows, so
that the two cannot differ; for the same bytes each time the date is ``SOURCE_DATE_EPOCH``'s.
"""

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import typer
from typer._click.core import Command
from typer._completion_shared import get_completion_script  # no public name gives the text
from typer.core import TyperGroup as Group
from typer.main import get_command

from gateway import __version__
from gateway.cli.main import weir

SHELLS = {"bash": "weir.bash", "zsh": "_weir", "fish": "weir.fish"}

_FILES = """\
.TP
.I /etc/weir/gateway.toml
The configuration; files of
.I gateway.d
beside it are read after it, and no upgrade asks about those.
.TP
.I /var/lib/weir
What the gateway keeps: the store, what waits for the hub, plugins, profiles and cameras.
"""
_EXIT = """\
.TP
.B 0
All is well.
.TP
.B 1
It did not work; trying again may help.
.TP
.B 2
The command line is wrong.
.TP
.B 78
The configuration is wrong; trying again does not help.
"""


def roff(text: str) -> str:
    """Return text as troff takes it: no line is a request, no hyphen or backslash is lost."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(
        r"\&" + line if line.startswith((".", "'")) else line for line in escaped.splitlines()
    )


def paragraphs(text: str) -> str:
    """Return a docstring: paragraphs apart, what stands in backquotes in bold."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        flat = roff(" ".join(paragraph.split()))
        found.append(re.sub(r"`([^`]+)`", r"\\fB\1\\fR", flat))
    return "\n.PP\n".join(found)


def page(title: str, summary: str, parts: Iterator[tuple[str, str]]) -> str:
    """Return one page.

    Args:
        title: Its name, as ``weir-run``.
        summary: For ``apropos``: one line.
        parts: Heading and content of each section.
    """
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(epoch))
    head = f'.TH "{title.upper()}" 1 "{date}" "weir {__version__}" "Weir edge AI gateway"\n'
    name = f".SH NAME\n{roff(title)} \\- {roff(summary)}\n"
    return (
        head + name + "".join(f".SH {heading}\n{content.rstrip()}\n" for heading, content in parts)
    )


def summary(command: Command) -> str:
    """Return the first sentence of a command's help, without its mark-up and full stop."""
    first = " ".join((command.help or "").split("\n\n")[0].split()).replace("`", "")
    sentence = first[0].lower() + first[1:] if first[1:2].islower() else first
    return re.split(r"(?<=[a-z0-9)])\. ", sentence)[0].rstrip(".")


def synopsis(command: Command, called: str) -> str:
    """Return how a command is called."""
    context = typer.Context(command, info_name=called)
    words = " ".join(command.collect_usage_pieces(context))
    return f".B {roff(called)}\n{roff(words)}\n"


def options(command: Command) -> str:
    """Return a command's arguments and options with their help."""
    context = typer.Context(command)
    found = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record:
            names, said = record
            found.append(f".TP\n.B {roff(names.strip())}\n{roff(' '.join(said.split()))}\n")
    return "".join(found)


def command_parts(command: Command, called: str) -> Iterator[tuple[str, str]]:
    """Yield the sections of a command's page, with the commands below it."""
    yield "SYNOPSIS", synopsis(command, called)
    yield "DESCRIPTION", paragraphs(command.help or "")
    if said := options(command):
        yield "OPTIONS", said
    for name, each in _commands(command).items():
        content = synopsis(each, f"{called} {name}") + ".PP\n" + paragraphs(each.help or "")
        yield f'"{roff(f"{called} {name}")}"', f"{content}\n{options(each)}"
    yield "EXIT STATUS", _EXIT
    yield "FILES", _FILES
    yield "SEE ALSO", ".BR weir (1)"


def main_parts(group: Command, commands: dict[str, Command]) -> Iterator[tuple[str, str]]:
    """Yield the sections of the page of ``weir`` itself."""
    yield "SYNOPSIS", synopsis(group, "weir")
    yield "DESCRIPTION", paragraphs(group.help or "")
    told = ""
    for name, below in commands.items():
        told += f".TP\n.BR weir\\-{roff(name)} (1)\n{roff(summary(below))}.\n"
    yield "COMMANDS", told
    yield "OPTIONS", options(group)
    yield "EXIT STATUS", _EXIT
    yield "FILES", _FILES
    yield "SEE ALSO", ".BR systemctl (1),\n.BR mosquitto (8)\n.PP\n/usr/share/doc/weir\\-gateway"


def _commands(group: Command) -> dict[str, Command]:
    if not isinstance(group, Group):
        return {}
    context = typer.Context(group)
    # As for running it: what is listed may be a name and a line alone.
    found = {
        name: group.resolve_command(context, [name])[1] for name in group.list_commands(context)
    }
    return {name: command for name, command in found.items() if command}


def write(folder: Path) -> list[Path]:
    """Write all of it; return the files."""
    (folder / "completion").mkdir(parents=True, exist_ok=True)
    group = get_command(weir)
    commands = _commands(group)
    texts = {"weir.1": page("weir", summary(group), main_parts(group, commands))}
    for name, command in commands.items():
        title = f"weir-{name}"
        texts[f"{title}.1"] = page(title, summary(command), command_parts(command, f"weir {name}"))
    for shell, file in SHELLS.items():
        script = get_completion_script(prog_name="weir", complete_var="_WEIR_COMPLETE", shell=shell)
        texts[f"completion/{file}"] = script + "\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    os.environ["COLUMNS"] = "100"
    for made in write(Path(sys.argv[1])):
        sys.stdout.write(f"{made}\n")

"""``weir camera``: add one after trying it, see how they are, take a picture, remove one."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import orjson
import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    cells,
    complain,
    out,
    print_json,
    settings,
    table,
    told,
)
from gateway.client import ask
from gateway.errors import CameraAwayError, ConfigError
from gateway.ingest.cameras import CameraSettings, load_camera, probe
from gateway.topics import token

_PLACES = """
# Where a plugin counts on this camera, as parts of the picture's width and height; they replace the
# plugin's own of the same name, and say nothing to one that has no [[count]] of it.
# [lines]
# door = [[0.5, 0.2], [0.5, 1.0]]
# [zones]
# hall = [[0.1, 0.3], [0.9, 0.3], [0.9, 1.0], [0.1, 1.0]]
"""
_TRY_S = 15.0
_SNAPSHOT_S = 15.0

camera = typer.Typer(
    help="Cameras: add, list, take a picture.\n\n"
    "Example: `weir camera add entrance rtsp://user@10.0.0.7/stream1`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(help="the camera's name: letters, digits, - and _")]


@camera.command()
def add(
    name: Name,
    url: Annotated[
        str,
        typer.Argument(
            help="rtsp://user@host/path, http://host/video, v4l2:/dev/video0, file:/path, "
            "mqtt:device"
        ),
    ],
    udp: Annotated[bool, typer.Option("--udp", metavar="", help="RTP over UDP, not TCP")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="holds the password; default: you are asked")
    ] = None,
    untried: Annotated[
        bool, typer.Option("--untried", metavar="", help="write it though it does not answer")
    ] = False,
    config: ConfigOption = None,
    state_dir: StateOption = None,
) -> None:
    """Try a camera, show what it sends, and write its configuration; a running gateway takes it up.

    The password is asked for, or read from standard input: on a command line others could see it.

    Example: `weir camera add entrance rtsp://user@10.0.0.7/stream1`
    """
    with told():
        if name != token(name):
            raise ConfigError([f"{name!r}: a camera's name may hold letters, digits, - and _ only"])
        folder = settings(config, state_dir).camera_dirs[-1]
        path = folder / f"{name}.toml"
        url = _absolute(url)
        if path.exists():
            raise ConfigError(
                [f"{path}: there is a camera {name!r} already; edit it, or remove it"]
            )
        password = _password(url, password_file)
        with _draft(folder) as draft:
            chosen = _written(draft / path.name, url, udp=udp, password=password)
            _try(name, chosen, untried=untried)
            for file in sorted(draft.iterdir()):  # the password before what names it
                file.rename(folder / file.name)
    out.print(f"written: {escape(str(path))}")
    out.print(f"see it: weir camera list; a picture: weir camera snapshot {name}")


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write in: a running gateway takes up whatever is in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=folder) as draft:
        yield Path(draft)


def _written(path: Path, url: str, *, udp: bool, password: str) -> CameraSettings:
    """Write a camera's files and read them back."""
    lines = [f"url = {_quoted(url)}"]
    if password:
        secret = path.with_suffix(".password")
        _write(secret, password + "\n", 0o600)
        lines.append(f"password_file = {_quoted(secret.name)}")
    if udp:
        lines.append('transport = "udp"')
    _write(path, "\n".join([*lines, _PLACES]), 0o640)
    return load_camera(path)


def _absolute(url: str) -> str:
    """Return the url of a file so that it is found from everywhere."""
    scheme, _, rest = url.partition(":")
    if scheme != "file" or rest.startswith("/"):
        return url
    return f"file:{Path(rest).absolute()}"


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if os.geteuid() == 0:  # the gateway's own user must read what root wrote
        owner = path.parents[1].stat()
        shutil.chown(path, owner.st_uid, owner.st_gid)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _password(url: str, file: Path | None) -> str:
    parts = urlsplit(url)
    if parts.password is not None:
        raise ConfigError(
            ["the url has a password in it, which others can see on a command line; "
             "leave it out, and you are asked for it"]
        )  # fmt: skip
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError([f"--password-file {file}: not readable: {exc}"]) from exc
    if not parts.username:
        return ""
    if sys.stdin.isatty():
        return str(typer.prompt(f"password of {parts.username}", hide_input=True))
    return sys.stdin.readline().strip()


def _try(name: str, chosen: CameraSettings, *, untried: bool) -> None:
    """Open a camera and say what it sends.

    Raises:
        CameraAwayError: It does not answer, and it was not said that this is fine.
    """
    if chosen.url.startswith("mqtt:"):
        out.print(f"{name}: pictures are taken from MQTT as they come")
        return
    out.print(f"trying {escape(chosen.shown_url)} ...")
    try:
        found = probe(chosen, _TRY_S)
    except CameraAwayError as exc:
        if not untried:
            raise
        complain(f"{exc}; written all the same")
        return
    rate = f"{found.fps:.3g} frames/s" if found.fps else "frame rate not told"
    out.print(f"{name}: {found.codec}, {found.width} x {found.height}, {rate}")


@camera.command("list")
def list_(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Cameras of a running gateway: frames read, dropped and looked at, how old the newest is.

    Example: `weir camera list`
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, "/cameras")
    if json:
        print_json(found)
        return
    rows = table("!camera", "!state", "picture", "#fps", "#read", "#dropped", "#looked at", "#age",
                 "#reconnects")  # fmt: skip
    for each in found["cameras"]:
        rows.add_row(
            *cells(
                each["name"],
                each["state"].replace("_", " "),
                f"{each['width']}x{each['height']} {each['codec']}" if each["width"] else "",
                f"{each['fps']:.3g}" if each["fps"] else "",
                f"{each['read']:,}",
                f"{each['dropped']:,}",
                f"{each['taken']:,}",
                "" if each["age_s"] is None else f"{each['age_s']:.1f} s",
                each["reconnects"],
            )
        )
    out.print(rows if found["cameras"] else "no camera; add one with `weir camera add NAME URL`")
    for each in found["cameras"]:
        if each["reason"]:
            out.print(
                f"{escape(each['name'])} ({escape(each['address'])}): {escape(each['reason'])}"
            )
        if each["unused_places"]:
            names = ", ".join(each["unused_places"])
            out.print(
                f"{escape(each['name'])}: nothing is counted at {escape(names)}: no plugin"
                " that runs has a [[count]] of that name"
            )
    for error in found["set_aside"]:
        complain(error)
    for plugin in found["plugins"]:
        times = "" if plugin["p50_ms"] is None else (
            f", inference p50 {plugin['p50_ms']:.1f} ms, p95 {plugin['p95_ms']:.1f} ms"
        )  # fmt: skip
        lost = f", {plugin['lost']:,} lost" if plugin["lost"] else ""
        out.print(f"plugin {escape(plugin['name'])}: {plugin['frames']:,} frames{times}{lost}")


@camera.command()
def snapshot(
    name: Name,
    plugin: Annotated[
        str, typer.Option(help="draw what this plugin sees, its lines and its zones")
    ] = "",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="copy it here too")] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Take a picture; it is kept on the box, and nowhere else.

    Example: `weir camera snapshot entrance --plugin people`
    """
    with told():
        query = f"?{urlencode({'plugin': plugin})}" if plugin else ""
        path = settings(config, state_dir).socket_path
        found: dict[str, Any] = ask(path, f"/cameras/{name}/snapshot{query}", "", _SNAPSHOT_S + 5)
        if output:
            shutil.copyfile(found["path"], output)
    if json:
        print_json(found)
        return
    out.print(escape(str(output or found["path"])))
    for seen in found["seen"]:
        box = ", ".join(f"{part:.2f}" for part in seen["box"])
        out.print(f"  {escape(seen['label'])} {seen['score']:.2f} at {box}")
    for key, value in found["numbers"].items():
        out.print(f"  {escape(key)} = {value:g}")


@camera.command()
def remove(name: Name, config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Remove a camera; a running gateway lets go of it.

    Example: `weir camera remove entrance`
    """
    with told():
        chosen = settings(config, state_dir)
        path = chosen.camera_dirs[-1] / f"{name}.toml"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml"))) or "none"
            raise ConfigError([f"{path}: no such camera; there are: {there}"])
        path.unlink()
        path.with_suffix(".password").unlink(missing_ok=True)
    out.print(f"removed: {name}")

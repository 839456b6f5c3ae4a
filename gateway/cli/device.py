"""``weir device``: who may speak to the box."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.access import broker, credentials
from gateway.access.authority import Authority
from gateway.access.register import Device, Register
from gateway.cli.access import folder_of
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
from gateway.cli.device_admission import let_in, lines_of, new_secret, now, show, some, topics_of
from gateway.cli.device_lines import PLAIN_PORT
from gateway.cli.device_topics import DEFAULT_PROFILE, Topics
from gateway.cli.text import ago
from gateway.client import NotRunningError, RefusedError, ask

device = typer.Typer(
    help="Devices that may speak to the box: let one in, list them, throw one out; release one\n"
    "that was quarantined.\n\n"
    "Example: `weir device add plug-1 --profile tasmota`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Name = Annotated[
    str, typer.Argument(help="the device's name: its user, and its name in its topics")
]


@device.command()
def add(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="the device's name: its user, and its name in its topics; several at once",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            help=f"its firmware, as `weir profile list` has it; default: {DEFAULT_PROFILE}",
        ),
    ] = "",
    listed: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="more of them: a line `name` or `name,profile` for each; - for standard input",
        ),
    ] = None,
    psk: Annotated[
        bool, typer.Option("--psk", metavar="", help="a pre-shared key in place of a password")
    ] = False,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="its own topics in place of the profile's, as an MQTT filter; repeat it"),
    ] = None,
    read: Annotated[
        list[str] | None, typer.Option(help="topics that it may only read; repeat it")
    ] = None,
    host: Annotated[str, typer.Option(help="the box, as the device reaches it")] = "",
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Let devices in, and print what to enter into each: all that are named, or none.

    Each may publish and read its own topics and no others. The password is shown this once; only
    its hash is kept. With `--json` a line for each.

    Example: `weir device add plug-1 plug-2 --profile tasmota`
    """
    with told():
        wanted = [(name, profile) for name in names or ()]
        if listed:
            wanted += lines_of(listed, profile)
        if not wanted:
            raise typer.BadParameter("which device? weir device add NAME..., or --from FILE")
        if topic or read:
            given = Topics(profile, tuple(topic or ()), tuple(read or ()))
            devices = [(name, given) for name, _ in wanted]
        else:
            dirs = settings(config, state_dir).profile_dirs
            devices = topics_of(wanted, dirs)
        folder = folder_of(config, state_dir)
        entries = let_in(folder, devices, psk=psk)
    show(entries, folder, host, json=json)
    left_out = list(dict.fromkeys(each for _, topics in devices for each in topics.left_out))
    if left_out and not json:
        some = ", ".join(left_out[:3]) + (" ..." if len(left_out) > 3 else "")
        out.print(
            f"[dim]not among its own, for they do not tell it from others: {escape(some)}[/dim]"
        )
        out.print("[dim]a bridge that speaks for others needs --topic in place of a profile[/dim]")


@device.command("list")
def list_(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Devices that may speak to the box, and when each was heard last.

    Example: `weir device list`
    """
    with told():
        chosen = settings(config, state_dir)
        known = Register(folder_of(config, state_dir)).devices()
        seen = _last_seen(chosen.socket_path)
    if json:
        print_json([_row(each, seen.get(each.name)) for each in known.values()])
        return
    rows = table("device", "!by", "profile", "own topics", "!added", "!last heard")
    now_s = datetime.now(UTC).timestamp()
    for each in known.values():
        heard = ago(now_s - seen[each.name] / 1e9) if each.name in seen else ""
        topics = some(each.own or each.reads)
        by = "key" if each.key else "password"
        rows.add_row(*cells(each.name, by, each.profile, topics, each.added[:10], heard))
    out.print(
        rows if known else "no device; let one in with `weir device add NAME`, or `weir pair`"
    )


def _row(each: Device, last_seen_ns: int | None) -> dict[str, Any]:
    return {
        "name": each.name,
        "profile": each.profile,
        "by": "key" if each.key else "password",
        "own": each.own,
        "reads": each.reads,
        "added": each.added,
        "changed": each.changed,
        "last_seen_ns": last_seen_ns,
    }


def _last_seen(socket_path: Path) -> dict[str, int]:
    try:
        return {each["device"]: each["last_seen_ns"] for each in ask(socket_path, "/devices")}
    except (NotRunningError, RefusedError):
        return {}


@device.command()
def revoke(name: Name, config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Let a device in no more; its connection ends.

    Example: `weir device revoke plug-1`
    """
    with told():
        folder = folder_of(config, state_dir)
        register = Register(folder)
        if register.device(name).key:
            _end(register, name)
        register.remove(name, time.time_ns())
        taken = broker.reload(folder)
    out.print(f"revoked: {name}" + ("" if taken else "; the broker does not run here"))


@device.command()
def release(
    name: Annotated[str, typer.Argument(help="as `weir devices` names it; or a topic")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
) -> None:
    """Let a device that is limited or quarantined for its noise speak again.

    If it goes on as before, it is limited again.

    Example: `weir device release plug-1`
    """
    with told():
        ask(settings(config, state_dir).socket_path, "/devices/release", name)
    out.print(f"released: {escape(name)}")


@device.command()
def rotate(
    name: Name,
    host: Annotated[str, typer.Option(help="the box, as the device reaches it")] = "",
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new password or key for a device; the old one counts no more, its connection ends.

    Example: `weir device rotate plug-1`
    """
    with told():
        folder = folder_of(config, state_dir)
        register = Register(folder)
        was = register.device(name)
        psk = bool(was.key)
        if psk:
            _end(register, name)
        secret = new_secret(psk=psk)
        hashed = "" if psk else credentials.hashed(secret)
        register.change(name, password=hashed, key=secret if psk else "", changed=now())
        taken = broker.reload(folder)
    found = {
        "name": name,
        "profile": was.profile,
        "key" if psk else "password": secret,
        "own": was.own,
        "reads": was.reads,
        "broker_told": taken,
    }
    show([found], folder, host, json=json)


def _end(register: Register, name: str) -> None:
    """End the connection of a device with a key; the broker would leave it, without a right.

    For a moment the device has a password that nobody else knows.
    """
    once = credentials.new_password()
    register.change(name, password=credentials.hashed(once), key="", changed=now())
    if broker.reload(register.folder) and not broker.take_over(PLAIN_PORT, name, once):
        complain(f"{name}: its connection could not be ended; it may say and hear nothing on it")


@device.command()
def ca(
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", metavar="", help="the fingerprints alone")
    ] = False,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Print the certificate of the box's own authority, which devices are to trust on port 8883.

    Example: `weir device ca > weir-ca.pem`
    """
    with told():
        authority = Authority(folder_of(config, state_dir))
        prints = {
            "sha256": authority.fingerprint(),
            "tasmota": authority.tasmota_fingerprint(),
        }
        text = authority.certificate_file.read_text(encoding="ascii")
    if json:
        print_json({**prints, "certificate": text})
        return
    if not fingerprint:
        typer.echo(text.strip())
        return
    out.print(f"authority, SHA-256        {prints['sha256']}", soft_wrap=True)
    out.print(f"Tasmota, MqttFingerprint1 {prints['tasmota']}", soft_wrap=True)

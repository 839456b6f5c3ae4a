"""``weir support-bundle``: what to send along when one asks for help."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    configuration_file,
    err,
    out,
    print_json,
    told,
)
from gateway.cli.text import counted, size
from gateway.doctor.examination import look_at
from gateway.support import bundle
from gateway.support.gathering import pieces
from gateway.support.redaction import Redactor
from gateway.support.secrets import known_secrets


def support_bundle(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="a .tar.gz to write")
    ] = None,
    with_samples: Annotated[
        bool,
        typer.Option(
            "--with-samples",
            metavar="",
            help="what devices said, too: newest readings, dead letters, outcomes",
        ),
    ] = False,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Put logs, configuration, versions, state and the doctor's findings into one archive.

    Passwords, tokens, keys, credentials and logins in urls are taken out, and no raw data is in
    it unless --with-samples is given. Look into it before you send it.

    Example: `sudo weir support-bundle -o /tmp/shop-01.tar.gz`
    """
    with told():
        path = configuration_file(config)
        box = look_at(path, state_dir)
        name = f"weir-support-{box.settings.gateway.name}-{time.strftime('%Y%m%dT%H%M%S')}"
        file = output or Path(f"{name}.tar.gz")
        redactor = Redactor(known_secrets(box.settings, path))
        found = bundle.write(file, name, pieces(box, with_samples=with_samples), redactor)
    size_bytes = file.stat().st_size
    if json:
        print_json({"file": str(file), "bytes": size_bytes, "pieces": found})
        return
    holds = counted(len(found), "piece")
    out.print(f"{escape(str(file))}: {size(size_bytes)}, {holds}", soft_wrap=True)
    if with_samples:
        err.print("[yellow]note:[/yellow] it holds raw data: what devices said")
    if not box.is_root:
        err.print("not run as root: some logs and files may be missing")

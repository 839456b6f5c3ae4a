"""The support bundle: one archive, with secrets taken out of each piece."""

import io
import os
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import ConfigError
from gateway.support.gathering import PIECE_BYTES, Piece
from gateway.support.redaction import Redactor


def write(file: Path, folder: str, found: Iterable[Piece], redactor: Redactor) -> list[str]:
    """Write a .tar.gz that only its owner can read.

    Args:
        file: The archive; it must not be there.
        folder: All pieces lie in this folder of it.
        found: Name and text of each.
        redactor: Takes secrets out.

    Returns:
        The names of the pieces.

    Raises:
        ConfigError: The file cannot be written.
    """
    names = []
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w:gz") as to:
            for name, text in found:
                # Names too: of a camera's file, say, which a person chose.
                _add(to, f"{folder}/{redactor.clean(name)}", redactor.clean(text))
                names.append(name)
    except OSError as exc:
        raise ConfigError([f"{file}: {exc.strerror}; -o names another file"]) from exc
    return names


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode("utf-8", "replace")[-PIECE_BYTES:]
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mtime = int(time.time())
    entry.mode = 0o600
    archive.addfile(entry, io.BytesIO(content))

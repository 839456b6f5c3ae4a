"""Signed NATS credentials, as `nsc` makes them: an operator, an account, a user (by openssl)."""

import base64
import binascii
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PREFIX = {"O": 14, "A": 0, "U": 20}
_ALL = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage",
     "disk_storage", "streams", "consumer"), -1,
)  # fmt: skip


@dataclass(frozen=True)
class Key:
    """An nkey: ``kind`` is O, A or U."""

    kind: str
    file: Path

    @property
    def public(self) -> str:
        der = _openssl("pkey", "-in", self.file, "-inform", "DER", "-pubout", "-outform", "DER")
        return _encode(bytes([_PREFIX[self.kind] << 3]), der[-32:])

    @property
    def seed(self) -> str:
        kind = _PREFIX[self.kind] << 3
        head = bytes([(18 << 3) | (kind >> 5), (kind & 31) << 3])
        return _encode(head, self.file.read_bytes()[-32:])

    def sign(self, subject: str, content: dict[str, Any]) -> str:
        """Return a JWT about a subject."""
        claims = {"jti": "x", "iat": 1_700_000_000, "iss": self.public, "name": "test",
                  "sub": subject, "nats": {**content, "version": 2}}  # fmt: skip
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, claims]
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        message = self.file.with_suffix(".msg")
        message.write_text(text)
        signed = _openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-keyform", "DER",
                          "-in", message)  # fmt: skip
        return f"{text}.{_base64(signed)}"


def operator_mode(folder: Path) -> tuple[str, str]:
    """Return lines for a hub that knows users by credentials alone, and one user's credentials."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl on this machine")
    keys = {kind: Key(kind, folder / f"{kind}.der") for kind in _PREFIX}
    for key in keys.values():
        key.file.write_bytes(_openssl("genpkey", "-algorithm", "ed25519", "-outform", "DER"))
    operator, account, user = keys["O"], keys["A"], keys["U"]
    limits = {**_ALL, "wildcards": True}
    operator_jwt = operator.sign(operator.public, {"type": "operator"})
    account_jwt = operator.sign(account.public, {"type": "account", "limits": limits})
    content = {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
    user_jwt = account.sign(user.public, content)
    lines = (
        f"operator: {operator_jwt}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {account_jwt} }}\n"
    )
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return lines, creds


def _encode(head: bytes, key: bytes) -> str:
    raw = head + key
    crc = binascii.crc_hqx(raw, 0)
    return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout

"""The box's own certificate authority, and the broker's certificate by it. Made by openssl(1).

The authority is made once and lives to 2049: devices hold it. The broker's certificate lives about
a year and is renewed well before; its key stays the same, so that devices which know the key's
fingerprint (Tasmota) go on, and the broker never sees a certificate without its key. RSA with 2048
bits, for it is what all firmware can do (Tasmota on ESP8266 has one cipher, ECDHE_RSA).
"""

import hashlib
import secrets
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.access import files
from gateway.access.errors import AccessError

_LIMIT_S = 60.0  # a small board needs seconds for a key
_LIFETIME = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=60)
_ALWAYS = ("20200101000000Z", "20491231235959Z")
"""The authority's time: a box whose clock was wrong at its first start keeps its authority."""

_CONFIG = """\
[ca]
default_ca = box
[box]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
email_in_dn = no
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says.

    Attributes:
        begins: From when it counts.
        ends: Until when.
        names: Of hosts, and addresses.
    """

    begins: datetime
    ends: datetime
    names: frozenset[str]


class Authority:
    """The certificates in one directory: ``ca.key``, ``ca.pem``, ``server.key``, ``server.pem``.

    Args:
        folder: ``<state_dir>/mqtt``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def certificate_file(self) -> Path:
        """Return the file that devices are to trust."""
        return self.folder / "ca.pem"

    def prepare(self, host: str, names: Sequence[str]) -> str:
        """Make what is missing, and renew the broker's certificate when it is time.

        Args:
            host: Whose authority it is, for people to read.
            names: Names and addresses under which devices reach the broker.

        Returns:
            What was done and why, "" when nothing was.

        Raises:
            AccessError: openssl is not there, or says no.
        """
        with files.locked(self.folder):
            done = [] if self.certificate_file.is_file() else [self._make_authority(host)]
            if why := self._overdue(names):
                self._renew(names)
                done.append(f"certificate of the broker: {why}")
        return "; ".join(done)

    def renew(self, names: Sequence[str], *, new_key: bool = False) -> None:
        """Make a new certificate for the broker.

        Args:
            names: Names and addresses under which devices reach the broker.
            new_key: Make a new key too: devices that know its fingerprint have to be told.

        Raises:
            AccessError: openssl is not there, or says no.
        """
        with files.locked(self.folder):
            self._renew(names, new_key=new_key)

    def _renew(self, names: Sequence[str], *, new_key: bool = False) -> None:
        key = self.folder / "server.key"
        with self._work(names[0], names) as work:
            if new_key or not key.is_file():
                files.write(key, _new_key(Path(work)))
            # From a day ago: a device's clock may be behind.
            now = datetime.now(UTC)
            span = [f"{t:%Y%m%d%H%M%S}Z" for t in (now - timedelta(days=1), now + _LIFETIME)]
            self._sign(Path(work), key, self.folder / "server.pem", "server", span)

    def server(self) -> Certificate | None:
        """Return what the broker's certificate says; None when there is none that can be read."""
        file = self.folder / "server.pem"
        try:
            said = _openssl(
                "x509", "-in", str(file), "-noout", "-dates", "-dateopt", "iso_8601",
                "-ext", "subjectAltName",
            )  # fmt: skip
            return _parse(said)
        except (AccessError, ValueError, KeyError):
            return None

    def fingerprint(self) -> str:
        """Return the authority's SHA-256 fingerprint, as openssl and browsers show it."""
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._read("ca.pem"))).hexdigest().upper()
        return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))

    def tasmota_fingerprint(self) -> str:
        """Return the fingerprint of the broker's key that Tasmota compares (``MqttFingerprint``).

        SHA-1 over type, exponent and modulus, each behind its length in four bytes: version 2, from
        Tasmota 8.4.0 on (``lib/lib_ssl/tls_mini``).
        """
        self._read("server.key")
        said = _openssl("rsa", "-in", str(self.folder / "server.key"), "-noout", "-modulus")
        modulus = bytes.fromhex(said.strip().partition("=")[2])
        parts = (b"ssh-rsa", b"\x01\x00\x01", modulus)  # openssl's exponent is 65537
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().upper()
        return " ".join(digest[i : i + 2] for i in range(0, len(digest), 2))

    def _make_authority(self, host: str) -> str:
        key = self.folder / "ca.key"
        with self._work(f"Weir authority of {host}"[:64], ["localhost"]) as work:
            files.write(key, _new_key(Path(work)), 0o600)
            self._sign(Path(work), key, self.certificate_file, "authority", _ALWAYS)
        return "authority made"

    def _overdue(self, names: Sequence[str]) -> str:
        """Return why the broker needs another certificate; "" when it needs none."""
        now = datetime.now(UTC)
        kept = self.server()
        if kept is None or not (self.folder / "server.key").is_file():
            return "made"
        if not self._ours():
            return "the authority is another one"
        if now < kept.begins or now > kept.ends - _RENEW_BEFORE:
            return f"it counted from {kept.begins:%Y-%m-%d} to {kept.ends:%Y-%m-%d}"
        new = sorted(set(names) - kept.names)
        return f"the box is {', '.join(new)} too" if new else ""

    def _ours(self) -> bool:
        server = str(self.folder / "server.pem")
        try:
            _openssl("verify", "-no_check_time", "-CAfile", str(self.certificate_file), server)
        except AccessError:
            return False
        return True

    def _work(self, name: str, names: Sequence[str]) -> TemporaryDirectory[str]:
        """Give a directory as ``openssl ca`` wants it."""
        work = TemporaryDirectory(prefix=".", dir=self.folder)
        said = ", ".join(f"{'IP' if _is_address(n) else 'DNS'}:{n}" for n in names)
        Path(work.name, "index.txt").touch()
        Path(work.name, "serial").write_text(f"01{secrets.token_hex(15)}\n")
        Path(work.name, "box.cnf").write_text(_CONFIG.format(name=name[:64], names=said))
        return work

    def _sign(self, work: Path, key: Path, into: Path, kind: str, span: Sequence[str]) -> None:
        own = ["-selfsign"] if kind == "authority" else ["-cert", str(self.certificate_file)]
        config = ["-config", str(work / "box.cnf")]
        _openssl("req", "-new", *config, "-key", str(key), "-out", "request", cwd=work)
        _openssl(
            "ca", "-batch", "-notext", *config, *own,
            "-keyfile", str(self.folder / "ca.key"), "-extensions", kind,
            "-startdate", span[0], "-enddate", span[1], "-in", "request", "-out", "made", cwd=work,
        )  # fmt: skip
        files.write(into, (work / "made").read_text(), 0o644)

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except PermissionError as exc:
            raise AccessError(f"{exc.filename}: not allowed; run it with sudo") from exc
        except OSError as exc:
            raise AccessError(
                f"{exc.filename}: not there yet; `weir access prepare` makes it"
            ) from exc


def _new_key(work: Path) -> str:
    _openssl(
        "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key", cwd=work
    )
    return (work / "key").read_text()


def _openssl(*arguments: str, cwd: Path | None = None) -> str:
    """Return what openssl prints.

    Raises:
        AccessError: It is not there, or says no.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own words, and no shell
            ["openssl", *arguments],  # noqa: S607 - wherever the system has it
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as exc:
        raise AccessError("openssl is not installed; apt install openssl") from exc
    except subprocess.CalledProcessError as exc:
        raise AccessError(f"openssl {arguments[0]}: {exc.stderr.strip()[-300:]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise AccessError(f"openssl {arguments[0]}: took longer than {_LIMIT_S:g} s") from exc
    return done.stdout


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _parse(said: str) -> Certificate:
    """Read the output of ``openssl x509 -dates -ext subjectAltName``."""
    lines = said.splitlines()
    dates = dict(line.split("=", 1) for line in lines if "=" in line)
    begins, ends = (
        datetime.fromisoformat(dates[key].replace(" ", "T", 1)) for key in ("notBefore", "notAfter")
    )
    named = " ".join(lines).partition("Alternative Name:")[2]
    pairs = (each.strip().partition(":")[2] for each in named.split(","))
    return Certificate(begins, ends, frozenset(n.removeprefix("Address:") for n in pairs if n))

"""The devices that may speak to the box, and the files that tell the device broker so.

``devices.json`` is the truth; ``passwords``, ``psk`` and ``acl`` are made from it, each written
whole or not at all. A power cut in between leaves files of different age, which `Register.render`
puts right before the broker starts again.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import orjson

from gateway.access import credentials, files
from gateway.access.errors import AccessError
from gateway.access.topics import overlap, problem
from gateway.topics import OUTCOME_ROOT

GATEWAY_USER = "weir-gateway"
NAMES = "1 to 64 letters, digits, . - and _, a letter or digit first"

_REVOKED = "revoked.json"
_MOST_REVOKED = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GATEWAY_TOPICS = (
    "topic read #",
    f"topic readwrite {OUTCOME_ROOT}/#",
    "topic write spBv1.0/+/NCMD/+",  # a Sparkplug node is asked to say anew who it is
)


@dataclass(frozen=True, slots=True)
class Device:
    """Who may connect, and what it may say and hear.

    Attributes:
        name: Its user, its client id, and its name in its topics.
        profile: The firmware profile that its topics follow, "" for none.
        own: Filters of topics that it may publish and read.
        reads: Filters of topics that it may read besides.
        password: Its password, hashed; "" for a device with a key.
        key: Its pre-shared key in hexadecimal, which cannot be kept hashed; "" for none.
        added: When it was added (ISO 8601).
        changed: When its password or key was made.
    """

    name: str
    profile: str
    own: tuple[str, ...]
    reads: tuple[str, ...] = ()
    password: str = ""
    key: str = ""
    added: str = ""
    changed: str = ""


class Register:
    """The files of access in one directory; every change is under a lock.

    Args:
        folder: ``<state_dir>/mqtt``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rendered = False

    def devices(self) -> dict[str, Device]:
        """Return all devices by name.

        Raises:
            AccessError: The register cannot be read.
        """
        file = self.folder / "devices.json"
        try:
            rows = orjson.loads(file.read_bytes())
            devices = [
                Device(**{**row, "own": tuple(row["own"]), "reads": tuple(row["reads"])})
                for row in rows
            ]
        except FileNotFoundError:
            return {}
        except PermissionError as exc:
            raise AccessError(f"{file}: not allowed; run it with sudo") from exc
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise AccessError(f"{file}: not readable: {exc}; restore it from a backup") from exc
        return {device.name: device for device in devices}

    def device(self, name: str) -> Device:
        """Return one device.

        Raises:
            AccessError: There is none of that name.
        """
        known = self.devices()
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "weir device list names them"
            raise AccessError(f"no device {name!r}; {hint}")
        return known[name]

    def add(self, *devices: Device) -> None:
        """Let devices in, all of them or none.

        Raises:
            AccessError: A name or topic cannot be, or is another's.
        """
        with self._changing() as known:
            for device in devices:
                check(device, known)
                known[device.name] = device
            revoked = self.revoked()
            if again := revoked.keys() & {device.name for device in devices}:
                self._note({name: at for name, at in revoked.items() if name not in again})

    def change(self, name: str, *, password: str, key: str, changed: str) -> Device:
        """Replace a device's password or key; the old one counts no more.

        Raises:
            AccessError: There is no such device.
        """
        with self._changing() as known:
            device = replace(self.device(name), password=password, key=key, changed=changed)
            known[name] = device
        return device

    def remove(self, name: str, at_ns: int = 0) -> Device:
        """Let a device in no more.

        Args:
            name: The device.
            at_ns: Unix time, which is noted.

        Raises:
            AccessError: There is no such device.
        """
        with self._changing() as known:
            device = self.device(name)
            del known[name]
            self._note({**self.revoked(), name: at_ns})
        return device

    def revoked(self) -> dict[str, int]:
        """Return when devices were revoked that were not let in again, in Unix time (ns).

        It is told to people and nothing rests on it: one that cannot be read is empty.
        """
        try:
            found = orjson.loads((self.folder / _REVOKED).read_bytes())
            return {str(name): int(at_ns) for name, at_ns in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _note(self, revoked: Mapping[str, int]) -> None:
        newest = sorted(revoked.items(), key=lambda each: each[1])[-_MOST_REVOKED:]
        files.write(self.folder / _REVOKED, orjson.dumps(dict(newest)).decode() + "\n")

    def render(self) -> bool:
        """Make the broker's files from the register; return whether one changed.

        The gateway's own password is made when it is missing.

        Raises:
            AccessError: The register cannot be read, or the files not written.
        """
        with self._changing():
            pass
        return self._rendered

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Device]]:
        """Give the devices to be changed, one command at a time; then write what they are."""
        try:
            with files.locked(self.folder):
                known = self.devices()
                yield known
                self._write(known)
        except PermissionError as exc:
            raise AccessError(f"{exc.filename}: not allowed; run it with sudo") from exc
        except OSError as exc:
            raise AccessError(f"{self.folder}: not written: {exc}") from exc

    def _write(self, known: Mapping[str, Device]) -> None:
        """Write the truth first, then who may do what, then who may come in."""
        devices = [known[name] for name in sorted(known)]
        rows = orjson.dumps([asdict(d) for d in devices], option=orjson.OPT_INDENT_2).decode()
        texts = {
            "devices.json": rows + "\n",
            "acl": render_acl(devices),
            "psk": "".join(f"{d.name}:{d.key}\n" for d in devices if d.key),
            "passwords": f"{GATEWAY_USER}:{self._gateway_password()}\n"
            + "".join(f"{d.name}:{d.password}\n" for d in devices if d.password),
        }
        written = [files.write_if_other(self.folder / name, text) for name, text in texts.items()]
        self._rendered = any(written)

    def _gateway_password(self) -> str:
        """Return the hash of the gateway's password; both are made when they are missing."""
        secret = self.folder / "gateway.password"
        try:
            password = secret.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            password = ""
        if not password:
            password = credentials.new_password()
            files.write(secret, password + "\n", 0o600)
        kept = self._kept_hash()
        return kept if credentials.fits(password, kept) else credentials.hashed(password)

    def _kept_hash(self) -> str:
        """Return the gateway's hash as it is kept, so that the file stays as it is."""
        try:
            lines = (self.folder / "passwords").read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return ""
        found = [line.partition(":")[2] for line in lines if line.startswith(f"{GATEWAY_USER}:")]
        return found[0] if found else ""


def check(device: Device, known: Mapping[str, Device]) -> None:
    """Refuse a device that could be taken for another, or have another's topics.

    Raises:
        AccessError: With what is wrong.
    """
    name = device.name
    if not _NAME.fullmatch(name):
        raise AccessError(f"device {name!r}: a name has {NAMES}")
    if name == GATEWAY_USER or name in known:
        whose = "is the gateway's own" if name == GATEWAY_USER else "is there already"
        raise AccessError(
            f"device {name!r} {whose}; weir device rotate {name} makes a new password"
        )
    if not device.own and not device.reads:
        raise AccessError(f"device {name!r} would have no topic; say which with --topic")
    for each in (*device.own, *device.reads):
        wrong = problem(each) if each in device.own else _unreadable(each)
        if wrong:
            raise AccessError(f"device {name!r}: topic {each!r} {wrong}")
    for other in known.values():
        for mine in device.own:
            for theirs in other.own:
                if overlap(mine, theirs):
                    raise AccessError(
                        f"device {name!r}: topics {mine!r} overlap with {theirs!r} of "
                        f"{other.name!r}; each device has topics of its own"
                    )


def _unreadable(topic_filter: str) -> str:
    """Return why a device may not read a filter: outcomes it may, all it may not."""
    inside = topic_filter.removeprefix(f"{OUTCOME_ROOT}/")
    return problem(topic_filter if inside == topic_filter else f"x/{inside}")


def render_acl(devices: list[Device]) -> str:
    """Return Mosquitto's ``acl_file``: what is not allowed here is denied."""
    lines = ["# Made by `weir device`; changes here are lost.", f"user {GATEWAY_USER}"]
    lines += _GATEWAY_TOPICS
    # Topics that begin with $ are not in #; cloud dialects have some.
    system = {f.split("/")[0] for d in devices for f in d.own if f.startswith("$")}
    lines += [f"topic read {root}/#" for root in sorted(system)]
    for device in devices:
        lines += ["", f"user {device.name}"]
        lines += [f"topic readwrite {each}" for each in device.own]
        lines += [f"topic read {each}" for each in device.reads if each not in device.own]
    return "\n".join(lines) + "\n"

"""What boxes start from: Debian 12 as it is after an installation, made once and kept in `.box/`.

The packages that ours depend on lie in apt's cache there, not installed, so that a test measures
neither Debian's mirror nor the network, and needs none.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.box.machine import HOST_NAME, BoxError, SkipBox

CACHE = Path(os.environ.get("WEIR_BOX_CACHE") or Path(__file__).parents[2] / ".box")
MIRROR = os.environ.get("WEIR_BOX_MIRROR", "http://deb.debian.org/debian")
_DIST = "bookworm"
_PLAIN = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "procps", "iproute2", "udev"]
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_AARCH64 = (
    rb":weir-box-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
    rb"/usr/bin/qemu-aarch64-static:OCF"
)


def packages(dist: Path, arch: str) -> list[Path]:
    """Return the newest of our two packages for an architecture.

    Raises:
        SkipBox: They were not built.
    """
    found = []
    for pattern in ("weir-gateway_*_all.deb", f"weir-runtime_*_{arch}.deb"):
        there = sorted(dist.glob(pattern), key=lambda file: file.stat().st_mtime)
        if not there:
            raise SkipBox(f"no {pattern} in {dist}: run make deb")
        found.append(there[-1].resolve())
    return found


def base(arch: str, debs: Sequence[Path], *, kernel: bool = False) -> Path:
    """Return a tar of a clean Debian with what ``debs`` depend on in apt's cache.

    Args:
        arch: Debian's name of the architecture.
        debs: Our packages.
        kernel: It is to boot by itself, and has QEMU's agent to be spoken to.
    """
    CACHE.mkdir(exist_ok=True)
    plain = CACHE / f"{_DIST}-{arch}{'-vm' if kernel else ''}.tar"
    if not plain.exists():
        _bootstrap(plain, arch, kernel=kernel)
    wants = "".join(_field(deb, "Depends") + _field(deb, "Recommends") for deb in debs)
    mark = hashlib.sha256(f"{wants}{plain.stat().st_mtime_ns}".encode()).hexdigest()[:8]
    ready = plain.with_name(f"{plain.stem}-{mark}.tar")
    if not ready.exists():
        for old in CACHE.glob(f"{plain.stem}-????????.tar"):
            old.unlink()
        _with_dependencies(plain, ready, arch, debs)
    return ready


def disk(tar: Path, debs: Sequence[Path], folder: Path, size: str = "5G") -> tuple[Path, ...]:
    """Make a disk from a base, with our packages in /debs; return it, its kernel and its initrd."""
    root = folder / "root"
    try:
        _unpack(tar, root)
        (root / "debs").mkdir()
        for deb in debs:
            shutil.copy(deb, root / "debs")
        (root / "etc/hostname").write_text(f"{HOST_NAME}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {HOST_NAME}\n")
        (root / "etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro 0 1\n")
        (root / "etc/machine-id").write_text("")
        network = root / "etc/systemd/network/10-box.network"
        network.write_text("[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
                           "LinkLocalAddressing=no\n")  # fmt: skip
        wanted = root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        wanted.parent.mkdir(exist_ok=True)
        if not wanted.is_symlink():
            wanted.symlink_to("/lib/systemd/system/systemd-networkd.service")
        kernel, initrd = folder / "vmlinuz", folder / "initrd"
        shutil.copy(next((root / "boot").glob("vmlinuz-*")), kernel)
        shutil.copy(next((root / "boot").glob("initrd.img-*")), initrd)
        image = folder / "disk.img"
        _run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image), size])
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return image, kernel, initrd


def _bootstrap(tar: Path, arch: str, *, kernel: bool) -> None:
    print(f"making {tar.name}, once; an emulated architecture takes minutes", flush=True)  # noqa: T201
    parts = [*_PLAIN, f"linux-image-cloud-{arch}", "qemu-guest-agent"] if kernel else _PLAIN
    part = tar.with_suffix(".part")
    make = ["mmdebstrap", "--mode=root", "--format=tar", "--variant=minbase", f"--arch={arch}",
            f"--include={','.join(parts)}", _DIST, str(part), MIRROR]  # fmt: skip
    with _emulation(arch):
        try:
            _run(make)
        except BoxError as exc:
            part.unlink(missing_ok=True)
            raise SkipBox(f"Debian cannot be fetched or unpacked here: {exc}") from exc
    part.rename(tar)


@contextlib.contextmanager
def _emulation(arch: str) -> Iterator[None]:
    """Let this machine run the programs of another architecture for a while."""
    native = _run(["dpkg", "--print-architecture"]).strip()
    entry = _BINFMT / "weir-box-aarch64"
    if arch == native or entry.exists():
        yield
        return
    if missing := [n for n in ("qemu-aarch64-static", "arch-test") if not shutil.which(n)]:
        raise SkipBox(f"{', '.join(missing)} is missing: apt install qemu-user-static arch-test")
    mounted = (_BINFMT / "register").exists()
    if not mounted:
        _run(["mount", "-t", "binfmt_misc", "none", str(_BINFMT)])
    try:
        (_BINFMT / "register").write_bytes(_AARCH64)
        yield
    finally:
        with contextlib.suppress(OSError):
            entry.write_text("-1")
        if not mounted:
            _run(["umount", str(_BINFMT)])


def _with_dependencies(plain: Path, ready: Path, arch: str, debs: Sequence[Path]) -> None:
    """Fill apt's cache from outside: nothing of the box runs, so no emulation is needed."""
    print(f"making {ready.name}: what our packages depend on", flush=True)  # noqa: T201
    root = CACHE / f"{ready.stem}.d"
    try:
        _unpack(plain, root)
        sources = root / "etc/apt/sources.list"
        sources.write_text(f"deb {MIRROR} {_DIST} main\n")
        apt = ["apt-get", "-qq", f"-oDir={root}/",
               f"-oDir::State::status={root}/var/lib/dpkg/status",
               f"-oAPT::Architecture={arch}", f"-oAPT::Architectures={arch}",
               "-oAPT::Sandbox::User=", "-oAPT::Keep-Downloaded-Packages=true"]  # fmt: skip
        _run([*apt, "update"])
        _run([*apt, "install", "--yes", "--download-only", *map(str, debs)])
        _run(["tar", "-C", str(root), "--numeric-owner", "-cf", f"{ready}.part", "."])
        Path(f"{ready}.part").rename(ready)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _unpack(tar: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _run(["tar", "-C", str(root), "--numeric-owner", "-xf", str(tar)])


def _field(deb: Path, name: str) -> str:
    return _run(["dpkg-deb", "--field", str(deb), name])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BoxError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return done.stdout

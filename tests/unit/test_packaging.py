import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway import __version__
from gateway.config import load_settings

_ROOT = Path(__file__).parents[2]
_LOCK = _ROOT / "requirements/run.txt"


def _cut(python: str, machine: str) -> str:
    command = [sys.executable, "packaging/target_lock.py", str(_LOCK), python, machine]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_one_version_is_told_when_code_project_and_package_say_theirs() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = re.match(r"weir \((\S+)\)", (_ROOT / "debian/changelog").read_text())
    assert changelog is not None
    assert project == changelog[1] == __version__


def test_the_runtime_has_a_version_of_its_own_when_its_lock_was_changed() -> None:
    done = subprocess.run(
        ["packaging/runtime-version.sh"], cwd=_ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_a_target_lock_has_each_package_once_when_it_is_cut(python: str) -> None:
    lock = _cut(python, "aarch64")
    names = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert len(names) == len(set(names)) > 40
    assert ";" not in lock
    assert "colorama" not in names  # of Windows
    assert lock.count("--hash=sha256:") > len(names)


def test_every_hash_of_a_target_lock_is_in_the_lock_when_it_is_cut() -> None:
    hashes = re.compile("sha256:[0-9a-f]{64}")
    cut = set(hashes.findall(_cut("3.13", "x86_64")))
    assert cut < set(hashes.findall(_LOCK.read_text()))


def test_the_shipped_configuration_is_valid_when_it_is_read() -> None:
    settings = load_settings(_ROOT / "debian/gateway.toml")
    assert settings.gateway.state_dir == Path("/var/lib/weir")
    assert settings.leaf.run == "unit"

"""The manual pages and completions that the package ships, as man(1) and bash read them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.main import _WHERE
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    subprocess.run(
        [sys.executable, ROOT / "packaging/make_man.py", folder],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "86400"},
    )
    return folder


def test_each_command_has_a_page_that_says_its_options(made: Path) -> None:
    assert {p.stem for p in made.glob("*.1")} == {"weir", *(f"weir-{name}" for name in _WHERE)}
    page = (made / "weir-join.1").read_text()
    assert '"1970-01-02"' in page
    assert r"\-\-token\-file" in page
    main = (made / "weir.1").read_text()
    assert all(rf"weir\-{name.replace('-', chr(92) + '-')} (1)" in main for name in _WHERE)
    assert "weir plugin forget" in (made / "weir-plugin.1").read_text()


def test_man_has_nothing_to_complain_of(made: Path) -> None:
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("there is no man(1) with groff on this machine")
    for page in sorted(made.glob("*.1")):
        said = subprocess.run(
            ["man", "--warnings", "-l", page],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
        )
        assert not said.stderr, page
        assert "SYNOPSIS" in said.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("weir sup", {"support-bundle"}),
        ("weir plugin ", {"list", "test", "new", "forget"}),
        ("weir join --to", {"--token", "--token-file"}),
    ],
)
def test_bash_completes_what_is_typed(
    made: Path, tmp_path: Path, line: str, expected: set[str]
) -> None:
    program = tmp_path / "weir"
    run = "import sys; sys.argv[0] = 'weir'; from gateway.cli import main; main()"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{run}" "$@"\n')
    program.chmod(0o755)
    words = line.split(" ")
    script = (
        f'. "{made}/completion/weir.bash"; COMP_WORDS=({" ".join(words[:-1])} "{words[-1]}"); '
        f'COMP_CWORD={len(words) - 1}; _weir_completion weir; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    said = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )
    assert set(said.stdout.split()) == expected


def test_zsh_and_fish_have_their_scripts(made: Path) -> None:
    assert (made / "completion/_weir").read_text().startswith("#compdef weir")
    assert "complete --command weir" in (made / "completion/weir.fish").read_text()

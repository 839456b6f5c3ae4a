"""Plugins with Python of their own in real workers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from gateway.errors import PluginError, WorkerError
from gateway.inference.manifest import load_manifest
from gateway.inference.port import State
from gateway.inference.runner import WorkerRunner
from gateway.inference.scaffold import new_plugin
from tests.plugins.samples import feature_windows

HEAD = """\
import os, sys, time
import numpy as np
from gateway.model import Result

class Plugin:
    def __init__(self, model, manifest):
        self.manifest = manifest

    def evaluate(self, windows, states):
"""


@asynccontextmanager
async def runner_of(tmp_path: Path, code: str, limits: str = "") -> AsyncIterator[WorkerRunner]:
    """Give a runner, not started, of a plugin with this ``plugin.py`` and no golden input."""
    folder = new_plugin("mine", tmp_path)
    for case in ("steady", "jump"):
        (folder / "testcases" / case).rename(tmp_path / case)
    (folder / "plugin.py").write_text(code, encoding="utf-8")
    manifest = folder / "plugin.toml"
    text = manifest.read_text(encoding="utf-8").replace("call_s = 2.0", f"call_s = 2.0\n{limits}")
    manifest.write_text(text + "[params]\nfactor = 2.5\n", encoding="utf-8")
    runner = WorkerRunner(load_manifest(folder))
    try:
        yield runner
    finally:
        await runner.stop()
        assert not psutil.Process().children(recursive=True)


def ended(pid: int) -> bool:
    """Say whether a process is gone, or waits only for its parent to notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def answer(tmp_path: Path, body: str) -> list[tuple[str, float]]:
    async with runner_of(tmp_path, HEAD + body) as runner:
        await runner.start()
        results = await runner.evaluate(feature_windows([1.0, 2.0]), [None, None])
        return [(r.label, r.score) for r in results]


async def test_state_goes_on_when_a_source_repeats_in_a_batch(tmp_path: Path) -> None:
    body = """
        assert len(set(windows.sources)) == len(windows)
        counts = [int(state or b"0") + 1 for state in states]
        return [Result("normal", n, state=str(n).encode()) for n in counts]
"""
    async with runner_of(tmp_path, HEAD + body) as runner:
        await runner.start()
        windows = feature_windows([0.0] * 4, ["a", "b", "a", "a"])
        results = await runner.evaluate(windows, [b"7", None, b"7", b"7"])
    assert [r.score for r in results] == [8, 1, 9, 10]
    assert results[3].state == b"10"


async def test_result_is_taken_when_it_holds_numpy_floats(tmp_path: Path) -> None:
    body = """
        scores = windows.features[:, 0] * self.manifest.params["factor"]
        return [Result("normal", s, np.float32(0.5), {"n": np.float32(1)}) for s in scores]
"""
    assert await answer(tmp_path, body) == [("normal", 2.5), ("normal", 5.0)]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ('[Result("fine", 1.0)] * 2', "label 'fine' is not among outcome.labels"),
        ('[Result("normal", float("nan"))] * 2', "score nan is not finite"),
        ('[Result("normal", 1.0, 1.5)] * 2', "confidence 1.5 is not within 0 to 1"),
        ('[Result("normal", 1.0)]', "evaluate gave 1 results for 2 windows"),
        ('[{"label": "normal"}] * 2', "'dict' object has no attribute 'state'"),
        ("None", "TypeError"),
    ],
)
async def test_answer_is_refused_when_it_could_not_become_an_outcome(
    tmp_path: Path, returned: str, reason: str
) -> None:
    with pytest.raises(WorkerError, match=reason):
        await answer(tmp_path, f"        return {returned}\n")


async def test_secrets_of_the_gateway_are_not_seen_when_a_plugin_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_HUB__URL", "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/weir")
    body = """
        seen = sum(k.startswith(("WEIR_", "CREDENTIALS")) for k in os.environ)
        return [Result("normal", seen)] * 2
"""
    assert await answer(tmp_path, body) == [("normal", 0.0)] * 2


async def test_nothing_stays_when_a_plugin_started_processes(tmp_path: Path) -> None:
    body = """
        import subprocess
        return [Result("normal", subprocess.Popen(["sleep", "60"]).pid)] * 2
"""
    began = time.monotonic()
    ((_, pid), _) = await answer(tmp_path, body)
    assert time.monotonic() - began < 10  # its end is not told by who holds its output
    async with asyncio.timeout(5):
        while not ended(int(pid)):  # noqa: ASYNC110 - a process's end is seen from outside
            await asyncio.sleep(0.02)


async def test_log_is_bounded_when_a_plugin_prints_without_end(tmp_path: Path) -> None:
    body = """
        for i in range(20_000):
            print(i, "x" * 100)
        print("y" * 2_000_000)
        print("last", flush=True)
        return [Result("normal", 1.0)] * 2
"""
    async with runner_of(tmp_path, HEAD + body) as runner:
        await runner.start()
        await runner.evaluate(feature_windows([1.0, 2.0]), [None, None])
        async with asyncio.timeout(5):
            while runner.health.log[-1] != "last":  # noqa: ASYNC110 - the pipe is read beside
                await asyncio.sleep(0.02)
        assert len(runner.health.log) == 50
        assert max(map(len, runner.health.log)) <= 500


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1\nraise ValueError('no')\n", r"plugin\.py: raised ValueError: no \(line 2\)"),
        ("import missing_module\n", "No module named 'missing_module'"),
        ("x = 1\n", "has no attribute 'Plugin'"),
        ("class Plugin:\n    def __init__(self, *_): pass\n", "has no evaluate"),
        ("raise SystemExit(1)\n", "raised SystemExit"),
        ("def f(:\n", "raised SyntaxError"),
    ],
)
async def test_plugin_is_set_aside_when_its_code_does_not_load(
    tmp_path: Path, code: str, reason: str
) -> None:
    async with runner_of(tmp_path, code) as runner:
        with pytest.raises(PluginError, match=reason):
            await runner.start()
        assert runner.health.state is State.SET_ASIDE


@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        ("import os\nos.abort()\n", "", "SIGABRT"),
        ("import os\nos._exit(3)\n", "", "ended with exit code 3"),
        ("import time\ntime.sleep(60)\n", "start_s = 0.5", r"not ready in 0\.5 s"),
        ("x = bytearray(1 << 40)\n", "", "over 256 MB of memory"),
    ],
)
async def test_start_is_tried_again_when_the_process_ends(
    tmp_path: Path, code: str, limits: str, reason: str
) -> None:
    async with runner_of(tmp_path, code, limits) as runner:
        with pytest.raises(WorkerError, match=reason):
            await runner.start()
        async with asyncio.timeout(5):
            while runner.health.restarts < 1:  # noqa: ASYNC110 - it is restarted beside
                await asyncio.sleep(0.02)
        with pytest.raises(WorkerError, match=reason):
            await runner.evaluate(feature_windows([1.0]), [None])


async def test_waits_grow_when_a_plugin_fails_again_and_again(tmp_path: Path) -> None:
    async with runner_of(tmp_path, "import os\nos._exit(3)\n") as runner:
        with pytest.raises(WorkerError):
            await runner.start()
        times = []
        for n in range(1, 4):
            async with asyncio.timeout(10):
                while runner.health.restarts < n:  # noqa: ASYNC110 - it is restarted beside
                    await asyncio.sleep(0.01)
            times.append(time.monotonic())
        assert times[2] - times[1] > times[1] - times[0] + 0.05

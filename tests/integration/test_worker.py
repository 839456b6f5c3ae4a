"""Plugins in real processes: what they answer, and who suffers when one misbehaves."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from gateway.errors import PluginError, WorkerError
from gateway.inference.port import PoisonedError, State
from gateway.inference.runner import WorkerRunner
from gateway.inference.worker import OOM_SCORE
from tests.plugins.samples import feature_windows, sample

GOOD = feature_windows([1.0, 9.0])
POISON = feature_windows([1.0], ["poison"])


@asynccontextmanager
async def running(name: str) -> AsyncIterator[WorkerRunner]:
    runner = WorkerRunner(sample(name))
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - a process's end is seen from outside
            await asyncio.sleep(0.02)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def healthy_again(runner: WorkerRunner) -> None:
    await until(lambda: runner.health.state is State.HEALTHY)
    assert [r.score for r in await runner.evaluate(GOOD, [None, None])] == [1.0, 9.0]


async def test_plugin_answers_and_counts_when_it_is_good() -> None:
    async with running("good") as runner:
        results = await runner.evaluate(GOOD, [None, None])
        assert [(r.label, r.score) for r in results] == [("normal", 1.0), ("anomaly", 9.0)]
        assert await runner.evaluate(feature_windows([]), []) == []
        health = runner.health
        assert (health.state, health.calls, health.restarts) == (State.HEALTHY, 1, 0)
        assert health.latency_p95_ms is not None
        assert health.golden_ok_ns is not None
        assert health.rss_bytes > 10_000_000
    assert runner.health.state is State.STOPPED
    assert not children()
    with pytest.raises(WorkerError, match="stopped"):
        await runner.evaluate(GOOD, [None, None])


async def test_worker_is_ended_before_the_gateway_when_memory_runs_out() -> None:
    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    async with running("good"):
        workers = [each for each in children() if "gateway.inference.worker" in each.cmdline()]
        assert workers
        for worker in workers:
            assert score(worker.pid) == max(OOM_SCORE, score(os.getpid()))
    assert score(os.getpid()) < OOM_SCORE, "else this shows nothing"


async def test_window_is_suppressed_when_its_score_is_not_a_number() -> None:
    async with running("good") as runner:
        results = await runner.evaluate(feature_windows([float("nan"), 9.0]), [None, None])
        assert [r.suppress for r in results] == [True, False]


async def test_others_are_not_held_up_when_one_aborts() -> None:
    async with running("good") as good, running("aborting") as aborting:
        with pytest.raises(WorkerError, match=r"crashed \(signal 6 SIGABRT\)"):
            await aborting.evaluate(POISON, [None])
        with pytest.raises(WorkerError) as down:
            await aborting.evaluate(GOOD, [None, None])
        assert 0 < down.value.retry_after_s <= 1
        assert aborting.health.reason == "crashed (signal 6 SIGABRT)"
        assert any("Fatal Python error: Aborted" in line for line in aborting.health.log)
        assert len(await good.evaluate(GOOD, [None, None])) == 2
        await healthy_again(aborting)
        assert aborting.health.restarts == 1
        assert good.health.restarts == 0


async def test_others_are_not_held_up_when_one_hangs() -> None:
    async with running("good") as good, running("hanging") as hanging:
        call = asyncio.create_task(hanging.evaluate(POISON, [None]))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await good.evaluate(GOOD, [None, None])
        assert time.monotonic() - began < 0.2
        with pytest.raises(WorkerError, match=r"no answer in 0\.5 s"):
            await call
        await healthy_again(hanging)
        assert good.health.restarts == 0


@pytest.mark.parametrize("source", ["greedy", "slow"])
async def test_memory_is_told_when_a_plugin_takes_too_much(source: str) -> None:
    async with running("memory-eating") as eating:
        windows = feature_windows([1.0], [source])
        with pytest.raises(WorkerError, match="over 128 MB of memory"):
            await eating.evaluate(windows, [None])
        await healthy_again(eating)


async def test_process_goes_on_when_the_plugin_raises() -> None:
    async with running("raising") as raising:
        with pytest.raises(WorkerError, match="raised ValueError: poison does not agree"):
            await raising.evaluate(POISON, [None])
        assert raising.health.state is State.UNHEALTHY
        await raising.evaluate(GOOD, [None, None])
        assert (raising.health.state, raising.health.restarts) == (State.HEALTHY, 0)


async def test_batch_is_called_poisoned_when_it_fails_three_times() -> None:
    async with running("aborting") as aborting:
        for _ in range(2):
            await until(lambda: aborting.health.state is State.HEALTHY)
            with pytest.raises(WorkerError, match="SIGABRT"):
                await aborting.evaluate(POISON, [None])
        await until(lambda: aborting.health.state is State.HEALTHY)
        with pytest.raises(PoisonedError, match="3 times on the same batch"):
            await aborting.evaluate(POISON, [None])
        await healthy_again(aborting)


async def test_failures_are_not_added_up_when_a_batch_between_succeeds() -> None:
    async with running("raising") as raising:
        for _ in range(4):
            with pytest.raises(WorkerError):
                await raising.evaluate(POISON, [None])
            await raising.evaluate(GOOD, [None, None])


async def test_late_answer_is_not_taken_for_the_next_when_a_call_was_cancelled() -> None:
    async with running("good") as runner:
        call = asyncio.create_task(runner.evaluate(GOOD, [None, None]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        results = await runner.evaluate(feature_windows([2.0]), [None])
        assert [r.score for r in results] == [2.0]


async def test_plugin_is_set_aside_when_its_golden_input_fails(tmp_path: Path) -> None:
    manifest = sample("good")
    folder = tmp_path / "good"
    case = folder / "testcases" / "wrong"
    case.mkdir(parents=True)
    text = (manifest.folder / "plugin.toml").read_text(encoding="utf-8")
    (folder / "plugin.toml").write_text(text, encoding="utf-8")
    (case / "input.json").write_text('{"windows": [{"features": {"spread": 1.5}, "end_s": 60}]}')
    (case / "expected.json").write_text('{"results": [{"label": "normal", "score": 2.5}]}')
    runner = WorkerRunner(type(manifest).model_validate(manifest.model_dump(), context=folder))
    with pytest.raises(PluginError, match=r"wrong: window 0: score is 1\.5, expected 2\.5"):
        await runner.start()
    assert runner.health.state is State.SET_ASIDE
    await runner.stop()
    assert runner.health.state is State.SET_ASIDE
    assert not children()


async def test_golden_input_is_asked_again_when_time_has_passed() -> None:
    runner = WorkerRunner(sample("good"), golden_every_s=0.3)
    await runner.start()
    try:
        first = runner.health.golden_ok_ns
        await until(lambda: runner.health.golden_ok_ns != first)
    finally:
        await runner.stop()


async def test_call_fails_soon_when_the_runner_is_stopped() -> None:
    runner = WorkerRunner(sample("hanging"))
    await runner.start()
    call = asyncio.create_task(runner.evaluate(POISON, [None]))
    await asyncio.sleep(0.05)
    await runner.stop()
    with pytest.raises(WorkerError):
        await call
    assert not children()


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.1])
async def test_start_ends_when_the_runner_is_stopped_meanwhile(after_s: float) -> None:
    runner = WorkerRunner(sample("good"))
    start = asyncio.create_task(runner.start())
    await asyncio.sleep(after_s)
    await runner.stop()
    with pytest.raises(WorkerError, match="stopped"):
        await asyncio.wait_for(start, 5)
    assert not children()


async def test_worker_lives_on_when_the_terminal_interrupts() -> None:
    async with running("good") as runner:
        (worker,) = children()
        for number in (signal.SIGINT, signal.SIGTERM):
            worker.send_signal(number)
        await runner.evaluate(GOOD, [None, None])
        assert runner.health.restarts == 0


async def test_back_off_is_not_waited_for_when_stopping() -> None:
    async with running("good") as runner:
        (worker,) = children()
        worker.kill()
        await until(lambda: runner.health.state is State.BACKING_OFF)
        assert runner.health.reason == "crashed (signal 9 SIGKILL)"


PARENT = """
import asyncio, sys
from gateway.inference.runner import WorkerRunner
from gateway.inference.worker import OOM_SCORE
from tests.plugins.samples import feature_windows, sample

async def main():
    runner = WorkerRunner(sample("hanging"))
    await runner.start()
    print("ready", flush=True)
    await runner.evaluate(feature_windows([1.0], ["poison"]), [None])

asyncio.run(main())
"""


def test_no_orphan_stays_when_the_parent_is_killed_while_its_worker_hangs() -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment, cwd=root
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert len(workers) == 1
        time.sleep(0.1)  # it hangs now
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=3)
    assert not alive

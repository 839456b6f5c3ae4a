"""Trained models in real workers: one suite over both runtimes."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from gateway.errors import PluginError
from gateway.inference.manifest import load_manifest
from gateway.inference.runner import WorkerRunner
from gateway.model import Result, Windows
from tests.plugins.samples import dense_model, tensor_windows, write_model_plugin

RUNTIMES = ["onnxruntime", "openvino"]
VALUES = np.random.default_rng(3).normal(size=(16, 8, 3)).astype(np.float32)


async def evaluate(folder: Path, windows: Windows) -> list[Result]:
    runner = WorkerRunner(load_manifest(folder))
    await runner.start()
    try:
        return await runner.evaluate(windows, [None] * len(windows))
    finally:
        await runner.stop()


def reference(model: bytes, **inputs: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_scores_are_the_models_when_a_batch_is_evaluated(
    tmp_path: Path, runtime: str
) -> None:
    model = dense_model(8, 3)
    folder = write_model_plugin(tmp_path / "dense", model, runtime=runtime)
    results = await evaluate(folder, tensor_windows(VALUES))
    expected = reference(model, x=VALUES).ravel()
    np.testing.assert_allclose([r.score for r in results], expected, atol=1e-5)
    labels = ["anomaly" if score >= 0.1 else "normal" for score in expected]
    assert [r.label for r in results] == labels
    assert len(set(labels)) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_missing_values_are_masked_when_the_model_has_a_mask(
    tmp_path: Path, runtime: str
) -> None:
    model = dense_model(8, 3, mask=True)
    spec = 'input = "x"\nmask_input = "mask"'
    folder = write_model_plugin(tmp_path / "dense", model, runtime=runtime, spec=spec)
    values = VALUES.copy()
    values[:, :2, 1] = np.nan
    results = await evaluate(folder, tensor_windows(values))
    mask = np.isfinite(values)
    filled = np.where(mask, values, 0)
    expected = reference(model, x=filled, mask=mask.astype(np.float32)).ravel()
    np.testing.assert_allclose([r.score for r in results], expected, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_batch_is_run_one_by_one_when_the_model_takes_only_one(
    tmp_path: Path, runtime: str
) -> None:
    folder = write_model_plugin(tmp_path / "dense", dense_model(8, 3, batch=1), runtime=runtime)
    results = await evaluate(folder, tensor_windows(VALUES))
    expected = reference(dense_model(8, 3), x=VALUES).ravel()
    np.testing.assert_allclose([r.score for r in results], expected, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_label_is_the_greatest_class_when_the_model_gives_classes(
    tmp_path: Path, runtime: str
) -> None:
    model = dense_model(8, 3, outputs=3)
    spec = '[model.outputs]\nlabel = "score"'
    labels = '["normal", "worn", "anomaly"]'
    folder = write_model_plugin(
        tmp_path / "dense", model, runtime=runtime, spec=spec, labels=labels
    )
    results = await evaluate(folder, tensor_windows(VALUES))
    expected = reference(model, x=VALUES)
    names = np.array(["normal", "worn", "anomaly"])
    assert [r.label for r in results] == names[expected.argmax(axis=1)].tolist()
    np.testing.assert_allclose([r.score for r in results], expected.max(axis=1), atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("mask", "wrong", "field", "reason"),
    [
        (
            False,
            {"window": "steps = 9\nmax_channels = 3"},
            "window.steps",
            "the model's input 'x' is [?, 8, 3], the manifest gives [?, 9, 3]",
        ),
        (
            False,
            {"spec": 'layout = "flat"'},
            "window.steps",
            "the model's input 'x' is [?, 8, 3], the manifest gives [?, 24]",
        ),
        (
            False,
            {"spec": 'input = "y"'},
            "model.input",
            "the model has no input 'y'; it has x",
        ),
        (
            False,
            {"spec": '[model.outputs]\nscore = "s"'},
            "model.outputs.score",
            "the model has no output 's'; it has score",
        ),
        (
            True,
            {"spec": 'input = "x"'},
            "model.input",
            "nothing feeds the model's input 'mask'",
        ),
    ],
)
async def test_plugin_is_refused_when_model_and_manifest_do_not_fit(
    tmp_path: Path, runtime: str, *, mask: bool, wrong: dict[str, str], field: str, reason: str
) -> None:
    model = dense_model(8, 3, mask=mask)
    folder = write_model_plugin(tmp_path / "dense", model, runtime=runtime, **wrong)
    with pytest.raises(PluginError) as caught:
        await evaluate(folder, tensor_windows(VALUES))
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_plugin_is_refused_when_its_file_is_no_model(tmp_path: Path, runtime: str) -> None:
    folder = write_model_plugin(tmp_path / "dense", b"no model", runtime=runtime)
    with pytest.raises(PluginError, match=f"{runtime} does not take model.onnx"):
        await evaluate(folder, tensor_windows(VALUES))

"""Models of the whole picture: a class or a vector."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import PluginError
from gateway.inference.manifest import Manifest, load_manifest
from gateway.inference.models import Array, TensorSpec
from gateway.inference.vision.classify import check_classes, classify
from gateway.inference.vision.embed import check_vector, embed
from gateway.inference.vision.eye import Eye
from tests.plugins.detectors import constant_model, write_detector

LABELS = ("open", "ajar", "shut")


def _frames() -> Manifest:
    outcome = {"domain": "d", "asset": "a", "kind": "k", "labels": ["l"]}
    table = {"api": 1, "name": "n", "version": "1", "title": "t", "frame": {}, "outcome": outcome}
    return Manifest.model_validate(table)


def manifest(tmp_path: Path, *, score: str = "") -> Manifest:
    model = constant_model({"o": np.zeros((1, 7, 42))})
    loaded = load_manifest(write_detector(tmp_path / "a", model))
    outcome = loaded.outcome.model_copy(update={"labels": LABELS})
    outputs = loaded.model.outputs.model_copy(update={"score": score})
    spec = loaded.model.model_copy(update={"outputs": outputs})
    return loaded.model_copy(update={"outcome": outcome, "model": spec})


@pytest.mark.parametrize(
    ("numbers", "label", "score"),
    [
        ([0.1, 0.7, 0.2], "ajar", 0.7),  # probabilities stay as they are
        ([0.101, 0.702, 0.205], "ajar", 0.702),  # nearly, as of half floats
        ([0.0, np.log(2), 0.0], "ajar", 0.5),  # within 0 to 1, and no probabilities
        ([-1000.0, 0.0, 1000.0], "shut", 1.0),
        ([np.nan, 0.5, 0.5], "open", 0.0),
        ([np.inf, 0.0, 0.0], "open", 0.0),
    ],
)
def test_class_is_the_likeliest_when_outputs_are_logits_or_probabilities(
    numbers: list[float], label: str, score: float
) -> None:
    ((got, sure),) = classify({"o": np.array([numbers], np.float32)}, LABELS)
    assert got == label
    assert sure == pytest.approx(score, abs=1e-5)


def test_classes_are_read_when_they_stand_in_a_map_of_one_cell() -> None:
    output = np.zeros((2, 3, 1, 1), np.float32)
    output[0, 0], output[1, 2] = 9, 9
    told = classify({"features": np.zeros((2, 64)), "prob": output}, LABELS)
    assert [label for label, _ in told] == ["open", "shut"]


def test_refusal_counts_the_labels_when_the_model_has_others(tmp_path: Path) -> None:
    check_classes(manifest(tmp_path), {"prob": (1, 3)})
    with pytest.raises(PluginError, match=r"3 labels; the model gives prob \[1, 1000\]") as caught:
        check_classes(manifest(tmp_path / "b"), {"prob": (1, 1000)})
    assert caught.value.field == "outcome.labels"


def test_vector_is_flat_when_the_output_is_a_map_of_one_cell() -> None:
    output = np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1)
    vectors = embed({"o": output})
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_vector_is_the_named_output_when_there_are_two(tmp_path: Path) -> None:
    outputs = {"a": np.zeros((1, 4)), "b": np.ones((1, 6))}
    shapes = {name: array.shape for name, array in outputs.items()}
    assert embed(outputs, "b").shape == (1, 6)
    assert check_vector(manifest(tmp_path, score="b"), shapes) == 6
    with pytest.raises(PluginError, match="the model gives a") as caught:
        check_vector(manifest(tmp_path / "c", score="gone"), shapes)
    assert caught.value.field == "model.outputs.score"


class Fake:
    """A model that is a function."""

    def __init__(
        self,
        call: Callable[[Mapping[str, Array]], dict[str, Array]],
        **shapes: tuple[int | None, ...],
    ) -> None:
        self._call = call
        self.outputs: tuple[str, ...] = ("o",)
        self.inputs = {
            name: TensorSpec(shape, "float32" if len(shape) == 4 else "int64")
            for name, shape in shapes.items()
        }

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._call(inputs)


def test_eye_tells_the_size_when_the_model_asks_for_it() -> None:
    """RT-DETR and D-FINE with their post-processing want ``orig_target_sizes``."""
    asked: list[Array] = []

    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        asked.append(inputs["orig_target_sizes"])
        return {"o": np.zeros((len(inputs["images"]), 5), np.float16)}

    model = Fake(call, images=(None, 3, 32, 64), orig_target_sizes=(None, 2))
    (outputs,) = Eye(model, _frames()).look(np.zeros((3, 32, 64, 3), np.uint8))
    assert asked[-1].tolist() == [[64, 32]] * 3
    assert asked[-1].dtype == np.int64
    assert outputs["o"].shape == (3, 5)
    assert outputs["o"].dtype == np.float32


def test_eye_goes_one_by_one_when_a_batch_is_promised_and_does_not_work() -> None:
    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        if len(inputs["x"]) > 1:
            raise ValueError("cannot reshape")
        return {"o": np.zeros((1, 5), np.float32)}

    eye = Eye(Fake(call, x=(None, 3, 32, 64)), _frames())
    assert len(list(eye.look(np.zeros((3, 32, 64, 3), np.uint8)))) == 3


def test_refusal_says_why_when_the_model_does_not_run() -> None:
    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        raise ValueError("no such operator: Fancy")

    with pytest.raises(PluginError, match="64 x 32 px: no such operator: Fancy"):
        Eye(Fake(call, x=(1, 3, 32, 64)), _frames())


def test_refusal_names_the_input_when_nothing_feeds_it() -> None:
    model = Fake(dict, x=(1, 3, 32, 64), mask=(1, 5))
    with pytest.raises(PluginError, match="nothing feeds the model's input 'mask'"):
        Eye(model, _frames())

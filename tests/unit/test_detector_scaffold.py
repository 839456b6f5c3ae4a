"""``weir plugin new --detector``: from a model's file to a plugin that loads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from gateway.cli.plugin import plugin
from gateway.errors import PluginError
from gateway.inference.detector_scaffold import new_detector
from gateway.inference.manifest import Manifest, load_manifest
from gateway.inference.models import load_model
from gateway.inference.vision.finder import Finder
from tests.plugins.detectors import Shape, constant_model, unusual_model

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def made(
    tmp_path: Path,
    outputs: dict[str, tuple[int, ...]],
    shape: Shape,
    dtype: str = "float32",
    **names: str,
) -> tuple[Manifest, tuple[str, ...]]:
    arrays: dict[str, NDArray[Any]] = {n: np.zeros(s, np.float32) for n, s in outputs.items()}
    file = tmp_path / "model.onnx"
    file.write_bytes(constant_model(arrays, shape, dtype, metadata=names))
    folder, found = new_detector("mine", tmp_path / "plugins", file)
    manifest = load_manifest(folder)
    Finder(load_model(manifest), manifest)
    return manifest, found.told


@pytest.mark.parametrize(
    ("outputs", "shape", "head", "frame"),
    [
        ({"o": (1, 84, 756)}, (1, 3, 192, 192), "yolo", ("letterbox", "RGB", 1 / 255)),
        ({"o": (1, 756, 85)}, (1, 3, 192, 192), "yolox", ("letterbox", "BGR", 1)),
        ({"o": (1, 765, 112)}, (1, 3, 192, 192), "nanodet", ("stretch", "BGR", 1)),
        ({"o": (1, 85, 12, 12)}, (1, 3, 192, 192), "fastestdet", ("stretch", "BGR", 1 / 255)),
        ({"o": (1, 1, 9, 7)}, (1, 192, 192, 3), "ssd", ("stretch", "RGB", 1 / 255)),
        (
            {"logits": (1, 9, 92), "boxes": (1, 9, 4)},
            (1, 3, 192, 192),
            "detr",
            ("stretch", "RGB", 1 / 255),
        ),
    ],
)
def test_plugin_loads_as_it_is_when_the_model_is_one_of_those_known(
    tmp_path: Path,
    outputs: dict[str, tuple[int, ...]],
    shape: Shape,
    head: str,
    frame: tuple[str, str, float],
) -> None:
    manifest, _ = made(tmp_path, outputs, shape)
    assert manifest.detect is not None
    assert manifest.frame is not None
    assert (manifest.detect.head, manifest.detect.classes) == (head, "coco")
    assert manifest.detect.keep == ("person",)
    assert (manifest.frame.fit, manifest.frame.color) == frame[:2]
    assert manifest.frame.scale == pytest.approx(frame[2])
    assert len(manifest.count) == 1
    normalised = head in {"nanodet", "detr"}
    assert any(manifest.frame.mean) == normalised


def test_size_is_640_when_the_model_takes_any(tmp_path: Path) -> None:
    manifest, told = made(tmp_path, {"o": (1, 84, 8400)}, ("n", 3, "h", "w"))
    assert manifest.frame is not None
    assert (manifest.frame.width, manifest.frame.height) == (640, 640)
    assert "input 640 x 640 px" in told


def test_classes_are_the_files_when_it_names_them(tmp_path: Path) -> None:
    manifest, told = made(
        tmp_path, {"o": (1, 6, 756)}, (1, 3, 192, 192), names="{0: 'fork', 1: 'a \"lift\"'}"
    )
    assert manifest.detect is not None
    assert manifest.detect.classes == ("fork", 'a "lift"')
    assert manifest.detect.keep == ("fork",)
    assert 'its file names 2 classes: fork, a "lift"' in told


@pytest.mark.parametrize("names", ["{}", "[1, 2]", "__import__('os')", "{0: 'one'}", ""])
def test_classes_have_placeholders_when_the_file_names_none_that_fit(
    tmp_path: Path, names: str
) -> None:
    manifest, told = made(tmp_path, {"o": (1, 6, 756)}, (1, 3, 192, 192), names=names)
    assert manifest.detect is not None
    assert manifest.detect.classes == ("class-0", "class-1")
    assert "2 classes, and no names: write them into detect.classes" in told


def test_pixels_are_not_scaled_when_the_model_takes_uint8(tmp_path: Path) -> None:
    manifest, _ = made(tmp_path, {"o": (1, 84, 756)}, (1, 192, 192, 3), "uint8")
    assert manifest.frame is not None
    assert manifest.frame.layout == "NHWC"
    assert "scale" not in manifest.frame.model_fields_set


def test_runtime_is_the_other_when_openvino_does_not_take_the_model(tmp_path: Path) -> None:
    file = tmp_path / "unusual.onnx"
    file.write_bytes(unusual_model())
    folder, _ = new_detector("mine", tmp_path / "plugins", file)
    manifest = load_manifest(folder)
    assert manifest.model.runtime == "onnxruntime"
    assert Finder(load_model(manifest), manifest).size == (192, 192)


@pytest.mark.parametrize(
    ("outputs", "shape", "reason"),
    [
        ({"prob": (1, 1000)}, (1, 3, 192, 192), "1000 numbers a picture are of a model for"),
        ({"o": (1, 1, 192, 192)}, (1, 3, 192, 192), "a plugin.py may read them"),
        ({"o": (1, 84, 756)}, (1, 1, 192, 192), "a picture has 3 channels"),
    ],
)
def test_nothing_is_left_behind_when_the_model_will_not_do(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], shape: Shape, reason: str
) -> None:
    with pytest.raises(PluginError, match=reason):
        made(tmp_path, outputs, shape)
    assert not (tmp_path / "plugins" / "mine").exists()


def test_refusal_says_what_the_file_is_when_it_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "yolo11n.pt").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(PluginError, match="export the model to ONNX"):
        new_detector("mine", tmp_path, tmp_path / "yolo11n.pt")
    with pytest.raises(PluginError, match="no such file"):
        new_detector("mine", tmp_path, tmp_path / "gone.onnx")


def test_nothing_is_touched_when_the_folder_is_there_already(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(constant_model({"o": np.zeros((1, 84, 756))}, (1, 3, 192, 192)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("own")
    with pytest.raises(PluginError, match="cannot be made"):
        new_detector("mine", tmp_path, file)
    assert (tmp_path / "mine" / "notes").read_text() == "own"


def test_command_says_what_it_guessed_when_it_made_a_plugin(tmp_path: Path) -> None:
    model = DATA / "FastestDet.onnx"
    if not model.is_file():
        pytest.skip("shared/data/FastestDet.onnx is not here")
    arguments = ["new", "people", "--dir", str(tmp_path), "--detector", str(model)]
    result = CliRunner().invoke(plugin, arguments)
    assert result.exit_code == 0, result.output
    assert "outputs 758 [1, 85, 22, 22]: head = fastestdet\n" in result.output
    assert "assumed, as is usual for fastestdet: fit = stretch, color = BGR" in result.output
    assert load_manifest(tmp_path / "people").detect is not None

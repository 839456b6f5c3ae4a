"""Detectors loaded from real files: objects where they are, and refusals that say what fits."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.errors import PluginError
from gateway.inference.manifest import load_manifest
from gateway.inference.models import load_model
from gateway.inference.vision.finder import Finder
from gateway.inference.vision.fitted import Fitted
from gateway.model import Seen
from tests.plugins.detectors import Shape, constant_model, write_detector

RUNTIMES = ["onnxruntime", "openvino"]
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def v8(*rows: tuple[float, ...], classes: int = 3) -> dict[str, NDArray[np.float32]]:
    """Return the output of a YOLO v8 of 64 x 32 px: center, sides and scores of each object."""
    output = np.zeros((1, 4 + classes, 42), np.float32)
    for cell, row in enumerate(rows):
        output[0, : len(row), cell] = row
    return {"output0": output}


DOG = v8((30, 16, 20, 8, 0.1, 0.8, 0.3))


def finder(folder: Path) -> Finder:
    manifest = load_manifest(folder)
    return Finder(load_model(manifest), manifest)


def fitted(count: int, whole: tuple[int, int], size: tuple[int, int] = (64, 32)) -> Fitted:
    return Fitted(
        sources=[f"camera-{i}" for i in range(count)],
        end_ns=np.zeros(count, np.int64),
        sizes=[whole] * count,
        places=[{}] * count,
        images=np.zeros((count, size[1], size[0], 3), np.uint8),
    )


def refused(folder: Path) -> PluginError:
    with pytest.raises(PluginError) as caught:
        finder(folder)
    assert caught.value.file == str(folder / "plugin.toml")
    return caught.value


# Found where they are


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_object_is_found_when_the_model_tells_it(tmp_path: Path, runtime: str, dtype: str) -> None:
    model = constant_model(DOG, dtype=dtype)
    found = finder(write_detector(tmp_path / "a", model, runtime=runtime))
    assert found.size == (64, 32)
    # 128 x 64 fills 64 x 32 whole: px 20, 12, 40, 20 there.
    ((seen,),) = found.find(fitted(1, (128, 64)))
    assert seen.box == pytest.approx((20 / 64, 12 / 32, 40 / 64, 20 / 32))
    assert seen.label == "dog"
    assert seen.score == pytest.approx(0.8)


def test_box_is_part_of_the_whole_picture_when_it_was_letterboxed(tmp_path: Path) -> None:
    # A square picture is 32 px wide in the middle of 64: from px 16 to 48.
    found = finder(write_detector(tmp_path / "a", constant_model(DOG)))
    ((seen,),) = found.find(fitted(1, (200, 200)))
    assert seen.box == pytest.approx((4 / 32, 12 / 32, 24 / 32, 20 / 32))


def test_object_is_left_out_when_it_lies_in_the_letterbox(tmp_path: Path) -> None:
    model = constant_model(v8((5, 16, 8, 8, 0.9, 0, 0)))
    assert finder(write_detector(tmp_path / "a", model)).find(fitted(1, (200, 200))) == [[]]


@pytest.mark.parametrize("shape", [(1, 3, 32, 64), ("n", 3, 32, 64)])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_picture_has_its_objects_when_there_are_three(
    tmp_path: Path, shape: Shape, runtime: str
) -> None:
    model = constant_model(DOG, shape=shape)
    found = finder(write_detector(tmp_path / "a", model, runtime=runtime))
    assert [[s.label for s in seen] for seen in found.find(fitted(3, (128, 64)))] == [["dog"]] * 3
    assert found.find(fitted(0, (1, 1))) == []


def test_only_kept_classes_are_told_when_keep_is_given(tmp_path: Path) -> None:
    model = constant_model(v8((30, 16, 20, 8, 0.9, 0, 0), (10, 16, 8, 8, 0, 0, 0.7)))
    found = finder(write_detector(tmp_path / "a", model, detect='keep = ["cat"]'))
    ((seen,),) = found.find(fitted(1, (128, 64)))
    assert seen.label == "cat"


def test_the_better_is_told_when_two_boxes_of_a_class_overlap(tmp_path: Path) -> None:
    rows = ((30, 16, 20, 8, 0.6), (31, 16, 20, 8, 0.9), (31, 16, 20, 8, 0, 0.5))
    found = finder(write_detector(tmp_path / "a", constant_model(v8(*rows))))
    told = [(s.label, round(s.score, 3)) for s in found.find(fitted(1, (128, 64)))[0]]
    assert told == [("person", 0.9), ("dog", 0.5)]


def test_no_more_objects_are_told_when_max_objects_is_reached(tmp_path: Path) -> None:
    model = constant_model(v8((5, 5, 4, 4, 0.5), (20, 5, 4, 4, 0.9), (40, 5, 4, 4, 0.7)))
    found = finder(write_detector(tmp_path / "a", model, detect="max_objects = 2"))
    assert [round(s.score, 3) for s in found.find(fitted(1, (128, 64)))[0]] == [0.9, 0.7]


def test_nothing_is_found_when_there_is_nothing(tmp_path: Path) -> None:
    assert finder(write_detector(tmp_path / "a", constant_model(v8()))).find(fitted(1, (9, 9))) == [
        []
    ]


def test_size_is_the_manifests_when_the_model_takes_any(tmp_path: Path) -> None:
    model = constant_model(DOG, shape=(1, 3, "h", "w"))
    folder = write_detector(tmp_path / "a", model, frame="width = 64\nheight = 32")
    assert finder(folder).size == (64, 32)


def test_class_beyond_the_names_is_told_in_the_log_when_a_model_counts_from_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.array([[[[0, 3, 0.9, 0, 0, 1, 1], [0, 1, 0.9, 0, 0, 1, 1]]]], np.float32)
    folder = write_detector(tmp_path / "a", constant_model({"rows": rows}), head="ssd")
    found = finder(folder)
    with caplog.at_level(logging.WARNING):
        ((seen,),) = found.find(fitted(1, (128, 64)))
        found.find(fitted(1, (128, 64)))
    assert seen.label == "dog"
    assert caplog.messages == [
        "the model found class 3; detect.classes has 3 names, counted from 0."
        ' A model that counts from 1 needs "background" before them'
    ]


# Refused, with what would fit


def test_refusal_says_which_head_fits_when_the_head_is_wrong(tmp_path: Path) -> None:
    error = refused(write_detector(tmp_path / "a", constant_model(DOG), head="fastestdet"))
    assert error.field == "detect.head"
    assert error.reason == (
        '"fastestdet" reads [1, 5 + classes, rows, columns]; the model gives output output0'
        ' [1, 7, 42]: it looks like head = "yolo"'
    )


def test_refusal_gives_the_number_when_classes_are_wrong(tmp_path: Path) -> None:
    error = refused(write_detector(tmp_path / "a", constant_model(DOG), classes='"coco"'))
    assert error.field == "detect.classes"
    assert error.reason == ("the model has 3 classes (output output0 [1, 7, 42]), the manifest 80")


@pytest.mark.parametrize(
    ("shape", "frame", "field", "reason"),
    [
        ((1, 3, 32, 64), "width = 640", "frame.width", "640: the model's input is [1, 3, 32, 64]"),
        ((1, 3, 32, 64), "height = 64", "frame.height", "give 32, or leave it out"),
        ((1, 3, "h", "w"), "", "frame.width", "it takes any size, so say which: width = 640"),
        ((1, 32, 64, 3), "", "frame.layout", 'which is layout = "NHWC"'),
        ((1, 3, 32, 64), 'layout = "NHWC"', "frame.layout", 'which is layout = "NCHW"'),
        ((1, 1, 32, 64), "", "model.input", "a picture has 3 channels"),
        ((4, 3, 32, 64), "", "model.input", "it must take 1 picture, or any number"),
    ],
)
def test_refusal_says_what_the_model_takes_when_the_input_is_wrong(
    tmp_path: Path, shape: Shape, frame: str, field: str, reason: str
) -> None:
    outputs = {"output0": np.repeat(DOG["output0"], 4 if shape[0] == 4 else 1, axis=0)}
    error = refused(write_detector(tmp_path / "a", constant_model(outputs, shape), frame=frame))
    assert error.field == field
    assert reason in error.reason


def test_refusal_says_so_when_the_model_takes_no_pictures(tmp_path: Path) -> None:
    from tests.plugins.samples import dense_model  # noqa: PLC0415 - of another kind of plugin

    error = refused(write_detector(tmp_path / "a", dense_model(8, 3)))
    assert error.field == "model.input"
    assert "the model takes no pictures: pictures are [1, 3, height, width]" in error.reason


def test_refusal_says_so_when_pixels_are_scaled_for_a_model_of_uint8(tmp_path: Path) -> None:
    model = constant_model(DOG, dtype="uint8")
    assert refused(write_detector(tmp_path / "a", model, frame="scale = 1.0")).field == (
        "frame.scale"
    )


def test_refusal_lists_the_models_there_are_when_the_file_is_missing(tmp_path: Path) -> None:
    folder = write_detector(tmp_path / "a", constant_model(DOG))
    (folder / "model.onnx").rename(folder / "yolo11n.onnx")
    error = refused(folder)
    assert error.field == "model.file"
    assert error.reason == "no such file: model.onnx; the folder has yolo11n.onnx"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04yolo11n/data.pkl", "as PyTorch's .pt is: export the model to ONNX"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x1c\x00\x00\x00TFL3rest", "TensorFlow Lite's: convert it with tf2onnx"),
        (b"<!DOCTYPE html><html>", "a web page: the download failed"),
        (b"", "which is empty"),
        (b"\x00nonsense", "which does not begin as ONNX or OpenVINO's .xml does"),
        (b"\x08nonsense", "does not take model.onnx: "),
    ],
)
def test_refusal_says_what_the_file_is_when_it_is_not_onnx(
    tmp_path: Path, runtime: str, content: bytes, kind: str
) -> None:
    error = refused(write_detector(tmp_path / "a", content, runtime=runtime))
    assert error.field == "model.file"
    assert kind in error.reason


@pytest.mark.parametrize(
    ("detect", "rest", "field"),
    [
        ('keep = ["persom"]', "", "detect.keep"),
        (
            'keep = ["person"]',
            '[[count]]\nname = "n"\nwhat = "occupancy"\nclasses = ["dog"]',
            "count.classes",
        ),
    ],
)
def test_refusal_names_the_class_when_there_is_none_such(
    tmp_path: Path, detect: str, rest: str, field: str
) -> None:
    model = constant_model(v8(classes=80))
    folder = write_detector(tmp_path / "a", model, classes='"coco"', detect=detect, rest=rest)
    error = refused(folder)
    assert error.field == field
    assert "is not among the classes" in error.reason


# Outputs that make no sense


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_boxes_are_within_the_picture_when_outputs_are_anything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 0.5], np.float32)
    output = rng.normal(0, 100, (1, 7, 42)).astype(np.float32)
    output = np.where(rng.uniform(0, 1, output.shape) < 0.2, rng.choice(odd, output.shape), output)

    found = _FOUND
    found._eye._model = lambda _: {"output0": output}  # type: ignore[assignment]
    for seen in found.find(fitted(1, (1920, 1080)))[0]:
        assert 0 <= seen.box[0] < seen.box[2] <= 1
        assert 0 <= seen.box[1] < seen.box[3] <= 1
        assert 0.4 <= seen.score <= 1


@pytest.fixture(scope="module", autouse=True)
def _one_finder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _FOUND  # noqa: PLW0603 - hypothesis takes no fixture of a function's scope
    _FOUND = finder(write_detector(tmp_path_factory.mktemp("m") / "a", constant_model(DOG)))


_FOUND: Finder


# A real detector and a real film


@pytest.fixture
def fastestdet(tmp_path: Path) -> Path:
    model = DATA / "FastestDet.onnx"
    if not model.is_file():
        pytest.skip("shared/data/FastestDet.onnx is not here")
    return write_detector(
        tmp_path / "fd",
        model.read_bytes(),
        head="fastestdet",
        classes='"coco"',
        detect='keep = ["person"]',
        frame='fit = "stretch"\ncolor = "BGR"',
    )


def film(numbers: list[int]) -> list[NDArray[np.uint8]]:
    if not (DATA / "person.mp4").is_file():
        pytest.skip("shared/data/person.mp4 is not here")
    film = cv2.VideoCapture(str(DATA / "person.mp4"))
    images = []
    for number in range(max(numbers) + 1):
        taken, image = film.read()
        assert taken
        if number in numbers:
            images.append(np.asarray(cv2.resize(image, (352, 352)), np.uint8))
    return images


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_person_is_found_where_she_is_when_fastestdet_looks_at_the_film(
    fastestdet: Path, runtime: str
) -> None:
    manifest = fastestdet / "plugin.toml"
    manifest.write_text(manifest.read_text().replace("openvino", runtime))
    images = film([20, 72, 300])
    pictures = Fitted(
        ["c"] * 3, np.zeros(3, np.int64), [(768, 432)] * 3, [{}] * 3, np.stack(images)
    )
    nobody, walking, standing = finder(fastestdet).find(pictures)
    assert nobody == []
    # By eye: she walks away from the camera, hair to boots; then a man stands right of the middle.
    _is_near(walking, (0.48, 0.13, 0.68, 1.0))
    _is_near(standing, (0.49, 0.0, 0.70, 0.86))


def _is_near(seen: list[Seen], box: tuple[float, float, float, float]) -> None:
    assert [s.label for s in seen] == ["person"]
    assert seen[0].box == pytest.approx(box, abs=0.06)


@pytest.mark.parametrize("head", ["yolo", "yolox", "nanodet", "ssd", "detr"])
def test_refusal_says_fastestdet_when_its_head_is_wrong(fastestdet: Path, head: str) -> None:
    manifest = fastestdet / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('head = "fastestdet"', f'head = "{head}"'))
    error = refused(fastestdet)
    assert error.field == "detect.head"
    assert "[1, 85, 22, 22]" in error.reason
    assert error.reason.endswith('it looks like head = "fastestdet"')

"""Each head against boxes worked out by hand, and against numbers that make no sense."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.inference.vision.classes import COCO, COCO_BY_ID
from gateway.inference.vision.fitting import candidates, misfit
from gateway.inference.vision.heads import (
    HEADS,
    detr,
    fastestdet,
    nanodet,
    read,
    ssd,
    yolo,
    yolox,
)
from gateway.inference.vision.heads.detections import (
    Detections,
    Outputs,
    Wanted,
    cells,
    sigmoid,
    softmax,
)
from gateway.inference.vision.overlap import sort_out

SIZE = (64, 32)
"""Wider than high, so that mixed-up axes show. 8 x 4, 4 x 2 and 2 x 1 cells: 42."""
WANTED = Wanted(SIZE, 3, 0.4)
COCO_WANTED = Wanted(SIZE, 80, 0.4, coco=True)


def floats(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


def only(found: list[Detections]) -> tuple[list[float], float, int]:
    assert len(found) == 1
    assert len(found[0].scores) == 1
    boxes, scores, classes = found[0]
    return boxes[0].tolist(), float(scores[0]), int(classes[0])


def is_one(
    found: list[Detections], box: tuple[float, float, float, float], score: float, number: int
) -> None:
    got_box, got_score, got_number = only(found)
    assert got_box == pytest.approx(box, abs=1e-3)
    assert got_score == pytest.approx(score, abs=1e-4)
    assert got_number == number


def test_yolo_reads_rows_of_classes_when_v8() -> None:
    output = floats(1, 7, 42)
    output[0, :, 5] = [30, 16, 20, 8, 0.1, 0.2, 0.9]  # center 30, 16; 20 x 8
    is_one(yolo.decode({"o": output}, WANTED), (20, 12, 40, 20), 0.9, 2)


def test_yolo_reads_columns_of_classes_when_v8_is_transposed() -> None:
    output = floats(1, 42, 7)
    output[0, 5] = [30, 16, 20, 8, 0.1, 0.8, 0.3]
    is_one(yolo.decode({"o": output}, WANTED), (20, 12, 40, 20), 0.8, 1)


def test_yolo_multiplies_objectness_and_class_when_v5() -> None:
    output = floats(1, 126, 8)
    output[0, 7] = [30, 16, 20, 8, 0.8, 0.1, 0.9, 0.3]
    output[0, 8] = [30, 16, 20, 8, 0.5, 0.1, 0.7, 0.3]  # 0.35 is not enough
    is_one(yolo.decode({"o": output}, WANTED), (20, 12, 40, 20), 0.72, 1)


def test_yolo_takes_corners_when_the_model_sorts_out_overlaps_itself() -> None:
    output = floats(1, 300, 6)
    output[0, 0] = [20, 12, 40, 20, 0.7, 2]
    is_one(yolo.decode({"o": output}, WANTED), (20, 12, 40, 20), 0.7, 2)


def test_yolo_keeps_pictures_apart_when_there_are_two() -> None:
    output = floats(2, 7, 42)
    output[1, :, 0] = [30, 16, 20, 8, 0.9, 0, 0]
    first, second = yolo.decode({"o": output}, WANTED)
    assert (len(first.scores), len(second.scores)) == (0, 1)


def test_yolox_decodes_its_grids_when_raw() -> None:
    output = floats(1, 42, 8)
    # Cell 37 is of stride 16: 32 cells of stride 8, then row 1, column 1 of 4 x 2.
    output[0, 37] = [0.5, 0.25, math.log(2), math.log(0.5), 0.9, 0.2, 0.1, 0.8]
    # Center (1.5, 1.25) x 16 = (24, 20), sides 32 and 8.
    is_one(yolox.decode({"o": output}, WANTED), (8, 16, 40, 24), 0.72, 2)


def test_yolox_gives_nothing_when_a_side_overflows() -> None:
    output = floats(1, 42, 8)
    output[0, 0] = [0.5, 0.5, 1000.0, np.nan, 0.9, 0.9, 0, 0]
    assert len(yolox.decode({"o": output}, WANTED)[0].scores) == 0


@pytest.mark.parametrize(
    ("count", "cell", "point"),
    # Row 1, column 2 of stride 16: the cell's corner with four strides, its middle with three.
    [(43, 38, (32, 16)), (42, 38, (40, 24))],
)
def test_nanodet_takes_the_mean_of_the_distribution_when_decoding(
    count: int, cell: int, point: tuple[float, float]
) -> None:
    output = floats(1, count, 3 + 32)
    output[0, cell, :3] = [0.1, 0.6, 0.2]
    sides = output[0, cell, 3:].reshape(4, 8)
    sides[0, 1] = sides[2, 1] = 50  # one stride to the left and to the right
    sides[1, [0, 1]] = 50  # half of 0 and half of 1: half a stride up
    sides[3, 0] = 50
    x, y = point
    is_one(nanodet.decode({"o": output}, WANTED), (x - 16, y - 8, x + 16, y), 0.6, 1)


def test_fastestdet_weighs_objectness_and_class_when_decoding() -> None:
    output = floats(1, 8, 2, 4)
    output[0, 0, 1, 2] = 0.9
    output[0, 1:5, 1, 2] = [math.atanh(0.5), math.atanh(-0.5), logit(0.25), logit(0.5)]
    output[0, 5:, 1, 2] = [0.1, 0.2, 0.7]
    # Center ((2 + 0.5) / 4, (1 - 0.5) / 2) of 64 x 32 = (40, 8), sides 16 x 16.
    score = 0.9**0.6 * 0.7**0.4
    is_one(fastestdet.decode({"o": output}, WANTED), (32, 0, 48, 16), score, 2)


def test_ssd_reads_rows_until_a_negative_number_when_caffe_made_them() -> None:
    output = floats(1, 1, 4, 7)
    output[0, 0, 0] = [0, 1, 0.9, 0.25, 0.5, 0.75, 1.0]
    output[0, 0, 1] = [0, 2, 0.1, 0, 0, 1, 1]
    output[0, 0, 2:] = [-1, 1, 0.9, 0, 0, 1, 1]
    is_one(ssd.decode({"o": output}, WANTED), (16, 16, 48, 32), 0.9, 1)


def test_ssd_takes_top_before_left_when_tensorflow_made_it() -> None:
    outputs: Outputs = {
        "detection_boxes:0": np.array([[[0.5, 0.25, 1.0, 0.75]]], np.float32),
        "detection_classes:0": np.array([[3.0]], np.float32),
        "detection_scores:0": np.array([[0.8]], np.float32),
        "num_detections:0": np.array([1.0], np.float32),
    }
    is_one(ssd.decode(outputs, COCO_WANTED), (16, 16, 48, 32), 0.8, COCO.index("car"))


def test_ssd_takes_px_and_no_batch_when_torchvision_made_it() -> None:
    outputs: Outputs = {
        "boxes": np.array([[16, 8, 48, 32], [0, 0, 1, 1]], np.float32),
        "labels": np.array([90, 1], np.int64),
        "scores": np.array([0.8, 0.1], np.float32),
    }
    is_one(ssd.decode(outputs, COCO_WANTED), (16, 8, 48, 32), 0.8, COCO.index("toothbrush"))


def test_ssd_finds_scores_in_the_boxes_when_mmdetection_made_it() -> None:
    outputs: Outputs = {
        "dets": np.array([[[16, 8, 48, 32, 0.7]]], np.float32),
        "labels": np.array([[2]], np.int64),
    }
    is_one(ssd.decode(outputs, WANTED), (16, 8, 48, 32), 0.7, 2)


def test_ssd_gives_no_class_when_the_number_is_one_that_coco_took_back() -> None:
    outputs: Outputs = {
        "boxes": np.array([[0, 0, 9, 9]], np.float32),
        "labels": np.array([12], np.int64),
        "scores": np.array([0.9], np.float32),
    }
    assert only(ssd.decode(outputs, COCO_WANTED))[2] == -1
    assert sorted(COCO_BY_ID[COCO_BY_ID >= 0].tolist()) == list(range(80))


def test_detr_takes_a_softmax_without_no_object_when_there_is_one_logit_more() -> None:
    logits = floats(1, 2, 4)
    logits[0, 0] = [0, math.log(7), 0, 0]  # 0.1, 0.7, 0.1, 0.1
    logits[0, 1] = [0, 0, 0, 9]
    boxes = floats(1, 2, 4)
    boxes[0] = [0.5, 0.5, 0.25, 0.5]
    found = detr.decode({"logits": logits, "pred_boxes": boxes}, WANTED)
    is_one(found, (24, 8, 40, 24), 0.7, 1)


def test_detr_takes_sigmoids_when_there_is_a_logit_a_class() -> None:
    logits = np.full((1, 2, 3), -9, np.float32)
    logits[0, 1, 2] = logit(0.8)
    boxes = floats(1, 2, 4)
    boxes[0, 1] = [0.5, 0.5, 0.25, 0.5]
    found = detr.decode({"pred_logits": logits, "pred_boxes": boxes}, WANTED)
    is_one(found, (24, 8, 40, 24), 0.8, 2)


def test_detr_goes_by_the_names_when_logits_have_the_shape_of_boxes() -> None:
    logits = np.full((1, 2, 4), -9, np.float32)
    logits[0, 0, 1] = logit(0.8)
    logits[0, 0, 3] = 9  # says nothing
    boxes = floats(1, 2, 4)
    boxes[0, 0] = [0.5, 0.5, 0.25, 0.5]
    found = detr.decode({"dets": boxes, "labels": logits}, WANTED)
    is_one(found, (24, 8, 40, 24), 0.8, 1)


@pytest.mark.parametrize(("count", "softmaxed"), [(91, False), (92, True)])
def test_detr_counts_as_coco_does_when_there_are_91_logits(count: int, softmaxed: bool) -> None:
    logits = np.full((1, 1, count), -30, np.float32)
    logits[0, 0, 3] = 20
    boxes = np.full((1, 1, 4), 0.5, np.float32)
    found = detr.decode({"logits": logits, "boxes": boxes}, COCO_WANTED)
    is_one(found, (16, 8, 48, 24), 1.0, COCO.index("car"))
    assert softmaxed == (count == 92)


def test_detr_takes_decoded_boxes_when_the_model_has_its_post_processing() -> None:
    outputs: Outputs = {
        "labels": np.array([[2]], np.int64),
        "boxes": np.array([[[16, 8, 48, 32]]], np.float32),
        "scores": np.array([[0.8]], np.float32),
    }
    is_one(detr.decode(outputs, COCO_WANTED), (16, 8, 48, 32), 0.8, COCO.index("car"))


def test_detr_reads_one_output_when_ultralytics_exported_it() -> None:
    output = floats(1, 300, 7)
    output[0, 4] = [0.5, 0.5, 0.25, 0.5, 0.1, 0.2, 0.9]
    is_one(detr.decode({"o": output}, WANTED), (24, 8, 40, 24), 0.9, 2)


def test_cells_round_up_when_a_side_is_no_multiple() -> None:
    assert len(cells((100, 50), (32,))) == 4 * 2
    assert cells((100, 50), (32,))[5].tolist() == [1, 1, 32]


def test_sigmoid_and_softmax_stay_finite_when_numbers_are_great() -> None:
    great = np.array([[-1e30, 0, 1e30]], np.float32)
    assert sigmoid(great).tolist() == [[0, 0.5, 1]]
    assert softmax(great).tolist() == [[0, 0, 1]]


# Which head reads what


@pytest.mark.parametrize(
    ("shapes", "size", "first"),
    [
        ({"output0": (1, 84, 8400)}, (640, 640), ("yolo", 80)),
        ({"output0": (1, 25200, 85)}, (640, 640), ("yolo", 80)),
        ({"output0": (1, 300, 6)}, (640, 640), ("yolo", 0)),
        ({"output0": (1, 7, 8400)}, (640, 640), ("yolo", 3)),
        ({"output": (1, 3549, 85)}, (416, 416), ("yolox", 80)),
        ({"output": (1, 2125, 112)}, (320, 320), ("nanodet", 80)),
        ({"output": (1, 2100, 112)}, (320, 320), ("nanodet", 80)),
        ({"758": (1, 85, 22, 22)}, (352, 352), ("fastestdet", 80)),
        ({"detection_out": (1, 1, 200, 7)}, (300, 300), ("ssd", 0)),
        ({"logits": (1, 100, 92), "pred_boxes": (1, 100, 4)}, (800, 800), ("detr", 80)),
        ({"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)}, (640, 640), ("detr", 80)),
    ],
)
def test_head_is_recognised_when_shapes_are_those_of_published_models(
    shapes: dict[str, tuple[int, ...]], size: tuple[int, int], first: tuple[str, int]
) -> None:
    assert candidates(shapes, size)[0] == first


def test_refusal_names_what_would_fit_when_the_head_is_wrong() -> None:
    told = misfit("yolo", {"758": (1, 85, 22, 22)}, (352, 352), 80)
    assert "output 758 [1, 85, 22, 22]" in told
    assert 'it looks like head = "fastestdet"' in told
    told = misfit("fastestdet", {"output0": (1, 84, 8400)}, (640, 640), 80)
    assert 'head = "yolo"' in told


def test_refusal_names_the_number_when_classes_are_wrong() -> None:
    told = misfit("yolo", {"output0": (1, 84, 8400)}, (640, 640), 3)
    assert told == (
        "the model has 80 classes (output output0 [1, 84, 8400]), the manifest 3;"
        ' classes = "coco" names 80'
    )


def test_refusal_says_so_when_no_head_reads_the_outputs() -> None:
    assert "no head reads that" in misfit("yolo", {"prob": (1, 1000)}, (224, 224), 80)


# Overlaps


def test_overlap_keeps_the_best_of_each_class_when_boxes_lie_on_each_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.8, 0.7], np.float32)
    kept = sort_out(Detections(boxes, scores, np.array([0, 0, 1, 0])), iou=0.5, most=10)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert kept.classes.tolist() == [0, 1, 0]


def test_overlap_gives_no_more_than_asked_when_there_are_100000_boxes() -> None:
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 1000, (100_000, 2))
    boxes = np.concatenate([corner, corner + 5], axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, 100_000).astype(np.float32)
    kept = sort_out(Detections(boxes, scores, np.zeros(100_000, np.int64)), iou=0.5, most=20)
    assert len(kept.scores) == 20
    assert kept.scores[0] == scores.max()


# Numbers that make no sense


_SHAPES: dict[str, list[dict[str, tuple[int, ...]]]] = {
    "yolo": [{"o": (1, 7, 42)}, {"o": (1, 42, 7)}, {"o": (1, 126, 8)}, {"o": (1, 300, 6)}],
    "yolox": [{"o": (1, 42, 8)}],
    "nanodet": [{"o": (1, 43, 35)}],
    "fastestdet": [{"o": (1, 8, 2, 4)}],
    "ssd": [{"o": (1, 1, 9, 7)}, {"boxes": (9, 4), "labels": (9,), "scores": (9,)}],
    "detr": [{"l": (1, 9, 4), "boxes": (1, 9, 4)}, {"l": (1, 9, 3), "boxes": (1, 9, 4)}],
}


@pytest.mark.parametrize("head", sorted(HEADS))
@pytest.mark.parametrize("value", [-9.0, np.nan, np.inf])
def test_head_gives_nothing_when_there_is_nothing(head: str, value: float) -> None:
    for shapes in _SHAPES[head]:
        outputs = {name: np.full(shape, value, np.float32) for name, shape in shapes.items()}
        for found in read(head, outputs, WANTED):
            assert [column.shape for column in found] == [(0, 4), (0,), (0,)]
            assert found.boxes.dtype == found.scores.dtype == np.float32


def _filled(shape: tuple[int, ...], seed: int, wild: float) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    array = rng.normal(0, 10 ** rng.uniform(-2, 4), shape).astype(np.float32)
    odd = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 0, 255], np.float32)
    return np.where(rng.uniform(0, 1, shape) < wild, rng.choice(odd, shape), array)


@settings(max_examples=150, deadline=None)
@given(
    head=st.sampled_from(sorted(HEADS)),
    seed=st.integers(0, 2**32),
    wild=st.sampled_from([0, 0.01, 0.5, 1]),
    least=st.floats(0.01, 0.99),
)
def test_head_gives_finite_boxes_and_scores_when_outputs_are_anything(
    head: str, seed: int, wild: float, least: float
) -> None:
    for shapes in _SHAPES[head]:
        outputs = {name: _filled(s, seed + i, wild) for i, (name, s) in enumerate(shapes.items())}
        for found in read(head, outputs, Wanted(SIZE, 3, least)):
            kept = sort_out(found, iou=0.5, most=50)
            assert np.isfinite(kept.boxes).all()
            assert ((kept.scores >= np.float32(least) - 1e-6) & (kept.scores <= 1)).all()

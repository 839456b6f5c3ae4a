"""Pixels into tensors, against the formula in one line of NumPy."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.inference.frame_sections import FrameSection
from gateway.inference.vision.tensor import Tensors

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
RNG = np.random.default_rng(5)


def pictures(count: int) -> NDArray[np.uint8]:
    images = RNG.integers(0, 256, (count, 24, 40, 3), np.uint8)
    images.setflags(write=False)  # as shared memory is
    return images


def expected(frame: FrameSection, images: NDArray[np.uint8]) -> NDArray[Any]:
    ordered = images[..., ::-1] if frame.color == "RGB" else images
    values = (ordered * frame.scale - np.array(frame.mean)) / np.array(frame.std)
    return np.asarray(values.transpose(0, 3, 1, 2) if frame.layout == "NCHW" else values)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize(
    "spec", [{}, {"scale": 1.0}, {"scale": 1.0, "mean": MEAN, "std": STD}, {"std": STD}]
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_tensor_is_the_formulas_when_pictures_come_one_and_two_at_a_time(
    layout: str, color: str, spec: dict[str, Any], dtype: str
) -> None:
    frame = FrameSection.model_validate({"layout": layout, "color": color, **spec})
    tensors = Tensors(frame, dtype)
    for count in (1, 2, 1):
        images = pictures(count)
        tensor = tensors(images)
        assert tensor.dtype == dtype
        assert tensor.flags.c_contiguous
        np.testing.assert_allclose(tensor, expected(frame, images), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_pixels_stay_as_they_are_when_the_model_takes_uint8(layout: str, color: str) -> None:
    frame = FrameSection.model_validate({"layout": layout, "color": color, "scale": 1.0})
    images = pictures(2)
    tensor = Tensors(frame, "uint8")(images)
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor, expected(frame, images))

"""A detector that costs as much as one of the small YOLOs, for the share of the whole path.

Its weights are random and it finds nothing: only its cost is of interest (about 8 GFLOP a picture
at 640 x 640, in the shape of a YOLO v8: output [1, 84, 8400]).
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 640
_CLASSES = 80
_STAGES = ((16, 1), (32, 2), (64, 3), (128, 3), (192, 2))
"""Channels, and convolutions, at half the side, a quarter, and so on to the 32nd part."""
_OPSET = 17
_IR = 8


class _Graph:
    """Nodes and weights of a network as it grows."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(1)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - whatever a node has
        """Add a node and return its output."""
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def weight(self, values: np.ndarray) -> str:
        """Add a constant and return its name."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(
        self, taken: str, channels: tuple[int, int], side: int, stride: int = 1, bias: float = 0.0
    ) -> str:
        """Add a convolution from so many channels to so many."""
        shape = (channels[1], channels[0], side, side)
        scale = (2 / np.prod(shape[1:])) ** 0.5
        kernel = self.weight((self._rng.standard_normal(shape) * scale).astype(np.float32))
        offset = self.weight(np.full(channels[1], bias, np.float32))
        pad = side // 2
        return self.add(
            "Conv", taken, kernel, offset, strides=[stride, stride], pads=[pad, pad, pad, pad]
        )


def write(path: Path) -> Path:
    """Write the model, about 6 MB, and return its path."""
    graph, taken, before = _Graph(), "images", 3
    outputs: list[str] = []
    for number, (channels, count) in enumerate(_STAGES):
        taken = graph.add("Relu", graph.conv(taken, (before, channels), 3, 2))
        for _ in range(count):
            taken = graph.add("Relu", graph.conv(taken, (channels, channels), 3))
        before = channels
        if number >= 2:
            outputs.append(_level(graph, taken, channels))
    last = graph.add("Concat", *outputs, axis=2)
    graph.nodes.append(helper.make_node("Identity", [last], ["output0"]))
    shape = [1, 4 + _CLASSES, sum((SIDE // step) ** 2 for step in (8, 16, 32))]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "heavy",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def _level(graph: _Graph, taken: str, channels: int) -> str:
    """Add a level's head: boxes, and classes that are all far below any threshold."""
    inner = graph.add("Relu", graph.conv(taken, (channels, 64), 3))
    inner = graph.add("Relu", graph.conv(inner, (64, 64), 3))
    boxes = graph.conv(inner, (64, 4), 1)
    scores = graph.add("Sigmoid", graph.conv(inner, (64, _CLASSES), 1, bias=-30.0))
    both = graph.add("Concat", boxes, scores, axis=1)
    return graph.add("Reshape", both, graph.weight(np.array([1, 4 + _CLASSES, -1], np.int64)))

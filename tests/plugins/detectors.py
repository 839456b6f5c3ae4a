"""Small detectors whose outputs are known, and plugins around them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int | str, ...]
_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def constant_model(
    outputs: Mapping[str, NDArray[Any]],
    shape: Shape = (1, 3, 32, 64),
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a model that says the same of every picture.

    With a batch dimension that is a name, it says it of each picture of the batch.
    """
    any_count = isinstance(shape[0], str)
    axes = [1, 2, 3] if any_count else [0, 1, 2, 3]
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["floats"], ["least"], keepdims=1, axes=axes),
        helper.make_node("Mul", ["least", "zero"], ["nothing4"]),
        helper.make_node("Reshape", ["nothing4", "column"], ["nothing"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0], np.float32), "zero"),
        numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
    ]
    ports = []
    for name, array in outputs.items():
        rest = array.shape[1:]
        constants += [
            numpy_helper.from_array(array.reshape(1, -1).astype(np.float32), f"{name}_flat"),
            numpy_helper.from_array(
                np.array([-1 if any_count else array.shape[0], *rest], np.int64), f"{name}_shape"
            ),
        ]
        nodes += [
            helper.make_node("Add", ["nothing", f"{name}_flat"], [f"{name}_sum"]),
            helper.make_node("Reshape", [f"{name}_sum", f"{name}_shape"], [name]),
        ]
        given = [shape[0] if any_count else array.shape[0], *rest]
        ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, given))
    taken = helper.make_tensor_value_info("x", _TYPES[dtype], list(shape))
    graph = helper.make_graph(nodes, "g", [taken], ports, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def unusual_model() -> bytes:
    """Return a FastestDet of 192 px with an operation that ONNX Runtime has and OpenVINO not."""
    constants = [numpy_helper.from_array(np.zeros((85, 3, 16, 16), np.float32), "w")]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["o"], strides=[16, 16], kernel_shape=[16, 16]),
        helper.make_node("Det", ["x"], ["volume"]),
    ]
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 192, 192])
    given = [
        helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 85, 12, 12]),
        helper.make_tensor_value_info("volume", TensorProto.FLOAT, [1, 3]),
    ]
    graph = helper.make_graph(nodes, "g", [taken], given, constants)
    opsets = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def write_detector(
    folder: Path,
    model: bytes,
    *,
    head: str = "yolo",
    classes: str = '["person", "dog", "cat"]',
    detect: str = "",
    frame: str = "",
    rest: str = "",
    runtime: str = "openvino",
) -> Path:
    """Write a plugin of a detector; ``detect``, ``frame`` and ``rest`` are lines of TOML."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "plugin.toml").write_text(
        f"""\
api = 1
name = "{folder.name}"
version = "0.1.0"
title = "Sees what it is told"
[frame]
{frame}
[detect]
head = "{head}"
classes = {classes}
{detect}
[model]
runtime = "{runtime}"
file = "model.onnx"
sha256 = "{hashlib.sha256(model).hexdigest()}"
[outcome]
domain = "site"
asset = "camera"
kind = "occupancy"
labels = ["empty", "present"]
{rest}
"""
    )
    return folder

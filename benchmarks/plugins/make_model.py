"""Makes the model of ``bench-mean``: a dense network of 24-32-1, about as small as useful ones."""

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STEPS, CHANNELS, HIDDEN = 8, 3, 32


def build() -> bytes:
    """Return the serialised model: window [B, 8, 3] float32 to score [B, 1]."""
    random = np.random.default_rng(1)
    weights = {
        "w1": random.normal(0, 0.1, (STEPS * CHANNELS, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": random.normal(0, 0.1, (HIDDEN, 1)),
        "b2": np.zeros(1),
    }
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    nodes = [
        helper.make_node("Flatten", ["window"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["relu"]),
        helper.make_node("Gemm", ["relu", "w2", "b2"], ["score"]),
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["B", STEPS, CHANNELS])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["B", 1])
    graph = helper.make_graph(nodes, "bench", [window], [score], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    folder = Path(__file__).parent / "bench-mean"
    content = build()
    (folder / "model.onnx").write_bytes(content)
    manifest = folder / "plugin.toml"
    digest = hashlib.sha256(content).hexdigest()
    manifest.write_text(re.sub(r'sha256 = "\w*"', f'sha256 = "{digest}"', manifest.read_text()))

"""Builds ``model.onnx``, the scoring step, and checks it against NumPy.

Usage: ``make model``. The same onnx release gives the same bytes; their hash is written into
``plugin.toml``.

Inputs, all float32 (B machines, 20 rows, 16 channels):
    window [B, 20, 16]: rows, oldest first, in the channels' units; NaN where missing.
    mask, mean, scale, dof [B, 16] and threshold [B, 1]: as in ``normal.Normal``.

Outputs, float32:
    score [B]: 1.0 is the threshold.
    contribution [B, 16]: each channel's part of the score; they add up to it.
    shift [B, 16]: window mean minus normal mean, in the channels' units, 0 where not used.
"""

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from normal import CHANNELS, DEADBAND, MIN_ROWS, WINDOW, Normal, evidence
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


def _constants() -> list[onnx.TensorProto]:
    """Return the graph's constants."""
    floats = {"zero": 0.0, "half": 0.5, "one": 1.0, "finite": 1e30, "deadband": DEADBAND}
    floats |= {"z_low": -1e6, "z_high": 1e6, "min_rows": MIN_ROWS - 0.5}
    tensors = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in floats.items()]
    return [*tensors, numpy_helper.from_array(np.array([1], np.int64), "axis")]


def _nodes() -> list[onnx.NodeProto]:
    """Return the graph's nodes; a comparison with NaN is false, which marks the missing values."""
    table = [
        # window mean minus normal mean over the valid rows
        ("Unsqueeze", "mean axis", "mean_row"),
        ("Sub", "window mean_row", "centred"),
        ("Abs", "centred", "size"),
        ("Less", "size finite", "valid"),
        ("Where", "valid centred zero", "filled"),
        ("Where", "valid one zero", "ones"),
        ("ReduceSum", "filled axis", "total"),
        ("ReduceSum", "ones axis", "count"),
        ("Max", "count one", "divisor"),
        ("Greater", "count min_rows", "enough"),
        ("Where", "enough mask zero", "live"),
        ("Div", "total divisor", "window_shift"),
        ("Mul", "window_shift live", "shift"),
        # Student t log likelihood ratio per channel
        ("Div", "shift scale", "z_free"),
        ("Clip", "z_free z_low z_high", "z"),
        ("Mul", "z z", "z2"),
        ("Div", "z2 dof", "ratio"),
        ("Add", "ratio one", "ratio1"),
        ("Log", "ratio1", "log"),
        ("Add", "dof one", "dof1"),
        ("Mul", "dof1 half", "power"),
        ("Mul", "power log", "nats"),
        ("Sub", "nats deadband", "excess_free"),
        ("Max", "excess_free zero", "excess"),
        ("Div", "excess threshold", "contribution"),
        ("ReduceSum", "contribution axis", "score"),
    ]
    nodes = []
    for op, inputs, output in table:
        extra: dict[str, Any] = {"keepdims": 0} if op == "ReduceSum" else {}
        nodes.append(helper.make_node(op, inputs.split(), [output], name=output, **extra))
    return nodes


def build() -> bytes:
    """Return the serialised model."""

    def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", *shape])

    inputs = [tensor("window", WINDOW, CHANNELS)]
    inputs += [tensor(name, CHANNELS) for name in ("mask", "mean", "scale", "dof")]
    inputs += [tensor("threshold", 1)]
    outputs = [tensor("score"), tensor("contribution", CHANNELS), tensor("shift", CHANNELS)]
    graph = helper.make_graph(_nodes(), "normal", inputs, outputs, _constants())
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, producer_name="make_model")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def self_check(model: bytes) -> float:
    """Return the largest difference from NumPy over random machines, relative to 1 + score."""
    rng = np.random.default_rng(0)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0.0
    for channels in range(1, CHANNELS + 1):
        rows = rng.normal(50.0, 3.0, (400, channels))
        normal = Normal.fit(rows)
        window = np.full((WINDOW, CHANNELS), np.nan)
        window[:, :channels] = rng.normal(50.0 + channels, 3.0, (WINDOW, channels))
        window[: rng.integers(0, WINDOW), rng.integers(channels)] = np.nan
        parameters = ("mask", "mean", "scale", "dof", "threshold")
        feed = {n: getattr(normal, n)[None].astype(np.float32) for n in parameters}
        feed["window"] = window[None].astype(np.float32)
        score = session.run(["score"], feed)[0][0]
        count = np.isfinite(window).sum(axis=0)
        shift = np.nansum(window - normal.mean, axis=0) / np.maximum(count, 1)
        shift *= normal.mask * (count >= MIN_ROWS)
        wanted = evidence(shift, normal.scale, normal.dof).sum() / normal.threshold[0]
        worst = max(worst, abs(float(score) - wanted) / (1.0 + wanted))
    return worst


def main() -> int:
    """Write the model and its hash; fail if it does not do what NumPy does."""
    folder = Path(__file__).parent
    model = build()
    worst = self_check(model)
    (folder / "model.onnx").write_bytes(model)
    manifest = folder / "plugin.toml"
    digest = hashlib.sha256(model).hexdigest()
    text = re.sub(r'sha256 = "[0-9a-f]*"', f'sha256 = "{digest}"', manifest.read_text("utf-8"))
    manifest.write_text(text, "utf-8")
    print(f"model.onnx: {len(model)} bytes, opset {OPSET}, largest difference {worst:.1e}")
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())

"""Windows, models and plugin folders for tests."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gateway.inference.manifest import Manifest, load_manifest
from gateway.model import Channel, Windows

PLUGINS = Path(__file__).parent
_NS = 1_000_000_000


def sample(name: str) -> Manifest:
    """Return the manifest of a plugin in this folder."""
    return load_manifest(PLUGINS / name)


def feature_windows(spreads: list[float], sources: list[str] | None = None) -> Windows:
    """Return windows with one feature, ``spread``; ends are a second apart."""
    count = len(spreads)
    end_ns = np.arange(1, count + 1, dtype=np.int64) * _NS
    return Windows(
        sources=sources or [f"d{i}" for i in range(count)],
        start_ns=end_ns - _NS,
        end_ns=end_ns,
        channels=[(Channel("temp", "°C"),)] * count,
        values=np.zeros((count, 0, 0), np.float32),
        features=np.array(spreads, np.float32).reshape(count, 1),
        feature_names=("spread",),
        received_ns=end_ns,
    )


def tensor_windows(values: np.ndarray, sources: list[str] | None = None) -> Windows:
    """Return windows with the tensor ``values`` [B, steps, channels]."""
    count, _, channels = values.shape
    end_ns = np.arange(1, count + 1, dtype=np.int64) * _NS
    return Windows(
        sources=sources or [f"d{i}" for i in range(count)],
        start_ns=end_ns - _NS,
        end_ns=end_ns,
        channels=[tuple(Channel(f"m{i}", None) for i in range(channels))] * count,
        values=values.astype(np.float32),
        features=np.zeros((count, 0), np.float32),
        feature_names=(),
        received_ns=end_ns,
    )


def dense_model(
    steps: int, channels: int, *, batch: int | str = "B", mask: bool = False, outputs: int = 1
) -> bytes:
    """Return an ONNX model [batch, steps, channels] -> score [batch, outputs], two dense layers."""
    rng = np.random.default_rng(7)
    shape = [batch, steps, channels]
    size = steps * channels
    weights = {
        "w1": rng.normal(scale=size**-0.5, size=(size, 32)).astype(np.float32),
        "w2": rng.normal(scale=0.2, size=(32, outputs)).astype(np.float32),
    }
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    nodes = []
    if mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape))
        nodes.append(helper.make_node("Add", ["x", "mask"], ["seen"]))
    nodes += [
        helper.make_node("Flatten", ["seen" if mask else "x"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "w2"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_model_plugin(
    folder: Path,
    model: bytes,
    *,
    runtime: str = "onnxruntime",
    window: str = "steps = 8\nmax_channels = 3",
    spec: str = "",
    more: str = "",
    labels: str = '["normal", "anomaly"]',
    threshold: str = 'labels = [["anomaly", 0.1], ["normal", 0.0]]',
) -> Path:
    """Write a plugin of a model and no Python."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    (folder / "plugin.toml").write_text(
        f'api = 1\nname = "{folder.name}"\nversion = "1"\ntitle = "A dense model"\n'
        f"[window]\n{window}\n"
        f'[model]\nruntime = "{runtime}"\nfile = "model.onnx"\nsha256 = "{digest}"\n{spec}\n'
        f"[threshold]\n{threshold}\n"
        f'[outcome]\ndomain = "test"\nasset = "machine"\nkind = "dense"\nlabels = {labels}\n{more}'
    )
    return folder

"""A trained model behind one call, whichever runtime runs it.

The runtimes are imported here and nowhere else, and only in a worker: importing OpenVINO alone
takes 0.15 s and 20 MB.
"""

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.errors import PluginError
from gateway.inference.filekinds import kind_of
from gateway.inference.manifest import MANIFEST, Manifest, read_model

Array = NDArray[Any]

_OPENVINO_PLACES = re.compile(r"Exception from src/[\w./]+:\d+: ?")
_ONNX_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What an input takes.

    Attributes:
        shape: None where any length will do.
        dtype: NumPy's name of the type (``float32``).
    """

    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        return f"[{', '.join('?' if n is None else str(n) for n in self.shape)}]"


class Model(Protocol):
    """A loaded model.

    Attributes:
        inputs: By name, in the model's order.
        outputs: The names, in the model's order.
    """

    inputs: dict[str, TensorSpec]
    outputs: tuple[str, ...]

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model once and return its outputs by name."""
        ...


def load_model(manifest: Manifest) -> Model | None:
    """Load the plugin's model into the runtime that its manifest names; None for ``none``.

    Raises:
        PluginError: The runtime does not take the file.
    """
    if manifest.model.runtime == "none":
        return None
    content, weights = read_model(manifest)
    try:
        if manifest.model.runtime == "openvino":
            return OpenVinoModel(content, weights, manifest)
        return OnnxRuntimeModel(content, manifest)
    except MemoryError:
        raise
    except Exception as exc:  # a runtime's own errors share no class
        where = str(manifest.folder / MANIFEST)
        told = _OPENVINO_PLACES.sub("", " ".join(str(exc).split()))[-400:]  # the last says why
        reason = f"{manifest.model.runtime} does not take {manifest.model.file}"
        reason += f", {kind}: {told}" if (kind := kind_of(content)) else f": {told}"
        raise PluginError(where, "model.file", reason) from exc


class OpenVinoModel:
    """A model in OpenVINO, on the processor, tuned for short latency."""

    def __init__(self, content: bytes, weights: bytes, manifest: Manifest) -> None:
        import openvino as ov  # noqa: PLC0415 - only the worker of an OpenVINO plugin pays for it

        core = ov.Core()
        source: Any = io.BytesIO(content)
        if weights:
            tensor = ov.Tensor(np.frombuffer(weights, np.uint8))
            model = core.read_model(model=content, weights=tensor)
        else:
            model = core.read_model(model=source)
        self._request = core.compile_model(model, "CPU", _openvino_settings(manifest))
        self._request = self._request.create_infer_request()
        self.inputs = {
            port.get_any_name(): TensorSpec(
                tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape),
                np.dtype(port.element_type.to_dtype()).name,
            )
            for port in model.inputs
        }
        self.outputs = tuple(port.get_any_name() for port in model.outputs)

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model once and return its outputs by name."""
        found = self._request.infer(dict(inputs), share_inputs=True)
        return {name: found[i] for i, name in enumerate(self.outputs)}


class OnnxRuntimeModel:
    """A model in ONNX Runtime, on the processor."""

    def __init__(self, content: bytes, manifest: Manifest) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded
        import onnxruntime as ort  # noqa: PLC0415 - only the worker of such a plugin pays for it

        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = manifest.limits.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = {
            port.name: TensorSpec(
                tuple(n if isinstance(n, int) else None for n in port.shape),
                _ONNX_DTYPES.get(port.type, port.type),
            )
            for port in self._session.get_inputs()
        }
        self.outputs = tuple(port.name for port in self._session.get_outputs())

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model once and return its outputs by name."""
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


def _openvino_settings(manifest: Manifest) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": manifest.limits.threads,
    }
    if manifest.model.precision != "auto":
        settings["INFERENCE_PRECISION_HINT"] = manifest.model.precision
    return settings

"""Trains the detector on generated pictures and writes ``model.onnx`` and ``model.int8.onnx``.

It needs PyTorch, which nothing else here does: into an environment of its own,

    pip install torch==2.13.0 numpy opencv-python-headless onnx onnxruntime

then, in the project's root, ``PYTHONPATH=. python plugins/people-flow/make_model.py``: about eleven
minutes on one core. The pictures are drawn by ``rooms.py``; no photograph of anyone is used. The
same seed, release of PyTorch and kind of processor give the same model. Its hash is written into
``plugin.toml``. With ``--int8`` only the second file is made, from the first.
"""

import hashlib
import logging
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from rooms import GREY, SIZE, Sample, sample

from gateway.demo.scene import Scene

FOLDER = Path(__file__).parent
SEED = 1_000_000
PICTURES = 8000
FROM_DEMO = 2000
"""Pictures of the demo's room, with other people than the demo has."""
ROUNDS = 5
BATCH = 8
RATE = 2e-3
OPSET = 17
CALIBRATION = 200


def train() -> bytes:
    """Return the trained model as ONNX."""
    import torch  # noqa: PLC0415 - quantising does without
    from network import Network, cells, loss, taught  # noqa: PLC0415 - needs torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    begun = time.monotonic()
    samples = [sample(SEED + i) for i in range(PICTURES)] + _from_demo()
    print(f"{len(samples)} pictures in {time.monotonic() - begun:.0f} s", flush=True)
    network, grid = Network().to(memory_format=torch.channels_last), cells()
    steps = len(samples) * ROUNDS // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    mean = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    order = np.concatenate([rng.permutation(len(samples)) for _ in range(ROUNDS)])
    total = 0.0
    for step in range(steps):
        batch = [_varied(samples[i], rng) for i in order[step * BATCH : (step + 1) * BATCH]]
        answers = [taught(each.boxes, each.unsure, grid) for each in batch]
        corners = [
            np.vstack([each.boxes, np.zeros((2, 4), np.float32)])[answer]
            for each, answer in zip(batch, answers, strict=True)
        ]
        wrong = loss(
            network,
            torch.from_numpy(tensor([each.image for each in batch])).contiguous(
                memory_format=torch.channels_last
            ),
            torch.from_numpy(np.stack(answers)),
            torch.from_numpy(np.stack(corners)),
        )
        optimizer.zero_grad()
        wrong.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        mean.update_parameters(network)
        total += wrong.item()
        if step % 250 == 249:
            print(
                f"{step + 1}/{steps} {total / 250:.3f} {time.monotonic() - begun:.0f} s", flush=True
            )
            total = 0.0
    return _exported(mean.module.eval())


def _from_demo() -> list[Sample]:
    """Return pictures of the demo's room, each half a minute of another seed's people."""
    scenes = [Scene(SEED + i, (SIZE[0], 180)) for i in range(FROM_DEMO // 10)]
    return [_framed(scene, 12.0 + 3.1 * k) for scene in scenes for k in range(10)]


def _framed(scene: Scene, time_s: float) -> Sample:
    image = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    image[6:186] = scene.frame(time_s)
    parts = [person.box for person in scene.people(time_s)]
    boxes = np.array(parts, np.float32).reshape(-1, 4) * np.float32([320, 180, 320, 180])
    boxes += np.float32([0, 6, 0, 6])
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    whole = (wide >= 8) & (tall >= 24)
    return Sample(image, boxes[whole], boxes[~whole])


def _exported(network) -> bytes:  # noqa: ANN001 - torch is not there to name it
    import torch  # noqa: PLC0415 - quantising does without

    file = FOLDER / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter, which needs no further package
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, SIZE[1], SIZE[0]),),
            file,
            input_names=["images"],
            output_names=["boxes"],
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(file)
    model.producer_version = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def quantise(model: Path, to: Path) -> None:
    """Write a model with 8-bit convolutions, its ranges measured on generated pictures."""
    from onnxruntime.quantization import (  # noqa: PLC0415 - slow to load
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Pictures(CalibrationDataReader):
        """Gives the quantiser pictures that were not trained on."""

        def __init__(self) -> None:
            self._left = iter(range(CALIBRATION))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            """Return the next picture, or None after the last."""
            i = next(self._left, None)
            return None if i is None else {"images": tensor([sample(i).image])}

    logging.disable(logging.WARNING)
    heads = [
        n.name for n in onnx.load(model).graph.node if "/fine/" in n.name or "/coarse/" in n.name
    ]
    quantize_static(
        model,
        to,
        Pictures(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Relu", "Concat", "Resize"],
        nodes_to_exclude=heads + _after_heads(model),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.Percentile,
        extra_options={"CalibPercentile": 99.99},
    )


def _after_heads(model: Path) -> list[str]:
    """Return the nodes that make boxes of numbers: 8 bits are too few for px."""
    names = [node.name for node in onnx.load(model).graph.node]
    last = max(i for i, name in enumerate(names) if "/fine/" in name or "/coarse/" in name)
    return names[last:]


def tensor(images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return pictures as the model takes them: float32 [B, 3, 192, 320], RGB, 0 to 1."""
    planes = np.stack(images)[..., ::-1].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)


def _varied(each: Sample, rng: np.random.Generator) -> Sample:
    """Return a picture mirrored, with its colours in another order and light, or as it is."""
    image, boxes, unsure = each.image, each.boxes, each.unsure
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes, unsure = (
            np.stack([SIZE[0] - b[:, 2], b[:, 1], SIZE[0] - b[:, 0], b[:, 3]], axis=1)
            for b in (boxes, unsure)
        )
    if rng.random() < 0.2:
        image = image[..., rng.permutation(3)]
    if rng.random() < 0.5:
        table = np.clip(np.arange(256) * rng.uniform(0.7, 1.3) + rng.normal(0, 15), 0, 255)
        image = table.astype(np.uint8)[image]
    return Sample(image, boxes, unsure)


def main() -> int:
    """Write both models and the hash of the first."""
    file = FOLDER / "model.onnx"
    if "--int8" not in sys.argv:
        file.write_bytes(train())
    quantise(file, FOLDER / "model.int8.onnx")
    manifest = FOLDER / "plugin.toml"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    text = re.sub(
        r'sha256 = "[0-9a-f]*"', f'sha256 = "{digest}"', manifest.read_text("utf-8"), count=1
    )
    manifest.write_text(text, "utf-8")
    for each in (file, FOLDER / "model.int8.onnx"):
        print(f"{each.name}: {each.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

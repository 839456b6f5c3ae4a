"""A new plugin to begin from, and the test of one: ``weir plugin new`` and ``weir plugin test``."""

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import PluginError
from gateway.inference.golden import CASES, load_cases
from gateway.inference.manifest import CODE, MANIFEST, load_manifest
from gateway.inference.printed import LOG_LINES
from gateway.inference.process import RaisedError, WorkerProcess
from gateway.topics import token

_MANIFEST = """\
# What this plugin is, wants and tells. Unknown keys are refused; docs/plugins.md tells them all.
api = 1
name = "{name}"            # the folder's name
version = "0.1.0"
title = "Spread of a machine's temperature"

[window]                    # what the plugin is given, for each device
metrics = ["*temp*"]        # globs of metrics
length_s = 60               # how far a window reaches back
hop_s = 10                  # a window every 10 s

[features]                  # numbers of a window in SQL: DuckDB's, over the relation "window"
sql = \"\"\"
select source, end_ns, max(value) - min(value) as spread, avg(value) as mean
from "window" group by source, end_ns
\"\"\"

# With a trained model: put it beside this file, and instead of [features] you may have a tensor
# [batch, steps, channels] by `steps` and `step_s` in [window].
# [model]
# runtime = "onnxruntime"   # or "openvino"
# file = "model.onnx"
# sha256 = "..."            # sha256sum model.onnx

[threshold]                 # no model: the first feature is the score
labels = [["anomaly", 5.0], ["normal", 0.0]]    # the first whose bound the score reaches

[outcome]                   # what the results are about; levels of the subject at the hub
domain = "industry"
asset = "machine"
kind = "temperature-spread"
labels = ["normal", "anomaly"]

[report]                    # when a result leaves the box
on = ["change"]             # when the label changes
every_s = 60                # and again while it is not normal

[limits]
memory_mb = 256
call_s = 2.0
"""

_CODE = '''\
"""What the manifest cannot say. Without this file the gateway does the same by itself."""

from gateway.model import Result, Windows


class Plugin:
    """Made once when the plugin starts."""

    def __init__(self, model, manifest):
        """Keep what is needed; ``model`` is None, or called as ``model({"input": array})``."""
        self.bounds = manifest.threshold.labels

    def evaluate(self, windows: Windows, states: list[bytes | None]) -> list[Result]:
        """Return a result for each window, of all devices at once."""
        results = []
        for row in windows.features.tolist():
            named = dict(zip(windows.feature_names, row, strict=True))
            score = named.pop("spread")
            label = next((l for l, bound in self.bounds if score >= bound), self.bounds[-1][0])
            results.append(Result(label, score, numbers=named))
        return results
'''

_TESTCASES = {"steady": (0.5, "normal"), "jump": (9.0, "anomaly")}  # spread and label


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What came of a plugin's test.

    Attributes:
        cases: What is wrong in each test case, by its name; "" where nothing is.
        log: The last lines that the plugin printed.
    """

    cases: dict[str, str]
    log: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Say whether there are test cases and all of them passed."""
        return bool(self.cases) and not any(self.cases.values())


def new_plugin(name: str, parent: Path, *, code: bool = False) -> Path:
    """Write a small plugin that works and passes its own test.

    Args:
        name: The plugin's, and its folder's.
        parent: Where the folder is made.
        code: Whether it gets a ``plugin.py``.

    Returns:
        The folder.

    Raises:
        PluginError: The name will not do, or the folder is there already.
    """
    folder = new_folder(name, parent)
    for case, (spread, label) in _TESTCASES.items():
        features = {"spread": spread, "mean": 21.0}
        window = {"source": "pump-1", "end_s": 60, "features": features}
        result = {"label": label, "score": spread}
        _write(folder / CASES / case / "input.json", {"windows": [window]})
        expected = {"tolerance": 0.001, "results": [result]}
        _write(folder / CASES / case / "expected.json", expected)
    if code:
        (folder / CODE).write_text(_CODE, encoding="utf-8")
    # Last: a gateway that watches the folder takes a plugin by its manifest.
    (folder / MANIFEST).write_text(_MANIFEST.format(name=name), encoding="utf-8")
    return folder


def new_folder(name: str, parent: Path) -> Path:
    """Make a plugin's folder.

    Raises:
        PluginError: The name will not do, or the folder is there already.
    """
    folder = parent / name
    if name != token(name) or len(name) > 32:
        raise PluginError(str(folder), "name", "may hold 32 letters, digits, - and _ only")
    try:
        folder.mkdir(parents=True)
    except OSError as exc:
        raise PluginError(str(folder), "", f"cannot be made: {exc.strerror}") from exc
    return folder


async def check_plugin(folder: Path) -> CheckReport:
    """Run all test cases of a plugin in a real worker process.

    Raises:
        PluginError: The plugin cannot be used at all.
        WorkerError: Its process crashed, hung, or used too much memory.
    """
    manifest = load_manifest(folder)
    cases = load_cases(manifest)
    log: deque[str] = deque(maxlen=LOG_LINES)
    worker = await WorkerProcess.launch(manifest, log)
    told: dict[str, str] = {}
    try:
        for case in cases:
            try:
                told[case.name] = await case.play(worker.evaluate)
            except RaisedError as exc:
                told[case.name] = str(exc)
    finally:
        await worker.close()
    return CheckReport(told, tuple(log))


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

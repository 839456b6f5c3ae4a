"""A plugin's own Python: ``plugin.py`` with a class ``Plugin``."""

import importlib.util
import sys
import traceback
from types import ModuleType
from typing import Any, Protocol

from gateway.errors import PluginError
from gateway.inference.manifest import CODE, Manifest
from gateway.inference.models import Model
from gateway.model import Result


class Hook(Protocol):
    """What ``plugin.py`` brings: ``class Plugin`` with ``__init__(self, model, manifest)``."""

    def evaluate(
        self,
        batch: Any,  # noqa: ANN401 - Windows, or of a plugin of frames Fitted
        states: list[bytes | None],
        /,
    ) -> list[Result]:
        """Return a result for each window or frame. Each source stands once.

        Of a plugin of frames nothing else is done: ``[detect]``, ``[track]``, ``[[count]]`` and
        ``[report]`` are its own to look at. A result with ``suppress`` is no outcome, and
        ``since_ns`` says from when on a count speaks.

        Args:
            batch: ``gateway.model.Windows``; of a plugin of frames
                ``gateway.inference.vision.fitted.Fitted``, whose pictures have the size that
                ``[frame]`` or the model says. The arrays are read-only, and those of pictures are
                good until the call returns.
            states: [B] what the plugin gave back with each source's last window or frame, or None.
        """
        ...


def load_hook(model: Model | None, manifest: Manifest) -> Hook:
    """Run ``plugin.py`` and make its ``Plugin``.

    Raises:
        PluginError: It does not run, has no ``Plugin``, or its ``__init__`` raises.
    """
    file = manifest.folder / CODE
    sys.path.append(str(manifest.folder))  # last: a plugin's modules must not hide others
    try:
        module = _run(manifest)
        plugin: Hook = module.Plugin(model, manifest)
    except MemoryError:
        raise
    except (Exception, SystemExit) as exc:
        traceback.print_exc()
        raise PluginError(str(file), "", _told(exc, str(file))) from exc
    if not callable(getattr(plugin, "evaluate", None)):
        raise PluginError(str(file), "Plugin", "has no evaluate(self, windows, states)")
    return plugin


def _run(manifest: Manifest) -> ModuleType:
    spec = importlib.util.spec_from_file_location("plugin", manifest.folder / CODE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{CODE} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules["plugin"] = module  # dataclasses and pickling within the plugin look it up
    spec.loader.exec_module(module)
    return module


def _told(exc: BaseException, file: str) -> str:
    lines = [f.lineno for f in traceback.extract_tb(exc.__traceback__) if f.filename == file]
    at = f" (line {lines[-1]})" if lines else ""
    return f"raised {type(exc).__name__}: {exc}{at}"

"""Models on the public API, one file a model, each a tutorial; docs/models.md says how to write one.

`common/` is what they share: data sets, the run, its pictures and files; what `weft.estimators` gives is there too.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path

import weft
from weft.models.common.model import Layer, Model, Network

NAMES = ("softmax", "relu", "maxout", "deep", "tied", "denoising")  # the simplest first

__all__ = ["Layer", "Model", "Network", "every", "find"]


def every() -> list[Model]:
    """The models of this folder, the simplest first."""
    return [find(name) for name in NAMES]


def find(name: str) -> Model:
    """The model of this name, or MODEL of the Python file at this path. Raises ArgumentError."""
    if name.endswith(".py") or "/" in name:
        return _from_file(Path(name))
    if name in NAMES:
        return importlib.import_module(f"weft.models.{name}").MODEL
    near = difflib.get_close_matches(name, NAMES, 2, 0.5)
    said = f"did you mean {' or '.join(near)}? " if near else ""
    raise weft.ArgumentError(f"there is no model {name!r}: {said}The models are {', '.join(NAMES)}; or give a .py file")


def _from_file(path: Path) -> Model:
    if not path.is_file():
        raise weft.ArgumentError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"weft_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise weft.ArgumentError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    if (beside := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, beside)  # what lies beside it is imported as by `python path`
    spec.loader.exec_module(module)
    model = getattr(module, "MODEL", None)
    if not isinstance(model, Model):
        raise weft.ArgumentError(f"{path} has no MODEL = weft.models.Model(...): docs/models.md shows one")
    if Path(model.name).name != model.name:
        raise weft.ArgumentError(f"{path}: the name {model.name!r} of its MODEL cannot be that of a folder")
    return model

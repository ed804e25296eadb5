"""weft: symbolic expressions, written as in Theano, compiled to fused C and CUDA kernels.

Public names load on first use: `import weft` by itself imports no part of the compiler.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Type checkers cannot see through `__getattr__`: each name of the tables below stands here too (a test compares them).
if TYPE_CHECKING:
    from . import compile as compile
    from . import estimators as estimators
    from . import gradient as gradient
    from . import ifelse as ifelse
    from . import init as init
    from . import optimizers as optimizers
    from . import printing as printing
    from . import scan_module as scan_module
    from . import sparse as sparse
    from . import tensor as tensor
    from . import training as training
    from .compiler.grad.reverse import grad as grad
    from .compiler.graph.clone import clone as clone
    from .compiler.graph.config import config as config
    from .compiler.graph.function import In as In
    from .compiler.graph.function import Out as Out
    from .compiler.graph.function import function as function
    from .compiler.graph.minimize import minimize as minimize
    from .compiler.graph.printing import pp as pp
    from .compiler.graph.scan import foldl as foldl
    from .compiler.graph.scan import foldr as foldr
    from .compiler.graph.scan import map as map
    from .compiler.graph.scan import reduce as reduce
    from .compiler.graph.scan import scan as scan
    from .compiler.graph.shared import shared as shared
    from .compiler.graph.variable import Apply as Apply
    from .compiler.graph.variable import Op as Op
    from .compiler.graph.variable import Variable as Variable
    from .runtime.errors import ArgumentError as ArgumentError
    from .runtime.errors import BoundsError as BoundsError
    from .runtime.errors import CheckError as CheckError
    from .runtime.errors import CheckpointError as CheckpointError
    from .runtime.errors import CompileError as CompileError
    from .runtime.errors import DisconnectedInputError as DisconnectedInputError
    from .runtime.errors import DTypeError as DTypeError
    from .runtime.errors import InternalError as InternalError
    from .runtime.errors import MissingInputError as MissingInputError
    from .runtime.errors import NanError as NanError
    from .runtime.errors import NullGradientError as NullGradientError
    from .runtime.errors import NumericalError as NumericalError
    from .runtime.errors import OutOfMemoryError as OutOfMemoryError
    from .runtime.errors import ShapeError as ShapeError
    from .runtime.errors import UnusedInputError as UnusedInputError
    from .runtime.errors import WeftError as WeftError
    from .runtime.pool import limit_threads as limit_threads
    from .runtime.pool import set_threads as set_threads
    from .runtime.training.parameters import load_parameters as load_parameters
    from .runtime.training.parameters import save_parameters as save_parameters

__version__ = "0.1.0"

# In a source tree `compiler`, `runtime`, `kernels` and `models` lie beside this folder, not in it.
_root = Path(__file__).parent.parent
if not (Path(__file__).parent / "runtime").is_dir() and (_root / "runtime").is_dir():
    __path__.append(str(_root))
del _root

# Public modules of this folder.
_MODULES = (
    "compile", "estimators", "gradient", "ifelse", "init", "optimizers", "printing", "scan_module", "sparse",
    "tensor", "training",
)  # fmt: skip

# Public name -> the module that defines it, relative to weft; for example "function": ".compiler.graph.function".
_NAMES: dict[str, str] = {
    "Apply": ".compiler.graph.variable",
    "In": ".compiler.graph.function",
    "Op": ".compiler.graph.variable",
    "Out": ".compiler.graph.function",
    "Variable": ".compiler.graph.variable",
    "clone": ".compiler.graph.clone",
    "config": ".compiler.graph.config",
    "foldl": ".compiler.graph.scan",
    "foldr": ".compiler.graph.scan",
    "function": ".compiler.graph.function",
    "grad": ".compiler.grad.reverse",
    "map": ".compiler.graph.scan",
    "minimize": ".compiler.graph.minimize",
    "pp": ".compiler.graph.printing",
    "reduce": ".compiler.graph.scan",
    "scan": ".compiler.graph.scan",
    "shared": ".compiler.graph.shared",
    "ArgumentError": ".runtime.errors",
    "BoundsError": ".runtime.errors",
    "CheckpointError": ".runtime.errors",
    "CheckError": ".runtime.errors",
    "CompileError": ".runtime.errors",
    "DTypeError": ".runtime.errors",
    "DisconnectedInputError": ".runtime.errors",
    "InternalError": ".runtime.errors",
    "MissingInputError": ".runtime.errors",
    "NanError": ".runtime.errors",
    "NullGradientError": ".runtime.errors",
    "NumericalError": ".runtime.errors",
    "OutOfMemoryError": ".runtime.errors",
    "ShapeError": ".runtime.errors",
    "UnusedInputError": ".runtime.errors",
    "WeftError": ".runtime.errors",
    "limit_threads": ".runtime.pool",
    "load_parameters": ".runtime.training.parameters",
    "save_parameters": ".runtime.training.parameters",
    "set_threads": ".runtime.pool",
}

__all__ = ["__version__", *_MODULES, *_NAMES]


if not TYPE_CHECKING:  # else type checkers would take any misspelt name for one that exists

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_NAMES[name], __name__), name)
        globals()[name] = value  # later uses do not come here again
        return value


def __dir__() -> list[str]:
    return __all__

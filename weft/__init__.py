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
    from . import sparse as sparse
    from . import tensor as tensor

__version__ = "0.1.0"

# In a source tree `compiler`, `runtime`, `kernels` and `models` lie beside this folder, not in it.
_root = Path(__file__).parent.parent
if (_root / "compiler" / "pipeline.py").is_file():
    __path__.append(str(_root))
del _root

# Public modules of this folder.
_MODULES = ("compile", "sparse", "tensor")

# Public name -> the module that defines it, relative to weft; for example "function": ".compiler.graph.function".
_NAMES: dict[str, str] = {}

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

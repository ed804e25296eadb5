"""The interpreter: the definition of what every operation means, in NumPy. docs/semantics.md says it in words.

    evaluate(region, args) -> arrays     runs a region
    MEANING[op]                          one function an operation

It is also a checker of the typing rules: every value must have the dtype and the lengths its node's type says.
"""

from . import control, elementwise, index, linalg, reduce, view  # noqa: F401  (fill the table)
from .evaluate import evaluate
from .values import MEANING

__all__ = ["MEANING", "evaluate"]

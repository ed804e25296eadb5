"""Derivatives under Theano's names."""

from .compiler.grad.extras import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_not_implemented,
    grad_undefined,
    hessian,
    jacobian,
    verify_grad,
    zero_grad,
)
from .compiler.grad.forward import Lop, Rop
from .compiler.grad.reverse import DisconnectedType, grad
from .compiler.graph.told import tell_names as _tell_names
from .runtime.errors import DisconnectedInputError, GradientError, NullGradientError

_tell_names(globals(), __name__)

__all__ = [
    "DisconnectedInputError", "DisconnectedType", "GradientError", "Lop", "NullGradientError", "Rop",
    "consider_constant", "disconnected_grad", "grad", "grad_clip", "grad_not_implemented", "grad_undefined",
    "hessian", "jacobian", "verify_grad", "zero_grad",
]  # fmt: skip

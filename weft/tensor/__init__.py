"""The tensor language: `import weft.tensor as T`. Names and arguments are Theano's."""

from __future__ import annotations

from typing import Any

from ..compiler.grad.extras import hessian, jacobian
from ..compiler.grad.forward import Lop, Rop
from ..compiler.grad.reverse import grad
from ..compiler.graph import operators as _operators  # gives variables their operators
from ..compiler.graph.extras import (
    batched_dot,
    batched_tensordot,
    bincount,
    diag,
    diagonal,
    diff,
    eye,
    identity_like,
    repeat,
    roll,
    round,
    squeeze,
    swapaxes,
    tensordot,
    tile,
    to_one_hot,
    trace,
    tri,
    tril,
    triu,
    unbroadcast,
)
from ..compiler.graph.indexing import inc_subtensor, nonzero, set_subtensor, take
from ..compiler.graph.math import (
    abs_,
    add,
    all,
    and_,
    any,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    argmax,
    argmin,
    argsort,
    cbrt,
    ceil,
    clip,
    complex,
    conj,
    cos,
    cosh,
    cumsum,
    dot,
    eq,
    erf,
    erfc,
    erfinv,
    exp,
    exp2,
    expm1,
    floor,
    ge,
    gt,
    imag,
    int_div,
    inv,
    invert,
    isinf,
    isnan,
    le,
    log,
    log1p,
    log2,
    log10,
    lt,
    max,
    max_and_argmax,
    maximum,
    mean,
    min,
    minimum,
    mod,
    mul,
    neg,
    neq,
    or_,
    outer,
    pow,
    prod,
    real,
    sgn,
    sigmoid,
    sin,
    sinh,
    softplus,
    sort,
    sqr,
    sqrt,
    std,
    sub,
    sum,
    switch,
    tan,
    tanh,
    true_div,
    trunc,
    var,
    where,
    xor,
)
from ..compiler.graph.operators import TensorConstant, TensorVariable
from ..compiler.graph.shaping import (
    addbroadcast,
    alloc,
    arange,
    concatenate,
    dimshuffle,
    fill,
    flatten,
    full_like,
    join,
    ones,
    ones_like,
    patternbroadcast,
    reshape,
    shape,
    shape_padleft,
    shape_padright,
    stack,
    transpose,
    zeros,
    zeros_like,
)
from ..compiler.graph.shared import TensorSharedVariable
from ..compiler.graph.tensor import CONSTRUCTORS as _CONSTRUCTORS
from ..compiler.graph.tensor import as_tensor_variable, cast, constant, tensor
from ..compiler.graph.told import tell_names as _tell_names
from ..compiler.graph.types import TensorType
from ..compiler.graph.windows import pad, spread, window
from . import nnet

square, lor, land, floor_div = sqr, or_, and_, int_div
bitwise_and, bitwise_or, bitwise_xor, bitwise_not, power = and_, or_, xor, invert, pow
as_tensor = as_tensor_variable

# scalar, fvector, imatrix, dtensor3s, ...: every rank with every dtype prefix, and the plurals.
globals().update(_CONSTRUCTORS)
_tell_names(globals(), __name__)


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("slinalg", "shared_randomstreams", "signal"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = sorted(n for n in globals() if not n.startswith("_"))

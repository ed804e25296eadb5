"""First values of parameters, as NumPy arrays."""

from .compiler.graph.initializers import (
    constant,
    fans,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    orthogonal,
    sparse,
    uniform,
    zeros,
)
from .compiler.graph.told import tell_names as _tell_names

_tell_names(globals(), __name__, line_only=True)

__all__ = [
    "constant", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "normal", "orthogonal", "sparse", "uniform", "zeros",
]  # fmt: skip

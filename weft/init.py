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

__all__ = [
    "constant", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "normal", "orthogonal", "sparse", "uniform", "zeros",
]  # fmt: skip

"""Sparse matrices under Theano's names."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.shared import shared
from ..compiler.graph.sparse import (
    CSR,
    SparseVariable,
    as_sparse_variable,
    csm_data,
    csm_indices,
    csm_indptr,
    csm_properties,
    csm_shape,
    csr_from_dense,
    csr_matrix,
    dense_from_sparse,
    dot,
    is_sparse,
    sp_ones_like,
    sp_sum,
    sp_zeros_like,
    sqrt,
    structured_abs,
    structured_dot,
    structured_exp,
    structured_log,
    structured_sigmoid,
    structured_sqr,
)
from ..compiler.graph.told import tell_names as _tell_names
from ..compiler.graph.types import SparseType

as_sparse = as_sparse_variable

_tell_names(globals(), __name__)

__all__ = [
    "CSR", "SparseType", "SparseVariable", "as_sparse", "as_sparse_variable", "csm_data", "csm_indices", "csm_indptr",
    "csm_properties", "csm_shape", "csr_from_dense", "csr_matrix", "dense_from_sparse", "dot", "is_sparse", "shared",
    "sp_ones_like", "sp_sum", "sp_zeros_like", "sqrt", "structured_abs", "structured_dot", "structured_exp",
    "structured_log", "structured_sigmoid", "structured_sqr",
]  # fmt: skip

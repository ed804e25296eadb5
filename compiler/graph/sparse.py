"""Sparse matrices on Variables."""

from __future__ import annotations

from typing import Any

from .variable import Variable


def is_sparse(x: Any) -> bool:
    return isinstance(x, Variable) and x.node.type.kind == "csr"

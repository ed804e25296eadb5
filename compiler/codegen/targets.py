"""What becomes of each operation on each target: the table behind docs/operations.md.

    own       printed as (part of) a kernel, a step of the host program, or a routine of kernels/
    library   a routine of a library, outside the contract of equal bits
    refused   with the reason

A leaf or a structure costs nothing by itself: it is an argument, a length, or a part of a value.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir.node import OPS
from .routines import ROUTINES

KERNELS = ("elementwise", "view", "reduce")  # families whose operations become loop nests, printed in both dialects
FREE = ("leaf", "structure")


class Target(NamedTuple):
    status: str  # "own", "library", "refused" or "free"
    how: str  # for a refusal, the reason


def c_target(op: str) -> Target | None:
    """None for an operation that C does not know: a hole in the tables."""
    family = OPS[op].family
    if family in FREE:
        return Target("free", "")
    if family in KERNELS or family == "kernel":
        return Target("own", "kernel")
    if family == "control":
        return Target("own", "host program")
    if op == "host_call":
        return Target("own", "a callback into Python")
    if op in ROUTINES:
        return Target("library", OPS[op].library) if OPS[op].library else Target("own", "routine")
    return None


REFUSED_BY_CUDA = {
    "host_call": "Python runs on the host",
    "dot": "products are not bound to a library of the device yet",
    "batched_dot": "products are not bound to a library of the device yet",
    "cholesky": "factorisations are not bound to a library of the device",
    "solve_triangular": "triangular systems are not bound to a library of the device",
    "scatter": "adding to equal places has no fixed order there yet",
    "nonzero": "its length would have to come back from the device",
    "cumsum": "has no device routine yet",
    "sort": "has no device routine yet",
    "argsort": "has no device routine yet",
    "csr_dot": "sparse products have no device routine yet",
    "csr_dot_t": "sparse products have no device routine yet",
    "csr_sample": "sparse products have no device routine yet",
    "scan": "the host program is not printed for the device yet",
    "ifelse": "the host program is not printed for the device yet",
}


def cuda_target(op: str) -> Target | None:
    family = OPS[op].family
    if family in FREE:
        return Target("free", "")
    if family in KERNELS or family == "kernel":
        return Target("own", "kernel")
    return Target("refused", REFUSED_BY_CUDA[op]) if op in REFUSED_BY_CUDA else None


TARGETS = {"C": c_target, "CUDA": cuda_target}

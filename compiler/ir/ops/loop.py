"""The loop level: scalar expressions over loads, ordered statements. Loads and stores exist nowhere else.

    nest   ::= block
    block  ::= block(stmt, ...)
    stmt   ::= loop(extent, stmt..; index, kind)    kind "parallel" | "serial" | "vector" | "reduce"
             | store(offset, value; buffer)
             | accumulate(value; acc, fold, dtype)  in a "reduce" loop: folds the value into accumulator `acc`
    value  ::= load(offset[, guard]; buffer, dtype) | acc(; acc, dtype) | index(; index) | any elementwise op of values
             | checked(i, n; code)                  i as an index of n elements: wraps negatives, flags what is outside
             | draw_at(key, number, i; distribution, dtype)
    buffer ::= number of a kernel argument, or of a scratch row (negative)

A reduce loop's order is fixed by its extent alone (docs/numerics.md): the printers expand it into blocks and lanes.
"""

from __future__ import annotations

from ..node import define
from ..types import TensorType, TupleType

INT = TensorType("int64")
NOTHING = TupleType(())


@define("index", "loop")
def index(inputs, attrs):
    return INT


@define("load", "loop")
def load(inputs, attrs):
    return TensorType(attrs["dtype"])


@define("acc", "loop")
def acc(inputs, attrs):
    return TensorType(attrs["dtype"])


@define("checked", "loop")
def checked(inputs, attrs):
    return INT


@define("draw_at", "loop", costly=True)
def draw_at(inputs, attrs):
    return TensorType(attrs["dtype"])


@define("block", "loop")
def block(inputs, attrs):
    return NOTHING


@define("loop", "loop")
def loop(inputs, attrs):
    return NOTHING


@define("store", "loop")
def store(inputs, attrs):
    return NOTHING


@define("accumulate", "loop")
def accumulate(inputs, attrs):
    return NOTHING

"""`MRG_RandomStreams` under Theano's name: weft's random streams with Theano's default seed."""

from typing import Any

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.random import RandomStreams


class MRG_RandomStreams(RandomStreams):
    """`RandomStreams` with seed 12345; `use_cuda` is accepted and has no effect."""

    def __init__(self, seed: Any = 12345, use_cuda: Any = None):
        super().__init__(seed)


__all__ = ["MRG_RandomStreams"]

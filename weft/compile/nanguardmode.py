"""The detector of NaN under Theano's name: `function(..., mode=NanGuardMode(...))`."""

from ..compiler.graph.modes import NanGuardMode

__all__ = ["NanGuardMode"]

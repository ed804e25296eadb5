"""Derivatives under Theano's names."""

from .compiler.grad.forward import Lop, Rop
from .compiler.grad.reverse import DisconnectedType, grad

__all__ = ["DisconnectedType", "Lop", "Rop", "grad"]

"""Loops under Theano's names."""

from .compiler.graph.scan import OrderedUpdates, foldl, foldr, map, reduce, scan, until

__all__ = ["OrderedUpdates", "foldl", "foldr", "map", "reduce", "scan", "until"]

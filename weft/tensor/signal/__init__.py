"""Pooling and signals under Theano's names."""

from . import downsample, pool

__all__ = ["downsample", "pool"]

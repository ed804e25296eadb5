"""Sparse matrices under Theano's names."""

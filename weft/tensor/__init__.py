"""Tensor variables and the functions on them (`import weft.tensor as T`)."""

"""Compiled functions under Theano's names."""

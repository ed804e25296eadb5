"""The one concept of the compiler: Node, types, lengths, ops, rewrite engine, verifier, text form, interpreter."""

from . import ops as ops  # fills the table of operations

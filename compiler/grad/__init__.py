"""Derivatives: reverse mode (pullbacks) and forward mode (pushforwards), one rule beside another in a table.

    table                          the two tables and what their rows mean
    rules_elementwise, _structure, _index, _linalg   the rows
    fit                            gradients in the type of their variable
    reverse, forward               the modes: Variables in, Variables out
    extras                         what only needs these: grad_clip, zero_grad, verify_grad
"""

# Importing the package fills the tables, so whoever imports `reverse` or `forward` has them full.
from ..graph import operators  # noqa: F401  (rows are written with Python's operators)
from . import rules_elementwise, rules_index, rules_linalg, rules_structure  # noqa: F401

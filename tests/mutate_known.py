"""Mutants that no test is to find: nothing can tell them from what they are made of, or only time and memory do.

Kind and name as `python tests/mutate.py --list` gives them; why. tests/test_mutate.py looks that each is there."""

from __future__ import annotations

REAL = "the condition is that numbers are real; others have no such operation"
ROUNDED = "what else would be folded is right too, but for NumPy's rounding"
STRETCHED = "lengths agree by an obligation, and replacements are stretched"

CONDITIONS = {
    "div-by-product": "for complex numbers too it is right but for rounding and infinities",
    "div-power-of-two": "for complex numbers too a power of two divides exactly",
    "expm1-log1p": REAL,
    "log1p-expm1": REAL,
    "merge maximum(maximum(x, a), b)": REAL,
    "merge minimum(minimum(x, a), b)": REAL,
    "one-plus-tanh": REAL,
    "one-minus-tanh": REAL,
    "lt-self": "false of NaN as well",
    "gt-self": "false of NaN as well",
    "fold-elementwise": ROUNDED,
    "fold-view": ROUNDED,
    "fold-reduction": ROUNDED,
    "set-slice-whole": STRETCHED,
    "inc-slice-whole": STRETCHED,
}

KNOWN: dict[tuple[str, str], str] = {
    **{("rule", f"{rule}: without its condition"): why for rule, why in CONDITIONS.items()},
}

__all__ = ["KNOWN"]

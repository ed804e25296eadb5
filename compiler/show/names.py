"""What people call the arguments and shared variables whose lengths formulas are made of."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inspect import Function

_LENGTH = re.compile(r"\b([dn])(\d+)(\.\d+)?\b")  # d0.1, the length of axis 1 of parameter 0, and n0, its value


class Names:
    """Those of a function: of its inputs, the arrays of a sparse one each, and of its shared variables."""

    def __init__(self, f: Function):
        from ...runtime.sparse import SparseArgument

        self.inputs: list[str] = []
        for a in f.arguments:
            if a.storage is None:
                parts = ("data", "indices", "indptr", "columns")
                sparse = isinstance(a, SparseArgument)
                count = 4 if sparse and a.shape[1] is None else 3
                self.inputs += [f"{a.label}.{part}" for part in parts[:count]] if sparse else [a.label]
        self.states = [n or f"state {k}" for k, n in enumerate(f.names)]
        self.params = [*self.inputs, *self.states]
        self.outputs = f.outputs
        self._times = Counter(self.params)

    def short(self, number: int) -> str:
        """A parameter in formulas: by its name where that is a short word of its own, by its number elsewhere."""
        name = self.params[number] if number < len(self.params) else ""
        return name if re.fullmatch(r"\w{1,12}", name) and self._times[name] == 1 else f"d{number}"

    def said(self, formula: str) -> str:
        """A formula of `lengths.show` in these names: x.0 for d0.0, the value n for n3."""

        def name(m: re.Match[str]) -> str:
            short = self.short(int(m[2]))
            if m[1] == "d":
                return f"{short}{m[3]}" if m[3] else m[0]
            return m[0] if m[3] or short == f"d{m[2]}" else short

        return _LENGTH.sub(name, formula)


__all__ = ["Names"]

"""mode="nanguard": the region after rewriting, by NumPy, until an operation makes a NaN or an infinity.

After rewriting, for what a stable form keeps finite is none of the compiled program's: log(softmax(x)), say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import NanError
from ..graph.function import Source
from ..graph.modes import NanGuardMode
from ..ir.interp.evaluate import Run
from ..ir.interp.values import widen
from ..ir.node import Node, Region
from .interpreted import Interpreted

# kind -> (what one is called, which elements are it)
KINDS: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "nan": ("NaN", np.isnan),
    "inf": ("an infinity", np.isinf),
    "big": (f"a number beyond {NanGuardMode.BIG:g}", lambda x: np.isfinite(x) & (np.abs(x) > NanGuardMode.BIG)),
}
LEAVES = ("param", "const", "dim", "length")
REGIONS = ("scan", "ifelse", "kernel")  # their values were looked at inside


class Guarded(Interpreted):
    """Runs a region with NumPy and looks at every value."""

    def __init__(self, region: Region, source: Source, mode: str | NanGuardMode):
        super().__init__(region, source)
        mode = mode if isinstance(mode, NanGuardMode) else NanGuardMode(big_is_error=False)
        wanted = {"nan": mode.nan_is_error, "inf": mode.inf_is_error, "big": mode.big_is_error}
        self.kinds = [k for k, on in wanted.items() if on]
        self.params = source.declared.params
        self.states = {s: s.describe() for s in source.states}

    def values(self, arguments: Sequence[np.ndarray], **hooks: Any) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            self._arguments(arguments)
            return super().values(arguments, watch=self._look, **hooks)

    def _arguments(self, arguments: Sequence[np.ndarray]) -> None:
        for p, value in zip(self.params, arguments, strict=True):
            for kind in self.kinds:
                bad = _bad(kind, value)
                if bad is not None:
                    what = "the shared variable" if p in self.states else "the argument"
                    raise NanError(
                        f"{what} {p.describe()} holds {_count(kind, value, bad)}, before anything is computed"
                        f"\n    {p.describe()} : {ranges(value)}\n  declared {p.trace.at}"
                    )

    def _look(self, run: Run, node: Node, inputs: Sequence[Any], value: Any) -> None:
        if node.op in LEAVES or node.op in REGIONS or (node.op == "item" and node.inputs[0].op in REGIONS):
            return
        for v in _dense(value):
            for kind in self.kinds:
                bad = _bad(kind, v)
                if bad is not None and all(_bad(kind, i) is None for i in _dense(inputs)):
                    raise NanError(self._text(run, node, inputs, v, kind, bad))

    def _text(self, run: Run, node: Node, inputs: Sequence[Any], value: Any, kind: str, bad: np.ndarray) -> str:
        out = [f"{node.definition.said or node.op} made {_count(kind, value, bad)}, of"]
        out += [f"    {self._name(run, i)} : {ranges(v)}" for i, v in zip(node.inputs, inputs, strict=True)]
        out += self._lines(run, node)
        level: Run | None = run
        while level is not None and level.within is not None:
            outer, owner, step = level.within
            if step is not None:
                loop = self._lines(outer, owner)[:1]
                out += [f"  in step {step}, counted from 0, of the loop", *(f"  {line}" for line in loop)]
            level = outer
        out += [f"  ({line})" for line in self._advice(run, node, kind)]
        return "\n".join(out)

    def _lines(self, run: Run, node: Node) -> list[str]:
        return [f"  {t.at}" for t in self.origins.traces(self.origins.of(run.region)[node])[:3]]  # type: ignore[attr-defined]

    def _advice(self, run: Run, node: Node, kind: str) -> Iterator[str]:
        if any(n.op == "switch" and node in n.inputs[1:] for n in run.region.nodes()):
            yield (
                "switch computes both sides; where it does not choose this one, mask the argument instead, as in "
                "log(switch(c, x, 1)): a gradient through the other form is NaN"
            )
        if kind != "nan":
            yield f"weft.compile.nanguardmode.NanGuardMode({kind}_is_error=False) as the mode lets such values pass"

    def _name(self, run: Run, node: Node, depth: int = 2) -> str:
        """A value for messages: its name, or what it is computed by."""
        if node.op == "param":
            return self._param(run, node)
        if node.op == "const":
            value = np.asarray(node.value)
            same = value.size and (value == value.flat[0]).all()
            return str(value.flat[0]) if same else "a constant"
        if node.op in ("dimshuffle", "cast", "item"):
            return self._name(run, node.inputs[0], depth)
        said = node.definition.said or node.op
        return f"{said}({', '.join(self._name(run, i, depth - 1) for i in node.inputs[:3]) if depth > 1 else '...'})"

    def _param(self, run: Run, node: Node) -> str:
        token = node.attr("token")
        if run.within is None:
            return self.params[token].describe()
        outer, owner, _ = run.within
        if owner.op != "scan":
            return self._name(outer, owner.inputs[token + (owner.op == "ifelse")])
        sequences, taps = owner.attr("sequences"), owner.attr("taps")
        states = [(k, t) for k, offsets in enumerate(taps) for t in offsets]
        if token < sequences:
            return f"{self._name(outer, owner.inputs[1 + token])}[t]"
        if token < sequences + len(states):
            k, tap = states[token - sequences]
            initial = self._name(outer, owner.inputs[1 + sequences + k])
            return f"{initial if initial.isidentifier() else f'state {k}'}[t{tap}]"
        return self._name(outer, owner.inputs[1 + sequences + len(taps) + token - sequences - len(states)])


def _dense(values: Any) -> Iterator[np.ndarray]:
    """The arrays among values: of a tuple each, of a sparse matrix the data."""
    for v in values if isinstance(values, (tuple, list)) else (values,):
        if isinstance(v, tuple):
            yield from _dense(v)
        else:
            yield np.asarray(v.data if hasattr(v, "indptr") else v)


def _bad(kind: str, value: np.ndarray) -> np.ndarray | None:
    """Which elements are of the kind, if any is."""
    if value.dtype.kind not in "fc" and value.dtype.name != "bfloat16":
        return None
    bad = np.asarray(KINDS[kind][1](widen(value)))
    return bad if bad.any() else None


def _count(kind: str, value: np.ndarray, bad: np.ndarray) -> str:
    what = KINDS[kind][0]
    first = tuple(int(k) for k in np.argwhere(bad)[0])
    shown = "" if kind == "nan" else f" ({value[first]})"
    if not value.ndim:
        return what + shown
    return f"{what} in {int(bad.sum())} of {value.size} elements, the first{shown} at index {first}"


def ranges(value: Any) -> str:
    """What an array holds: type, shape, least and greatest number, how many are none."""
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    if not value.ndim:
        return f"{value.dtype} {value[()]}"
    text = f"{value.dtype}, shape {value.shape}"
    if not value.size or value.dtype.kind == "c":
        return text
    plain = widen(value)
    finite = plain[np.isfinite(plain)]
    if finite.size:
        text += f", from {finite.min()} to {finite.max()}"
    for kind, name in (("nan", "NaN"), ("inf", "infinite")):
        bad = _bad(kind, value)
        text += f", {int(bad.sum())} {name}" if bad is not None else ""
    return text


__all__ = ["Guarded", "ranges"]

"""mode="check": each call runs compiled and interpreted, from the same state, and the results are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, BoundsError, CheckError, ShapeError, WeftError
from ...runtime.program import Program, held
from ...runtime.state import Storage
from ..graph.function import Source
from ..ir.interp.values import widen
from ..ir.node import Region
from .interpreted import Interpreted
from .rounding import is_float, spread, unit

NEAR = 16  # units in the last place that need no explanation
WIDER = 8  # times what the moved runs differ by


class Checked:
    """Runs a compiled program, and the interpreter on copies of its arguments and states.

    A call takes the time of both (the interpreter's is a multiple of the other; where a result differs by more than
    NEAR units of its last place, five times that), and memory for a copy of every state and for all values that the
    interpreter holds. Operations in Python run twice.

    A result may differ from the interpreter's by WIDER times what rounding errors do to it (rounding.py). Where that is
    a NaN or an infinity, the licences of rewriting (docs/semantics.md) allow a number. Integers and bools are equal,
    unless rounding errors change that element, too: a tie. An error is raised where the results differ, or where only
    one of the two runs finds an obligation broken; every state is then as it was before the call.
    """

    def __init__(self, program: Program, region: Region, source: Source):
        self.program, self.interpreted, self.region = program, Interpreted(region, source), region
        self.results, self.updates = source.results, source.updates
        self.names = [s.describe() for s in source.states]

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]:
        before = [s.copy() for s in storages]
        given = [*(np.array(a, order="C") for a in arguments), *before]
        with held(self.program.name, storages):
            want, failed = self._interpret(given)
        try:
            results = self.program.execute(arguments, storages)
        except (ShapeError, BoundsError, ArgumentError) as e:
            if failed is None:
                raise CheckError(f"the compiled call failed where the interpreted one did not: {e}") from e
            raise
        try:
            new = [storages[k].array() for k in self.updates]
            with held(self.program.name, storages):
                wrong = self._difference(given, [*results, *new], want, failed)
            if wrong:
                raise CheckError(f"{wrong}\n  this is a defect of weft, not of the program: please report it")
        except BaseException:  # of a Python operation in the runs with errors, or an interrupt
            for k in self.updates:
                storages[k].replace(before[k])
            self.committed = False
            raise
        return results

    @property
    def committed(self) -> bool:
        """The program's: an interrupt may come when it has committed and its results are not yet here."""
        return self.program.committed

    @committed.setter
    def committed(self, value: bool) -> None:
        self.program.committed = value

    def _interpret(self, given: Sequence[np.ndarray]) -> tuple[list[np.ndarray], WeftError | None]:
        try:
            return self.interpreted.values(given), None
        except WeftError as e:
            return [], e

    def _difference(
        self, given: Sequence[np.ndarray], got: Sequence[np.ndarray], want: Sequence[np.ndarray], failed: Any
    ) -> str:
        """What differs, in words; nothing where all agree."""
        if failed is not None:
            if not _obliged(failed):
                return ""
            return f"the interpreted call failed where the compiled one did not: {type(failed).__name__}: {failed}"
        runs: list[Any] = []

        def moved(k: int) -> list[np.ndarray | None]:
            if not runs:
                runs.extend(spread(self.region, given))
            return [r if r is None else r[k] for r in runs]

        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            found = compare(a, b, lambda k=k: moved(k))  # type: ignore[misc]
            if found:
                what = (
                    f"output {k}" if k < self.results else f"the update of {self.names[self.updates[k - self.results]]}"
                )
                return f"{what} differs from what the interpreter computes: {found}{self._lines(k)}"
        return ""

    def _lines(self, k: int) -> str:
        origins = self.interpreted.origins
        found = origins.traces(origins.of(self.region)[self.region.outputs[k]])
        return "".join(f"\n  {t.at}" for t in found[:1])  # type: ignore[attr-defined]

    def set_limit(self, threads: int) -> None:
        self.program.set_limit(threads)

    def counted(self) -> list[tuple[int, int, int, int]]:
        return self.program.counted()

    def forget(self) -> None:
        self.program.forget()


def _obliged(e: WeftError) -> bool:
    """Whether the compiled program has to fail, too: what no result needs may be dropped with its failures, but not an
    obligation, nor the range of an index array (L10)."""
    node = getattr(e, "node", None)
    return hasattr(e, "check") or (hasattr(e, "fault") and node is not None and bool(node.definition.indices_from))


def compare(got: np.ndarray, want: np.ndarray, moved: Callable[[], list[np.ndarray | None]]) -> str:
    """How a result differs from the interpreter's; `moved` gives it as the runs with rounding errors have it."""
    if got.dtype != want.dtype:
        return f"{got.dtype}, interpreted {want.dtype}"
    near = _near(got, want) if got.shape == want.shape else None
    if near is not None and near.all():
        return ""
    others = moved()
    if any(r is None or r.shape != want.shape for r in others):
        return ""  # a value that decides about lengths, or about an error, is a tie
    if near is None:
        return f"shape {got.shape}, interpreted {want.shape}"
    wrong, width = _unexplained(got, want, near, [r for r in others if r is not None])
    if not wrong.any():
        return ""
    at = tuple(int(k) for k in np.argwhere(wrong)[0])
    where = f"{int(wrong.sum())} of {want.size} elements, the first at index {at}: " if want.ndim else ""
    off = f" (rounding errors explain {WIDER * width[at]:.3g})" if is_float(want) else ""
    return f"{where}compiled {got[at]}, interpreted {want[at]}{off}"


def _near(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    if not is_float(want):
        return np.asarray(got == want)
    a, b = widen(got), widen(want)
    with np.errstate(all="ignore"):
        close = np.abs(a - b) <= NEAR * unit(want.dtype) * np.abs(b)
        stable = ~np.isfinite(b) & np.isfinite(a)
        return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)) | close | stable)


def _unexplained(
    got: np.ndarray, want: np.ndarray, near: np.ndarray, others: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The elements that rounding errors do not explain, and by how much they move each."""
    if not is_float(want):
        return ~near & np.logical_and.reduce([r == want for r in others]), np.zeros(want.shape)
    a, b = widen(got), widen(want)
    with np.errstate(all="ignore"):
        width = np.maximum.reduce([np.abs(widen(r) - b) for r in others])
        tiny = float(np.finfo(b.dtype).tiny)
        explained = (np.abs(a - b) <= WIDER * width + tiny) | np.isnan(width)
    return ~near & ~explained, width


__all__ = ["Checked", "compare"]

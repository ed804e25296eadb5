"""What a case is, and all cases: their data in float32, their meaning as NumPy in float64, when an answer agrees.

A contestant is a module with `setup(variant, threads)`, which returns its version, and one function a family of cases,
of the family's name: it takes the case's data and returns a Run. A case it lacks is left out. `warm()`, where there is
one, builds what is built once a machine, before the seconds of compiling are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Run:
    """One case in one framework. `call` does the work once and returns when it is done, with fresh arrays.

    `into` does the same into arrays that it used before, where the framework can be told to.
    `parts`: where the work is several calls that are timed one by one.
    """

    call: Callable[[], Any]
    state: Callable[[], Sequence[Any]] = list  # what calls change, to be compared too
    into: Callable[[], Any] | None = None
    parts: Sequence[Callable[[], Any]] = ()


@dataclass
class Case:
    """What is timed. The answer: the outputs of the last of `calls`, then the state, which starts from `base`."""

    family: str
    group: str  # fused, training, call or compile
    title: str
    data: dict[str, Any]
    reference: list[np.ndarray]
    tolerance: float  # some times what rounding to float32 does, and less than rounding to float16 would
    calls: int = 1
    base: list[np.ndarray] = field(default_factory=list)
    compiles: bool = False  # whether the seconds to build it are shown
    on_average: bool = False  # whether errors count by their root mean square, not by the worst

    @property
    def outputs(self) -> int:
        return len(self.reference) - len(self.base)

    @property
    def bytes(self) -> int:
        """Of the outputs, in float32."""
        return sum(4 * a.size for a in self.reference[: self.outputs])

    def disagreement(self, answer: Sequence[Any]) -> str:
        """What is wrong with an answer; empty where it agrees."""
        if len(answer) != len(self.reference):
            return f"{len(answer)} results in place of {len(self.reference)}"
        for k, (got, want) in enumerate(zip(answer, self.reference, strict=True)):
            a = np.asarray(got)
            dtype = np.dtype(bool if want.dtype == bool else np.float32)
            if a.dtype != dtype or a.shape != want.shape:
                return f"result {k} is {a.dtype}{list(a.shape)}, not {dtype}{list(want.shape)}"
            if want.dtype == bool:
                if (a != want).any():
                    return f"result {k} differs in {(a != want).sum()} of {want.size} places"
                continue
            # Of a state, the change counts: training moves it by little.
            start = self.base[k - self.outputs] if k >= self.outputs else None
            off = _typical(a, want, start) if self.on_average else _worst(a, want, start)
            if not off <= self.tolerance:
                return f"result {k} is off by {off:.1e}; {self.tolerance:.0e} is allowed"
        return ""


def _worst(got: np.ndarray, want: np.ndarray, start: np.ndarray | None) -> float:
    """The largest error, relative to how far the element and the mean element are from `start`; NaN if there is one."""
    a, w = got.reshape(-1), want.reshape(-1)
    s = np.zeros(1) if start is None else start.reshape(-1)
    pieces = [slice(k, k + (1 << 20)) for k in range(0, len(a), 1 << 20)]  # little memory beside 10^8 elements
    changes = (np.abs(w[p] - s[p if len(s) > 1 else slice(1)]) for p in pieces)
    mean = sum(float(c.sum()) for c in changes) / len(a)
    worst = 0.0
    for p in pieces:
        change = np.abs(w[p] - s[p if len(s) > 1 else slice(1)])
        off = np.abs(a[p] - w[p]) / (change + mean)
        if np.isnan(off).any():
            return float("nan")
        worst = max(worst, float(off.max()))
    return worst


def _typical(got: np.ndarray, want: np.ndarray, start: np.ndarray | None) -> float:
    """The root mean square of the errors over that of the changes."""
    change = want - (0 if start is None else start)
    return float(np.sqrt(np.square(got - want).sum() / np.square(change).sum()))


def flat(answer: Any) -> list[Any]:
    """The outputs of a call as a list."""
    if answer is None:
        return []
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]


def aligned(shape: Sequence[int]) -> np.ndarray:
    """A new float32 array that begins with a cache line: else whether it does is an accident of the allocator."""
    count = int(np.prod(shape, dtype=np.int64))
    room = np.empty(count + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + count].reshape(shape)


def case(name: str, tiny: bool = False) -> Case:
    """A case by its name; also `chain:N` (N elements) and `relative:FAMILY:SEED[:OF]` (see relatives.py)."""
    made = _case(name, tiny)
    for data in (made.data, made.data.get("arrays", {})):
        for k, a in data.items():
            if isinstance(a, np.ndarray) and a.dtype == np.float32:
                data[k] = aligned(a.shape)
                data[k][...] = a
    return made


def _case(name: str, tiny: bool) -> Case:
    import cases_fused
    import cases_training

    if name.startswith("chain:"):
        return cases_fused.chain(tiny, int(float(name.partition(":")[2])))
    if name.startswith("relative:"):
        import relatives

        _, family, seed, *of = name.split(":")
        return relatives.case(family, int(seed), tiny, *map(int, of))
    return {**cases_fused.CASES, **cases_training.CASES}[name](tiny)


NAMES = (
    "chain_1e4", "chain_1e6", "chain_2e7", "black_scholes", "softmax", "layernorm_gelu", "distances", "adam",
    "logistic", "mlp_256", "mlp_1024", "deep", "lstm", "recurrence", "overhead",
)  # fmt: skip

"""Random streams: draws with explicit state.

Every call of a distribution makes a state of its own, a shared variable of two uint64: a key, and the number of draws
made with it. The key is a hash of the stream's seed and the number of the call, so what a call draws does not depend on
the calls after it. A function that uses a draw advances its state by the default update.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, ShapeError
from ..ir import lengths
from ..ir.dtypes import DISCRETE, DTYPES, check_dtype
from . import math, shaping
from .arguments import integers
from .config import config
from .shared import SharedVariable
from .tensor import as_tensor_variable, cast, constant
from .told import tell_methods
from .types import RandomStateType
from .variable import Variable, op1

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15

# A binomial or multinomial of n trials draws n uniforms an element; above this it is refused.
MAX_TRIALS = 1000


def splitmix64(z: int) -> int:
    """The finalizer of SplitMix64: a bijection of 64-bit integers whose outputs look independent."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def stream_key(seed: int | Iterable[int], call: int) -> int:
    """The key of the call with this number in a stream with this seed."""
    words = integers(seed if isinstance(seed, (int, np.integer, str)) else list(seed), "a seed")
    h = len(words)
    for w in words:
        negative = w < 0
        w = abs(w)
        while True:  # a seed of any size, 64 bits at a time
            h = splitmix64((h + _GOLDEN + (w & _MASK)) & _MASK)
            w >>= 64
            if not w:
                break
        h ^= negative
    return splitmix64((h + (call + 1) * _GOLDEN) & _MASK)


class RandomStateVariable(SharedVariable):
    """The state of one random call; `default_update` advances it."""

    __slots__ = ()


def random_state(key: int, name: str | None = None) -> RandomStateVariable:
    state = RandomStateVariable(RandomStateType(), np.array([key, 0], np.uint64), name)
    state.default_update = op1("advance", state)
    return state


class RandomStreams:
    """A source of random Variables. seed: an integer, a sequence of integers, or None for one of the system's."""

    def __init__(self, seed: Any = None, no_warn: bool = False):
        self.default_instance_seed = int.from_bytes(os.urandom(8), "little") if seed is None else seed
        self.state_updates: list[tuple[RandomStateVariable, Variable]] = []
        stream_key(self.default_instance_seed, 0)  # a seed that is no integer is an error here, not at the first draw

    def updates(self) -> list[tuple[RandomStateVariable, Variable]]:
        """(state, next state) of every call so far; functions apply them by themselves."""
        return list(self.state_updates)

    def seed(self, seed: Any = None) -> None:
        """Gives every state the key that a stream made with this seed would give it (None: the stream's own seed)."""
        chosen = self.default_instance_seed if seed is None else seed
        for k, (state, _) in enumerate(self.state_updates):
            state.set_value(np.array([stream_key(chosen, k), 0], np.uint64))

    def __getitem__(self, item: Any) -> np.ndarray:
        """The value of a state, given the state, its update, or what was drawn with it."""
        return self._find(item).get_value()

    def __setitem__(self, item: Any, value: Any) -> None:
        self._find(item).set_value(value)

    def _find(self, item: Any) -> RandomStateVariable:
        wanted = getattr(item, "rng", item)
        for state, new in self.state_updates:
            if wanted is state or wanted is new:
                return state
        raise KeyError(item)

    def _next_state(self) -> RandomStateVariable:
        state = random_state(stream_key(self.default_instance_seed, len(self.state_updates)))
        self.state_updates.append((state, state.default_update))  # type: ignore[arg-type]
        return state

    def _draw(self, state: Variable, size: Sequence[Variable], distribution: str, dtype: str) -> Variable:
        made = dtype if dtype in ("float32", "float64") else "float32"
        out = op1("draw", state, *size, distribution=distribution, dtype=made)
        if made != dtype and distribution == "uniform":
            # Rounding could give 1: keep the bits that the short significand holds.
            steps = constant(2048 if dtype == "float16" else 256, dtype=made)
            out = math.true_div(math.floor(math.mul(out, steps)), steps)
        return cast(out, dtype)

    def _mark(self, out: Variable, state: RandomStateVariable) -> Variable:
        if out.owner is None or getattr(out.tag, "rng", None) is not None:
            out = op1("dimshuffle", out, order=tuple(range(out.ndim)))
        out.tag.rng = state
        out.tag.update = (state, state.default_update)
        return out

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """Uniform on [low, high), but for rounding: where they are not 0 and 1, low + u (high - low) may be high itself
        (in bfloat16 and [1, 2) one of 256 is).
        size: lengths, symbolic ones too; None takes the broadcast shape of low and high."""
        state = self._next_state()
        out_dtype = _float_dtype(dtype, low, high)
        low, high = _parameter(low, out_dtype), _parameter(high, out_dtype)
        shape = _size(size, ndim, low, high)
        u = self._draw(state, shape, "uniform", out_dtype)
        if not _is(low, 0) or not _is(high, 1):
            u = math.add(low, math.mul(u, math.sub(high, low)))
        return self._mark(cast(u, out_dtype), state)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: Any = None,
    ) -> Variable:
        """Normal with mean avg and standard deviation std."""
        state = self._next_state()
        out_dtype = _float_dtype(dtype, avg, std)
        avg, std = _parameter(avg, out_dtype), _parameter(std, out_dtype)
        z = self._draw(state, _size(size, ndim, avg, std), "normal", out_dtype)
        if not _is(std, 1):
            z = math.mul(z, std)
        if not _is(avg, 0):
            z = math.add(z, avg)
        return self._mark(cast(z, out_dtype), state)

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: Any = None,
        prob: Any = None,
    ) -> Variable:
        """The number of successes in n trials (a number up to 1000), each of probability p."""
        trials = _trials(n, "binomial")
        state = self._next_state()
        p = p if prob is None else prob
        real = _float_dtype(None, p)
        p = _parameter(p, real)
        shape = _size(size, ndim, p)
        if trials == 1:
            hits: Any = math.lt(self._draw(state, shape, "uniform", real), p)
        else:
            u = self._draw(state, [*shape, constant(trials, dtype="int64")], "uniform", real)
            hits = math.sum(math.lt(u, shaping.shape_padright(p)), axis=-1)
        return self._mark(cast(hits, dtype), state)

    def random_integers(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = 1,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """Integers from low to high, both included."""
        state = self._next_state()
        low, high = (cast(as_tensor_variable(v), "int64") for v in (low, high))
        a, b = lengths.static(low.node), lengths.static(high.node)
        if a is not None and b is not None and a > b:
            raise ArgumentError(f"random_integers from {a} to {b}: the range is empty")
        span = cast(math.sub(high, low), "uint64")  # it may wrap as an int64, and so may what is drawn below it
        n = math.add(cast(span, "float64"), constant(1, dtype="float64"))
        out = cast(self._below(state, _size(size, ndim, low, high), n, "uint64"), "int64")
        return self._mark(cast(math.add(low, out), dtype), state)

    def _below(self, state: Variable, shape: Sequence[Variable], n: Variable, dtype: str = "int64") -> Variable:
        """Integers in [0, n): the product rounds below n, since the largest draw is 1 - 2^-53."""
        u = self._draw(state, shape, "uniform", "float64")
        return cast(math.floor(math.mul(u, cast(n, "float64"))), dtype)

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """Elements of the vector a (of range(a) for an integer), with probabilities p. Without replacement
        size is one number.
        """
        state = self._next_state()
        a = as_tensor_variable(a)
        if a.ndim > 1:
            raise ShapeError(f"choice takes a number or a vector, not {a.describe()} with {a.ndim} dimensions")
        count = shaping.shape_i(a, 0) if a.ndim else shaping.length_argument(a, "choice from a range")
        known = lengths.static(count.node)
        if a.ndim == 0 and known is not None and known < 1:
            raise ArgumentError(f"choice from range({known}), which is empty")
        shape = _size(size, ndim)
        if not replace:
            if p is not None:
                raise ArgumentError("choice without replacement and with probabilities p is not supported")
            if len(shape) > 1:
                raise ArgumentError("choice without replacement takes one number as size")
            order = math.argsort(self._draw(state, [count], "uniform", "float64"))
            # A slice gives what there is: the call checks that it is as many as asked for.
            index: Any = op1("reshape", order[: shape[0]], *shape) if shape else order[0]  # type: ignore[index]
        elif p is None:
            index = self._below(state, shape, count)
        else:
            p = _parameter(p, _float_dtype(None, p))
            if p.ndim != 1:
                raise ShapeError(f"choice: p is a vector, not {p.describe()} with {p.ndim} dimensions")
            have = lengths.static(p.ir_type.axes[0])
            if have is not None and known is not None and have != known:
                raise ShapeError(f"choice of {known} elements with {have} probabilities")
            p = shaping.reshape(p, [count])  # which has to be its length
            index = _bucket(self._draw(state, [*shape, constant(1, dtype="int64")], "uniform", p.dtype), p)
        return self._mark(cast(index, dtype) if a.ndim == 0 else a[index], state)  # type: ignore[index]

    def permutation(self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: Any = "int64") -> Variable:
        """Permutations of range(n), one along the last axis for each element of `size`."""
        state = self._next_state()
        shape = [*_size(size, ndim), shaping.length_argument(n, "permutation")]
        return self._mark(cast(math.argsort(self._draw(state, shape, "uniform", "float64")), dtype), state)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: Any = None,
    ) -> Variable:
        """How often each class came up in n trials (a number up to 1000); classes lie along the last axis of pvals.

        size: lengths before the class axis; None takes those of pvals.
        """
        trials = _trials(n, "multinomial")
        state = self._next_state()
        if pvals is None:
            pvals = [0.5, 0.5]
        p = _parameter(pvals, _float_dtype(None, pvals))
        if p.ndim == 0:
            raise ShapeError("multinomial: pvals has to have an axis of classes")
        lead = _size(size, ndim) if size is not None else [shaping.shape_i(p, a) for a in range(p.ndim - 1)]
        if p.ndim - 1 > len(lead):
            raise ShapeError(f"multinomial of pvals with {p.ndim} dimensions and a size of {len(lead)}")
        p = shaping.shape_padleft(p, len(lead) + 1 - p.ndim) if len(lead) + 1 > p.ndim else p
        one = constant(1, dtype="int64")
        if trials == 1:
            which = _bucket(self._draw(state, [*lead, one], "uniform", p.dtype), p)
        else:
            u = self._draw(state, [*lead, constant(trials, dtype="int64"), one], "uniform", p.dtype)
            which = _bucket(u, p.dimshuffle(*range(p.ndim - 1), "x", p.ndim - 1))  # type: ignore[attr-defined]
        hot = math.eq(shaping.shape_padright(which), shaping.arange(shaping.shape_i(p, p.ndim - 1)))
        return self._mark(cast(hot if trials == 1 else math.sum(hot, axis=-2), dtype), state)


tell_methods(RandomStreams)


def _bucket(u: Variable, p: Variable) -> Variable:
    """The class that u falls into, over the last axis of p; u has length 1 there.

    The last class takes what rounding leaves.
    """
    ends = math.cumsum(p, axis=-1)[..., :-1]  # type: ignore[index]
    return math.sum(math.ge(u, ends), axis=-1)


def _trials(n: Any, what: str) -> int:
    known = lengths.static(as_tensor_variable(n).node) if not isinstance(n, (int, np.integer)) else int(n)
    if known is None or not 1 <= known <= MAX_TRIALS:
        raise ArgumentError(f"{what}: n has to be a number from 1 to {MAX_TRIALS} when the graph is built, not {n!r}")
    return known


def _float_dtype(dtype: Any, *parameters: Any) -> str:
    """The dtype asked for, else the widest of the parameters' (numbers have none) and config.floatX."""
    from ..ir.dtypes import promote

    if dtype is not None:
        chosen = config.floatX if dtype == "floatX" else check_dtype(dtype)
        if DTYPES[chosen].kind != "f":
            raise ArgumentError(
                f"draws of {chosen}: uniform and normal give real floats; weft.tensor.cast converts them"
            )
        return chosen
    out = config.floatX
    for p in parameters:
        if isinstance(p, (Variable, np.ndarray, np.generic)) and check_dtype(p.dtype) not in DISCRETE:
            out = promote(out, check_dtype(p.dtype))
    return out


def _parameter(value: Any, dtype: str) -> Variable:
    """A parameter as a float tensor; a symbolic one keeps its float dtype."""
    v = as_tensor_variable(value)
    if isinstance(value, Variable):
        return cast(v, dtype) if v.dtype in DISCRETE else v
    return constant(value, dtype=dtype) if isinstance(value, (int, float)) else cast(v, dtype)


def _is(v: Variable, number: int) -> bool:
    return v.node.op == "const" and v.ndim == 0 and v.node.value == number


def _size(size: Any, ndim: int | None, *parameters: Variable) -> Sequence[Variable]:
    """The lengths of a draw; None takes those that the parameters broadcast to."""
    if size is None:
        if not parameters:
            return []
        joint: Any = parameters[0]
        for p in parameters[1:]:
            joint = math.add(joint, p)
        out = [shaping.shape_i(joint, a) for a in range(joint.ndim)]
    else:
        out = shaping.length_arguments(size, "the size of a draw", ndim)
    if ndim is not None and ndim != len(out):
        raise ShapeError(f"a draw with ndim={ndim} and a size of {len(out)} lengths")
    for p in parameters:
        if p.ndim > len(out):
            raise ShapeError(f"a draw of {len(out)} dimensions with the parameter {p.describe()} of {p.ndim}")
    return out


__all__ = ["RandomStateVariable", "RandomStreams", "random_state", "splitmix64", "stream_key"]

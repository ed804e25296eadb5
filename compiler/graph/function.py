"""`function`: Variables in, a callable out. Arguments and meanings are Theano's."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...runtime.callable import Argument, describe_value
from ...runtime.errors import ArgumentError, DTypeError, ShapeError, UnusedInputError
from ...runtime.exchange import is_exporter
from ...runtime.sparse import SparseArgument
from ..ir.collector import paused
from ..ir.dtypes import HALF, numpy_dtype
from . import sparse
from .arguments import listed, representable, symbolic, truth
from .config import config
from .lowering import Declared, Lowered
from .modes import chosen_mode
from .shaping import with_lengths
from .shared import SharedVariable, shared
from .tensor import as_tensor_variable, cast
from .told import told
from .trace import Declaration, here
from .variable import Constant, Variable, ancestors


class In:
    """An input with options.

    value: what the argument is when a call does not give it. update: an expression whose value replaces it after each
    call; the argument is then a state of the function, read and set as `f[variable]` or `f[name]`, and a value given in
    a call replaces the state before the call runs. A shared variable as `value` is the state itself. implicit: calls
    cannot give the argument. strict, allow_downcast: how far values are converted. borrow: an array given as the value,
    or in a call as that of the state, is read where it lies, as in `shared`; without it they are copied. The arrays of
    other arguments are read where they lie in any case. mutable permits the function to overwrite its argument; it
    never does.
    """

    @partial(told, name="")
    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        borrow: bool | None = None,
        allow_downcast: bool | None = None,
        implicit: bool | None = None,
        autoname: bool = True,
    ):
        self.variable, self.value, self.update = symbolic(variable, "In takes a variable; given was"), value, update
        self.name = name if name is not None else (variable.name if autoname else None)
        self.strict, self.allow_downcast = strict, allow_downcast
        self.mutable, self.borrow = mutable, borrow
        self.implicit = isinstance(value, SharedVariable) if implicit is None else implicit

    @property
    def state(self) -> SharedVariable | None:
        """The shared variable that holds the argument between calls."""
        return self.value if isinstance(self.value, SharedVariable) else None


class Out:
    """An output. With `borrow` the array lies in memory that the function keeps, and the next call overwrites it."""

    def __init__(self, variable: Any, borrow: bool = False):
        self.variable, self.borrow = variable, borrow


class Source(NamedTuple):
    """What the pipeline compiles: a region whose params are inputs, then states; whose outputs are results, then the
    new values of the states in `updates`. Sparse inputs, states and outputs are there by their dense parts."""

    declared: Declared
    arguments: list[Argument]
    states: list[SharedVariable]
    results: int
    updates: list[int]  # which state each output after the results replaces
    outputs: Any  # None, "one", "list" or keys
    name: str | None
    kinds: list[str] | None = None  # of each output, "dense" or "csr" (four results); None when all are dense
    borrowed: Sequence[bool] = ()  # which results the function keeps the memory of
    profile: bool = False  # whether it counts and times its steps

    @property
    def lowered(self) -> Lowered:
        return self.declared.lowered


@partial(told, name="")
@paused
def function(
    inputs: Iterable[Any],
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
    threads: int | None = None,
) -> Any:
    """Compiles `outputs` (and `updates` of shared variables) as a function of `inputs`.

    inputs: Variables or `In`s. outputs: None, a Variable, a list, or a dict. updates: (shared, new value) pairs or a
    dict; all new values are computed from the old ones. givens: replacements of Variables. mode: None, "compile",
    "interpret" (NumPy, the definition of meaning), "nanguard" (by NumPy until something makes a NaN or an infinity),
    "check" (both at each call, compared); docs/debugging.md says what they are for. profile: count and time the steps
    of every call, for `f.profile`; None: as `weft.config.profile` says. threads: the most that calls use, later
    `f.threads`; for calls in a `with` statement there is `weft.limit_threads`, for the process `weft.set_threads`.
    Raises UnusedInputError, MissingInputError, ShapeError, DTypeError, ArgumentError.
    """
    inputs = _inputs(inputs, allow_input_downcast)
    updates, givens = (_pairs(p, what) for p, what in ((updates, "updates"), (givens, "givens")))
    source = declare(
        inputs,
        outputs,
        updates,
        givens,
        no_default_updates,
        name,
        rebuild_strict,
        allow_input_downcast,
        on_unused_input,
    )._replace(profile=config.profile if profile is None else truth(profile, "profile"))
    from ..pipeline import compile_function
    from .pickling import Recipe

    mode = chosen_mode(mode, config.mode)
    made = compile_function(source, mode)
    made.threads = threads
    for i in inputs:
        i.value = i.value if i.borrow else _own(i.value)
    made.recipe = Recipe({
        "inputs": inputs, "outputs": _own(outputs), "mode": mode, "updates": _own(updates), "givens": _own(givens),
        "no_default_updates": _own(no_default_updates), "name": name, "rebuild_strict": rebuild_strict,
        "allow_input_downcast": allow_input_downcast, "on_unused_input": "ignore", "profile": source.profile,
    })  # fmt: skip
    return made


def _own(x: Any) -> Any:
    """What the user may write to, copied: lists, and arrays in them."""
    if isinstance(x, dict):
        return {k: _own(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_own(v) for v in x]
    return x.copy() if isinstance(x, np.ndarray) or hasattr(x, "tocsr") else x


def declare(
    inputs: Iterable[Any],
    outputs: Any,
    updates: Any,
    givens: Any,
    no_default_updates: Any,
    name: str | None,
    rebuild_strict: bool,
    allow_input_downcast: bool | None,
    on_unused_input: str | None,
) -> Source:
    """Checks the arguments of `function` and lowers to one region.

    An input with a state is no parameter: a shared variable stands for it.
    """
    ins = _inputs(inputs, allow_input_downcast)
    outs, structure = _outputs(outputs)
    borrowed = _borrowed(outputs)
    kinds = [o.ir_type.kind for o in outs] if any(map(sparse.is_sparse, outs)) else None
    borrowed = [b for o, b in zip(outs, borrowed, strict=True) for _ in range(4 if sparse.is_sparse(o) else 1)]
    for o in outs:
        if sparse.is_sparse(o) and o.dtype in HALF:
            raise DTypeError(f"an output is {o.describe()} : {o.type}; SciPy's matrices have no {o.dtype}: cast it")
    outs = [p for o in outs for p in (sparse.exploded(o) if sparse.is_sparse(o) else [o])]
    params = [p for i in ins if i.state is None for p in sparse.parts(i.variable)]
    replace = _givens(givens, ins, rebuild_strict)
    for i in ins:
        if i.state is not None:
            replace[i.variable] = _fit(i.state, i.variable, f"the value of {i.variable.describe()}")
    changes = _updates(updates, ins)
    given = len(changes)
    wanted = [*outs, *changes.values()]
    order = ancestors([*wanted, *replace.values()], params, replace)
    in_use = [v for v in order if isinstance(v, SharedVariable)]
    _default_updates(in_use, changes, no_default_updates, params, replace)
    if len(changes) > given:  # otherwise this walk is that one
        wanted = [*outs, *changes.values()]
        order = ancestors([*wanted, *replace.values()], params, replace)
        in_use = [v for v in order if isinstance(v, SharedVariable)]
    states = list(dict.fromkeys([*in_use, *changes]))
    if replace:
        order = ancestors(wanted, params, replace)
    _check_unused(ins, order, on_unused_input)
    declared = Declared([*params, *states], wanted, replace, order)
    arguments = [_argument(i) for i in ins]
    return Source(
        declared, arguments, states, len(outs), [states.index(s) for s in changes], structure, name, kinds, borrowed
    )


def _inputs(inputs: Iterable[Any], allow: bool | None) -> list[In]:
    if isinstance(inputs, (Variable, In)):
        raise ArgumentError("the inputs of a function are a list; put the one input in brackets")
    out: list[In] = []
    seen: dict[Variable, int] = {}
    for k, entry in enumerate(listed(inputs, "the inputs of a function")):
        if isinstance(entry, (list, tuple)) and len(entry) == 2 and isinstance(entry[0], Variable):
            entry = In(entry[0], value=entry[1])
        i = entry if isinstance(entry, In) else In(entry) if isinstance(entry, Variable) else None
        if i is None or not isinstance(i.variable, Variable):
            raise DTypeError(f"input {k} is {entry!r}; symbolic variables and In(...) are accepted")
        if isinstance(i.variable, (SharedVariable, sparse.SparseSharedVariable)):
            raise ArgumentError(
                f"input {k} is the shared variable {i.variable.describe()}; use it in givens or updates instead"
            )
        if isinstance(i.variable, Constant):
            raise ArgumentError(f"input {k} is the constant {i.variable.describe()}")
        if i.variable in seen:
            raise ArgumentError(f"{i.variable.describe()} is input {seen[i.variable]} and again input {k}")
        seen[i.variable] = k
        out.append(_completed(i, allow))
    return out


def _completed(given: In, allow: bool | None) -> In:
    """The input as this function has it; an `In` may serve several functions, each with a state of its own."""
    i = copy.copy(given)
    if i.allow_downcast is None:
        i.allow_downcast = allow
    if i.implicit and i.value is None:
        raise ArgumentError(f"In({i.variable.describe()}, implicit=True) needs a value: calls cannot give one")
    if i.update is not None and i.state is None:
        what = f"In({i.variable.describe()}, update=...)"
        if sparse.is_sparse(i.variable):
            raise ArgumentError(f"{what} is not supported for sparse variables; use a shared variable and updates")
        if i.value is None:
            raise ArgumentError(f"{what} needs a value to begin with: In(..., value=...)")
        i.value = shared(_argument(i).convert(i.value), i.name, shape=i.variable.type.shape, borrow=bool(i.borrow))
    return i


def _outputs(outputs: Any) -> tuple[list[Variable], Any]:
    def one(o: Any, which: str = "the output") -> Variable:
        o = o.variable if isinstance(o, Out) else o
        if isinstance(o, Variable):
            return o
        if sparse.is_scipy(o):
            return sparse.as_sparse_variable(o)
        if isinstance(o, (bool, int, float, complex)) or is_exporter(o):
            return as_tensor_variable(o)
        raise DTypeError(
            f"{which} of the function is {o!r}; outputs are symbolic variables, in one list or dict at most "
            "(weft.tensor.stack joins several into one)"
        )

    if outputs is None:
        return [], None
    if isinstance(outputs, dict):
        for key in outputs:
            if not isinstance(key, str):
                raise ArgumentError(f"the keys of an output dict are strings, not {key!r}")
        return [one(o, f"output {k!r}") for k, o in outputs.items()], tuple(outputs)
    if isinstance(outputs, (list, tuple)):
        return [one(o, f"output {k}") for k, o in enumerate(outputs)], "list"
    return [one(outputs)], "one"


def _borrowed(outputs: Any) -> list[bool]:
    """Which outputs may lie in memory of the function; of sparse ones none do."""
    if outputs is None:
        return []
    entries = outputs.values() if isinstance(outputs, dict) else outputs
    if not isinstance(outputs, (dict, list, tuple)):
        entries = [outputs]
    return [isinstance(o, Out) and o.borrow and not sparse.is_sparse(o.variable) for o in entries]


def _pairs(given: Any, what: str) -> list[tuple[Any, Any]]:
    if given is None:
        return []
    items = list(given.items()) if hasattr(given, "items") else listed(given, what)
    for item in items:
        if not (isinstance(item, (list, tuple)) and len(item) == 2):
            raise ArgumentError(f"{what} are pairs (variable, expression) or a dict, not {item!r}")
    return [tuple(item) for item in items]  # type: ignore[misc]


def _givens(givens: Any, ins: Sequence[In], strict: bool) -> dict[Variable, Variable]:
    out: dict[Variable, Variable] = {}
    given = {i.variable for i in ins}
    for old, new in _pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise DTypeError(f"givens replaces symbolic variables, not {old!r}")
        if old in out:
            raise ArgumentError(f"givens replaces {old.describe()} twice")
        if old in given:
            raise ArgumentError(
                f"givens replaces {old.describe()}, which is an input of the function; make another variable the input "
                f"and write {old.describe()} in terms of it"
            )
        if sparse.is_sparse(old):
            new = sparse.fit(new, old, f"givens for {old.describe()}")
            out.update(zip(sparse.parts(old), sparse.exploded(new), strict=False))
            continue
        out[old] = _fit(new, old, f"givens for {old.describe()}", strict)
    for old, new in out.items():
        # Whether a replacement is replaced in turn would depend on the order; Theano refuses it, too.
        found = next((v for v in ancestors([new], stop=given) if v in out), None)
        if found is not None:
            raise ArgumentError(
                f"givens replaces {found.describe()}, and what stands for {old.describe()} is computed from it; write "
                "that in terms of other variables, or replace in two steps with weft.clone"
            )
    return out


def _fit(value: Any, like: Variable, what: str, strict: bool = True) -> Variable:
    """The value with the dtype and rank of `like`. A dtype that loses nothing is cast, and a constant of which nothing
    is lost but by rounding to floats."""
    from ..ir.dtypes import promote

    new = value if isinstance(value, Variable) else as_tensor_variable(value)
    if new.ir_type.kind != like.ir_type.kind:
        raise DTypeError(f"{what}: {new.describe()} is {new.type}, not {like.type}")
    if new.dtype != like.dtype:
        if strict and promote(new.dtype, like.dtype) != like.dtype:
            if not isinstance(new, Constant):
                raise DTypeError(
                    f"{what}: {new.describe()} has dtype {new.dtype}, which does not fit {like.dtype} without loss; "
                    f"weft.tensor.cast(..., {like.dtype!r}) converts it"
                )
            if not representable(new.data, numpy_dtype(like.dtype)):
                shown = new.describe() if isinstance(value, Variable) else describe_value(value)
                raise DTypeError(f"{what}: {shown} does not fit {like.dtype} without loss")
        new = cast(new, like.dtype)
    if new.ndim != like.ndim:
        raise ShapeError(f"{what}: {new.describe()} has {new.ndim} dimensions, not {like.ndim}")
    for a, (have, want) in enumerate(zip(new.type.shape, like.type.shape, strict=True)):
        if want is not None and have is not None and have != want:
            raise ShapeError(f"{what}: axis {a} has length {have}, but {like.describe()} has {want} there")
    return with_lengths(new, like.type.shape)


def _updates(updates: Any, ins: Sequence[In]) -> dict[SharedVariable, Variable]:
    out: dict[SharedVariable, Variable] = {}
    for target, new in _pairs(updates, "updates"):
        if isinstance(target, sparse.SparseSharedVariable):
            new = sparse.exploded(sparse.fit(new, target, f"the update of {target.describe()}"))
            if target.shared_parts[0] in out:
                raise ArgumentError(f"updates change {target.describe()} twice")
            out.update(zip(target.shared_parts, new, strict=True))
            continue
        if not isinstance(target, SharedVariable):
            raise ArgumentError(f"updates change shared variables; {target!r} is not one (declared at {here()})")
        if target in out:
            raise ArgumentError(f"updates change {target.describe()} twice")
        out[target] = _fit(new, target, f"the update of {target.describe()}")
    for i in ins:
        if i.update is not None:
            assert i.state is not None
            if i.state in out:
                raise ArgumentError(f"updates and In(update=) both change {i.state.describe()}")
            out[i.state] = _fit(i.update, i.state, f"the update of {i.variable.describe()}")
    return out


def _default_updates(
    in_use: Sequence[SharedVariable],
    changes: dict[SharedVariable, Variable],
    excluded: Any,
    params: Sequence[Variable],
    replace: dict[Variable, Variable],
) -> None:
    """Adds the default updates of the shared variables in use (random streams advance by them)."""
    if not isinstance(excluded, (bool, list, tuple, set)):
        raise ArgumentError(f"no_default_updates is a bool or a list of shared variables, not {excluded!r}")
    if excluded is True:
        return
    skip = set() if excluded is False else set(excluded)
    # In the order of the graph: that of a set would be another one in each process, and so the program.
    known = dict.fromkeys(in_use)
    todo = list(known)
    while todo:
        s = todo.pop()
        if s in changes or s in skip or s.default_update is None:
            continue
        changes[s] = _fit(s.default_update, s, f"the default update of {s.describe()}")
        for v in ancestors([changes[s]], params, replace):
            if isinstance(v, SharedVariable) and v not in known:
                known[v] = None
                todo.append(v)


def _check_unused(ins: Sequence[In], needed: Sequence[Variable], policy: str | None) -> None:
    policy = config.on_unused_input if policy is None else policy
    if policy not in ("raise", "warn", "ignore"):
        raise ArgumentError(f"on_unused_input is 'raise', 'warn' or 'ignore', not {policy!r}")
    if policy == "ignore":
        return
    used = set(needed)
    for k, i in enumerate(ins):
        if i.update is None and i.state not in used and not any(p in used for p in sparse.parts(i.variable)):
            text = (
                f"input {k}, {i.variable.describe()} : {i.variable.type} (declared at {i.variable.trace}), is not part "
                "of the graph that computes the outputs; leave it out, or pass on_unused_input='warn' or 'ignore'"
            )
            if policy == "raise":
                raise UnusedInputError(text)
            warnings.warn(text, stacklevel=6)


def _argument(i: In) -> Argument:
    t = i.variable.type
    label = i.name or i.variable.describe()
    arg = (SparseArgument if sparse.is_sparse(i.variable) else Argument)(
        i.name, label, numpy_dtype(t.dtype), t.shape, allow_downcast=i.allow_downcast, strict=i.strict,
        python_float=t.dtype == config.floatX, implicit=i.implicit, key=i.variable, borrow=bool(i.borrow),
        where=Declaration(i.variable.trace),
    )  # fmt: skip
    if i.state is not None:
        arg.storage = i.state.container
    elif i.value is not None:
        value = i.value
        value = value.get_value() if isinstance(value, sparse.SparseSharedVariable) else value
        (arg.default, *more) = arg.arrays(value)
        if more:
            arg.default = value if i.borrow else copy.deepcopy(value)
        elif not i.borrow:
            arg.default = np.array(arg.default, order="C")
        arg.has_default = True
    return arg

"""Operations that hold regions, leaves, tuples, and Python of the user's."""

from __future__ import annotations

import numpy as np

from ....runtime.errors import unfit_result
from ..dtypes import numpy_dtype
from ..node import STEPS, binder, is_bound
from ..ops.control import stacks_backwards
from .checks import fault
from .values import meaning


@meaning("param")
def _(node, values, run):
    return run.argument(node)


@meaning("dim")
def _(node, values, run):
    return np.asarray(run.dim(node.attr("token"), node.attr("axis")), np.int64)


@meaning("const")
def _(node, values, run):
    return node.attr("value").array


@meaning("length")
def _(node, values, run):
    """What the operation that binds it gave: it runs now if it has not run yet, and only once."""
    if not is_bound(node):  # of a part of a sparse matrix
        return np.asarray(values[0].nnz, np.int64)
    target, out = binder(node), node.attr("out")
    result = run.bind(target, values)
    if out == STEPS:
        return np.asarray(run.steps[target], np.int64)
    return np.asarray(result[out].shape[node.attr("axis")], np.int64)


@meaning("item")
def _(node, values, run):
    return values[0][node.attr("index")]


@meaning("ifelse")
def _(node, values, run):
    condition, *args = values
    return tuple(run.nested(node.attr("then" if condition else "orelse"), args, node))


@meaning("scan")
def _(node, values, run):
    step, taps, count = node.attr("step"), node.attr("taps"), node.attr("sequences")
    n, rest = int(values[0]), list(values[1:])
    sequences, initials, constants = rest[:count], rest[count : count + len(taps)], rest[count + len(taps) :]
    random = [i.type.kind == "random" for i in node.inputs[1 + count : 1 + count + len(taps)]]
    histories = [[init] if r else list(init) for init, r in zip(initials, random, strict=True)]
    stacks: list[list[np.ndarray]] = [[] for _ in node.type.items[len(taps) :]]
    ran = 0
    for t in range(n):
        args = [s[t] for s in sequences]
        args += [h[tap] for h, offsets in zip(histories, taps, strict=True) for tap in offsets]
        outs = run.nested(step, args + constants, node, t)
        ran += 1
        for h, keep, new in zip(histories, node.attr("keep"), outs, strict=False):
            h.append(new)
            if not keep:
                del h[0]
        for s, new in zip(stacks, outs[len(taps) :], strict=False):
            s.append(new)
        if node.attr("until") and outs[-1]:
            break
    run.steps[node] = ran
    if stacks_backwards(node):
        stacks = [s[::-1] for s in stacks]
    stacked = [
        np.stack(s) if s else np.empty((0, *map(run.length, t.axes[1:])), numpy_dtype(t.dtype))
        for s, t in zip(stacks, node.type.items[len(taps) :], strict=True)
    ]
    return (*(h[-1] if r else np.stack(h) for h, r in zip(histories, random, strict=True)), *stacked)


@meaning("kernel")
def _(node, values, run):
    return tuple(run.nested(node.attr("body"), values, node))


@meaning("host_call")
def _(node, values, run):
    callee = node.attr("callee")
    # Copies: what Python does to its arguments stays there.
    results = callee.function([np.array(v, order="C") for v in values])
    outs = []
    for k, (r, dtype, ndim, like) in enumerate(
        zip(results, node.attr("dtypes"), node.attr("ndims"), node.attr("like"), strict=True)
    ):
        r = np.asarray(r)
        if (wrong := unfit_result(k, callee.name, r, numpy_dtype(dtype), ndim)) is not None:
            raise wrong
        for have, want in zip(r.shape, values[like].shape if like is not None else r.shape, strict=True):
            if have != want:
                raise fault("host_shape", have, want)
        outs.append(np.array(r, order="C"))
    return tuple(outs)

"""Pickling and deep copies: values, identity, names, depth."""

from __future__ import annotations

import copy
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.graph.variable import Variable, ancestors
from weft.tensor.nnet import softmax

MODES = ["interpret", "compile"]


def through_pickle(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


def through_python(x: Any) -> Any:
    return pickle._loads(pickle._dumps(x, protocol=2))  # type: ignore[attr-defined]


COPIES = [through_pickle, through_python, copy.deepcopy]
each_copy = pytest.mark.parametrize("clone", COPIES, ids=["pickle", "python", "deepcopy"])
each_mode = pytest.mark.parametrize("mode", MODES)


def chain(x: Variable, n: int) -> Variable:
    for _ in range(n // 2):
        x = T.tanh(x) + x
    return x


@each_copy
@each_mode
def test_values(clone: Callable, mode: str) -> None:
    x, w = T.matrix("x"), weft.shared(np.eye(3), "w")
    k = T.constant(np.arange(3.0))
    out = softmax(T.dot(x[1:, ::-1], w) + k) + T.max(x, axis=1)[0] + x[[0, 1]].sum() + x.shape[0]
    x2, w2, out2 = clone((x, w, out))
    value = np.arange(9.0).reshape(3, 3)
    want = weft.function([x], out, mode=mode)(value)
    assert (weft.function([x2], out2, mode=mode)(value) == want).all()
    assert (w2.get_value() == w.get_value()).all() and w2.name == "w"
    w2.set_value(np.zeros((3, 3)))
    assert (w.get_value() == np.eye(3)).all()
    assert (weft.function([x2], out2, mode=mode)(value) != want).any()


@each_copy
def test_identity(clone: Callable) -> None:
    x = T.vector("x")
    a = chain(x, 4)
    a.name = "a"
    c = chain(a, 6)
    for order in (
        lambda x, a, c: (x, a, c),
        lambda x, a, c: (c, x, a),
        lambda x, a, c: (a, c, x),
        lambda x, a, c: ([a], {"c": c}, x),
    ):
        flat = []
        for entry in clone(order(x, a, c)):
            flat += list(entry.values()) if isinstance(entry, dict) else entry if isinstance(entry, list) else [entry]
        by_size = sorted(flat, key=lambda v: len(ancestors([v])))
        x2, a2, c2 = by_size
        assert {x2, a2} <= set(ancestors([c2])) and x2 in ancestors([a2])
        assert (x2.name, a2.name, c2.name) == ("x", "a", None) and x2 is not x
        assert len(ancestors([c2])) == len(ancestors([c]))
        assert [v.trace for v in ancestors([c2])] == [v.trace for v in ancestors([c])]


@each_copy
def test_one_apply_for_its_outputs(clone: Callable) -> None:
    m, i = T.max_and_argmax(T.matrix("x"), axis=1)
    m.name, i.name = "m", "i"
    assert len(ancestors([m])) == 2
    m2 = clone(m)
    assert m2.owner.outputs[0] is m2 and [o.name for o in m2.owner.outputs] == ["m", "i"]
    m2, i2 = clone((m, i + 1))
    assert i2.owner.inputs[0].owner.inputs[0].owner is m2.owner or m2.owner in {v.owner for v in ancestors([i2])}
    assert m2.owner.op is m.owner.op  # the operation itself is one object in a process


@each_copy
def test_tags_and_subscripts(clone: Callable) -> None:
    x = T.vector("x")
    x.tag.test_value = np.arange(3.0)
    y = x[1:]
    y.tag.note = {"of": x}
    x2, y2 = clone((x, y))
    assert (x2.tag.test_value == np.arange(3.0)).all() and y2.tag.note["of"] is x2
    assert T.set_subtensor(y2, 0.0).owner.inputs[0] is x2


@each_copy
def test_types_constants_comparisons(clone: Callable) -> None:
    r, k = T.row("r", dtype="float32"), T.constant(np.float32([1, 2]), name="k")
    out, less, k2 = clone((r + k, r < k, k))
    assert out.type == (r + k).type and out.owner.inputs[0].broadcastable == (True, False)
    assert k2.name == "k" and (k2.data == [1, 2]).all() and k2.node is k.node
    with pytest.raises(weft.ArgumentError, match="not known"):
        bool(less)


@each_copy
def test_shared_state(clone: Callable) -> None:
    s = weft.shared(np.zeros(2), "s", strict=True)
    s.default_update = s + 1
    t = s * 2
    s2, (t2, s3) = clone((s, (t, s)))
    assert s2 is s3 and t2.owner.inputs[0] is s2 and s2.default_update.owner.inputs[0] is s2
    assert s2.strict and s2.container is not s.container


class Double(weft.Op):
    """A user's Op."""

    __props__ = ()

    def make_node(self, x: Any) -> weft.Apply:
        x = T.as_tensor_variable(x)
        return weft.Apply(self, [x], [x.type(), x.type()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        outputs[0][0], outputs[1][0] = inputs[0] * 2, inputs[0] * 3


@each_mode
def test_users_op(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules.get(Double.__module__)
    if module is None:  # pytest's importlib mode does not always register test modules
        monkeypatch.setitem(sys.modules, Double.__module__, sys.modules[__name__])
    x = T.vector("x")
    a, b = Double()(x)
    x2, c2 = copy.deepcopy((x, a + b))
    assert weft.function([x2], c2, mode=mode)([1.0, 2.0]).tolist() == [5, 10]


@each_mode
def test_compiled_functions(mode: str) -> None:
    x, s = T.vector("x"), weft.shared(1.0, "s")
    f = weft.function(
        [x, weft.In(T.scalar("k"), value=2.0)],
        {"y": x * s},
        updates=[(s, s + 1)],
        mode=mode,
        name="f",
        on_unused_input="ignore",
    )
    f([1.0])
    g, s2 = through_pickle((f, s))
    assert g([3.0])["y"].tolist() == [6] and s2.get_value() == 3 and s.get_value() == 2 and g.name == "f"
    assert copy.deepcopy(f)([1.0])["y"].tolist() == [2]
    g.recipe = None
    with pytest.raises(weft.ArgumentError, match="artifact"):
        pickle.dumps(g)


@each_copy
def test_deep_graphs(clone: Callable) -> None:
    x = T.vector("x")
    c = chain(x, 100_000 if clone is through_pickle else 20_000)
    x2, c2 = clone((x, c))
    assert x2 in ancestors([c2]) and len(ancestors([c2])) == len(ancestors([c]))


def test_time_is_linear_in_a_list_of_all() -> None:
    every = ancestors([chain(T.vector("x"), 8_000)])
    begin = time.perf_counter()
    assert len(through_pickle(every)) == len(every)
    assert time.perf_counter() - begin < 10  # a list of ancestors for each of them would take minutes


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not this one")


@weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
def doubled(a: np.ndarray) -> np.ndarray:
    return a * 2


class Holder:
    @staticmethod
    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def tripled(a: np.ndarray) -> np.ndarray:
        return a * 3


@each_copy
@each_mode
def test_python_operations_by_their_names(clone: Callable, mode: str) -> None:
    x = T.dvector("x")
    f = clone(weft.function([x], [doubled(x), Holder.tripled(x)], mode=mode))
    np.testing.assert_array_equal(f(np.ones(2)), [[2, 2], [3, 3]])
    assert pickle.loads(pickle.dumps(doubled)) is doubled


def test_a_python_operation_without_a_name() -> None:
    local = weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])(lambda a: a)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(local)


def test_after_a_failed_dump() -> None:
    x = T.vector("x")
    middle = chain(x, 10_000)
    middle.tag.bad = Unpicklable()
    c = chain(middle, 10_000)
    for dumps in (pickle.dumps, copy.deepcopy):
        with pytest.raises(RuntimeError, match="not this one") as info:
            dumps(c)
        assert info.traceback  # its frames keep what the pickler held
        del middle.tag.bad
        assert len(ancestors([through_pickle(c)])) == len(ancestors([c]))
        middle.tag.bad = Unpicklable()


def test_picklers_side_by_side() -> None:
    import io

    x = T.vector("x")
    a = chain(x, 20_000)
    c = chain(a, 20_000)
    files = [io.BytesIO(), io.BytesIO()]
    picklers = [pickle.Pickler(f) for f in files]
    for v in (a, c, x):
        for p in picklers:
            p.dump(v)
    for f in files:
        loads = pickle.Unpickler(io.BytesIO(f.getvalue()))
        a2, c2, x2 = loads.load(), loads.load(), loads.load()
        assert {a2, x2} <= set(ancestors([c2])) and len(ancestors([c2])) == len(ancestors([c]))


def test_a_copy_of_a_function_is_the_function() -> None:
    """Whatever is written meanwhile to the lists and arrays that it was declared with."""
    x, y, w = T.dvector("x"), T.dvector("y"), weft.shared(np.zeros(3), "w")
    default, given, update = np.arange(3.0), np.arange(3.0), np.arange(3.0)
    outs, named, left, one = [x + 1], {"a": x + y}, [], np.ones(3)
    f = weft.function([weft.In(x, value=default)], outs, updates=[(w, update)], no_default_updates=left)
    g = weft.function([x], named, givens=[(y, given)])
    f.threads = 1
    for a in (default, given, update):
        a[:] = 7
    outs.append(x * 2)
    named["b"] = x * 3
    left.append(w)
    for copied in (f, copy.copy(f), copy.deepcopy(f), through_pickle(f)):
        assert [v.tolist() for v in copied()] == [[1, 2, 3]] and copied.threads == 1
        assert copied.storages[0].copy().tolist() == [0, 1, 2]
    for copied in (g, copy.copy(g), copy.deepcopy(g), through_pickle(g)):
        assert {k: v.tolist() for k, v in copied(one).items()} == {"a": [1, 2, 3]}


def test_names_of_functions_and_settings() -> None:
    assert through_pickle(T.xor) is T.xor and through_pickle(T.bitwise_and) is T.bitwise_and
    for clone in (*COPIES, copy.copy):
        assert clone(weft.config) is weft.config
    with pytest.raises(weft.ArgumentError, match=r"weft\.config\.mode cannot be deleted"):
        del weft.config.mode

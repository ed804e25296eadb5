"""A program that the cache knows is loaded without compiling it, and says of itself what it would have said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.compiler.build.cache import Cache
from weft.compiler.graph.function import declare

STAGES = {"lower", "sink", "simplify", "fuse", "print", "build"}


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path))
    return tmp_path


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(p for p in folder.rglob("*" + suffix) if p.is_file())


def step() -> Any:
    x, y = T.dvectors("x", "y")
    w = weft.shared(np.arange(3.0), "w")
    cost = (T.tanh(x * w) * y).sum()
    return weft.function([x, y], [cost, x + 1], updates=[(w, w - weft.grad(cost, w))]), w


def test_the_second_is_not_compiled() -> None:
    f, v = step()
    g, w = step()
    assert not f.stages.cached and set(f.stages.seconds) >= STAGES
    assert g.stages.cached and not STAGES & set(g.stages.seconds)
    arguments = np.array([0.5, -1, 2]), np.ones(3)
    for _ in range(3):
        for a, b in zip(f(*arguments), g(*arguments), strict=True):
            assert a.tobytes() == b.tobytes()
    assert (v.get_value() == w.get_value()).all()


def test_it_is_lowered_when_something_asks() -> None:
    a, b = T.dvectors("a", "b")
    (f, g) = (weft.function([a, b], T.exp(a) * b) for _ in range(2))
    assert f.stages.cached == ("lower" not in f.stages.seconds) and g.stages.cached
    assert (g(np.zeros(2), np.ones(2)) == 1).all() and "lower" not in g.stages.seconds
    with pytest.raises(weft.ShapeError, match=r"(?s)2 and 3 differ.*b : TensorType.*T\.exp\(a\) \* b"):
        g(np.ones(2), np.ones(3))
    assert len(g.stages.source.checks) == 1 and "lower" in g.stages.seconds


def test_givens_are_part_of_a_program() -> None:
    x, y, z = T.dvectors("x", "y", "z")
    made = [weft.function([x], T.sqr(y) - z, givens={y: x + 1, z: x * n}) for n in (2, 3, 2)]
    assert [f.stages.cached for f in made] == [False, False, True]
    assert [f(np.ones(1))[0] for f in made] == [2, 1, 2]
    for _ in range(2):
        for given, lengths in (({y: x[:2], z: x[1:]}, "2 and 3"), ({z: x[:2], y: x[1:]}, "3 and 2")):
            with pytest.raises(weft.ShapeError, match=f"{lengths} differ"):
                weft.function([x], T.sqr(y) - z, givens=given)(np.ones(4))


def test_what_is_wrong_with_a_graph_is_said_when_it_is_declared() -> None:
    x, y = T.dvectors("x", "y")
    for _ in range(2):
        with pytest.raises(weft.MissingInputError, match="y"):
            weft.function([x], T.exp(x) + y)
        with pytest.raises(weft.ShapeError, match="7 and 5"):  # of any length as declared, of these as given
            weft.function([], T.exp(x) + y, givens={x: np.ones(7), y: np.ones(5)})
        weft.function([x, y], T.exp(x) + y)


def test_digests_tell_graphs_apart() -> None:
    def digest(inputs: list[Any], *outputs: Any) -> bytes | None:
        return declare(inputs, list(outputs), [], [], False, None, True, None, "ignore").declared.digest

    def graphs() -> list[bytes | None]:
        x, y = T.dvectors("x", "y")
        f, m, s = T.fvector("f"), T.dmatrix("m"), T.dscalar("s")
        one = T.TensorType("float64", (True,))("one")
        value, index = T.max_and_argmax(x)
        loop = weft.scan(lambda v: v * 2, sequences=[x])[0]
        until = weft.scan(lambda v: (v * 2, {}, weft.scan_module.until(v > 1)), sequences=[x])[0]
        return [
            digest([x], x), digest([f], f), digest([m], m), digest([one], one), digest([x, y], x), digest([x, y], y),
            digest([x, y], x - y), digest([y, x], x - y), digest([x], x - 1), digest([x], x - 2), digest([x], x + 1),
            digest([x], x[0]), digest([x], x[1]), digest([x], x[-1]),
            digest([x], value), digest([x], index), digest([x], value, index), digest([x], index, value),
            digest([m], m.sum(0)), digest([m], m.sum(1)), digest([m], T.nnet.softmax(m)), digest([m], m.T),
            digest([x], loop), digest([x], until), digest([x, s], weft.ifelse.ifelse(s, x, 2 * x)),
        ]  # fmt: skip

    first = graphs()
    assert first == graphs() and len(set(first)) == len(first) and None not in first
    x = T.dvector("x")
    assert digest([x], adder(1)(x)) is None, "what a closure holds does not show"
    assert digest([x], weft.scan(lambda v: adder(1)(v.dimshuffle("x"))[0], sequences=[x])[0]) is None


def test_what_it_shows_is_made_when_one_looks() -> None:
    (f, _), (g, _) = step(), step()
    assert g.source == f.source and g.graph == f.graph and g.steps == f.steps and g.kernels == f.kernels
    lines = [r.splitlines()[1:-1] for r in (f.report(), g.report())]
    assert lines[0] == lines[1]
    assert "from the cache" in step()[0].report() and "from the cache" not in f.report()


def test_messages_are_those_of_the_program_at_hand() -> None:
    a, b = T.dvectors("a", "b")
    first = weft.function([a, b], a * b, name="first")  # here: first
    c, d, i = T.dvector("c"), T.dvector("d"), T.lvector("i")
    second = weft.function([c, d], c * d, name="second")  # here: second
    assert second.stages.cached
    for f, name, x, line in ((first, "first", "a", "here: first"), (second, "second", "c", "here: second")):
        with pytest.raises(weft.ShapeError) as caught:
            f(np.ones(2), np.ones(3))
        text = str(caught.value)
        assert (
            f"{x} : TensorType" in text and line in text and text.startswith("axis 0 of the arguments of mul: 2 and 3")
        )
        assert name == f.name
    for k in range(2):
        taken = weft.function([c, i], T.exp(c)[i])
        assert taken.stages.cached == bool(k)
        with pytest.raises(weft.BoundsError, match=r"(?s)index 7 is out of range.*taken = weft.function"):
            taken(np.ones(2), [0, 7])


def test_lines_in_bodies() -> None:
    said = []
    for note in ("one", "two"):
        r, v = T.lmatrix("r"), T.dvector("v")
        if note == "one":
            out, _ = weft.scan(lambda r, v: v[r].sum(), sequences=[r], non_sequences=[v])  # here: one
        else:
            out, _ = weft.scan(lambda q, u: u[q].sum(), sequences=[r], non_sequences=[v])  # here: two
        f = weft.function([r, v], out)
        assert f.stages.cached == (note == "two")
        with pytest.raises(weft.BoundsError) as caught:
            f([[0, 5]], np.ones(2))
        said.append(str(caught.value))
    assert "# here: one" in said[0] and "# here: two" in said[1] and "here: one" not in said[1]


def adder(amount: float) -> Any:
    @as_op([T.dvector], [T.dvector])
    def add(x: np.ndarray) -> np.ndarray:
        return x + amount

    return add


def test_python_operations_of_one_definition_are_told_apart() -> None:
    x = T.dvector("x")
    one, ten = adder(1), adder(10)
    v = np.zeros(2)
    both = weft.function([x], [one(x), ten(x)])
    once = one(x)
    same = weft.function([x], [once, once])
    swapped = weft.function([x], [ten(x), one(x)])
    assert swapped.stages.cached and not same.stages.cached
    for f, want in ((both, (1, 10)), (same, (1, 1)), (swapped, (10, 1))):
        assert tuple(r[0] for r in f(v)) == want


def test_constants_come_from_the_entry() -> None:
    table = np.random.default_rng(0).normal(size=(70, 50))
    bits = np.arange(90) % 3 == 0
    x = T.dmatrix("x")
    for dtype in ("float64", "float32", "bfloat16", "complex128"):
        if dtype == "bfloat16":
            pytest.importorskip("ml_dtypes")
        results = []
        for _ in range(2):
            c = T.cast(T.constant(table), dtype) if dtype == "bfloat16" else T.constant(table.astype(dtype))
            results.append(
                weft.function([x], [T.dot(T.cast(x, "float64"), T.constant(table)), c * 2, T.constant(bits)])
            )
        assert results[1].stages.cached
        a, b = (f(np.ones((2, 70))) for f in results)
        assert all(p.tobytes() == q.tobytes() for p, q in zip(a, b, strict=True))


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()  # this process has it mapped
    path.write_bytes(data[:-3])


@pytest.mark.parametrize("suffix", [".so", ".program"])
@pytest.mark.parametrize("damage", [Path.unlink, truncate])
def test_what_is_gone_or_damaged_is_made_again(empty_cache: Path, suffix: str, damage: Callable[[Path], None]) -> None:
    x = T.dvector("x")
    weft.function([x], x)
    before = set(files(empty_cache, suffix))
    want = weft.function([x], T.exp(x) * 3)(np.ones(2))
    (made,) = set(files(empty_cache, suffix)) - before
    damage(made)
    f = weft.function([x], T.exp(x) * 3)
    assert not f.stages.cached and f(np.ones(2)).tobytes() == want.tobytes()
    assert weft.function([x], T.exp(x) * 3).stages.cached


@pytest.mark.parametrize("suffix", [".so", ".program"])
def test_what_goes_between_the_look_and_the_loading(
    empty_cache: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes room, or clears the cache."""
    x = T.dvector("x")
    weft.function([x], x * 5)
    weft.function([x], x * 6)
    real, removed = Cache.find, []

    def find(self: Cache, key: str, kind: str = ".so") -> Path | None:
        found = real(self, key, kind)
        if found is not None and kind == suffix and not removed:
            removed.append(found)
            found.unlink()
        return found

    monkeypatch.setattr(Cache, "find", find)
    f = weft.function([x], x * 6)
    assert f(np.ones(2)).tolist() == [6, 6] and removed and not f.stages.cached


@pytest.mark.parametrize("how", [Cache.clear, lambda c: shutil.rmtree(c.directory)])
@pytest.mark.parametrize("which", ["weft_library.c", "-shared"])
def test_a_cache_that_is_emptied_while_something_is_compiled(
    tmp_path: Path, how: Callable[[Cache], object], which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's object, or the program, is in the compiler's hands."""
    x = T.dvector("x")
    folder, cc, ready, go = (tmp_path / name for name in ("cache", "cc", "ready", "go"))
    monkeypatch.setattr(weft.config, "cache_dir", str(folder))
    waits = f"[ -e {go} ] || {{ touch {ready}; while [ ! -e {go} ]; do sleep 0.01; done; }}"
    cc.write_text(f'#!/bin/sh\ncase "$*" in *{which}*) {waits};; esac\nexec gcc "$@"\n')
    cc.chmod(0o755)
    weft.function([x], x)
    monkeypatch.setattr(weft.config, "cc", str(cc))

    def empty() -> None:
        while not ready.exists():
            time.sleep(0.01)
        how(Cache(folder))
        go.touch()

    other = threading.Thread(target=empty)
    other.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = weft.function([x], x * 6)
    other.join()
    assert f(np.ones(2)).tolist() == [6, 6]
    assert weft.function([x], x * 6).stages.cached


def test_what_tells_programs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = T.dvector("x"), weft.shared(np.ones(2), "w")
    declared: list[Callable[[], Any]] = [
        lambda: weft.function([x], x + 1.5),
        lambda: weft.function([x], x + 2.5),
        lambda: weft.function([x], [x + 1.5, x + 1.5]),
        lambda: weft.function([x], x + w),
        lambda: weft.function([x], [x + w], updates=[(w, w * 2)]),
        lambda: weft.function([x], [x + w, w * 2]),
        lambda: weft.function([x], updates=[(w, x + w)]),
    ]
    for make in declared:
        assert not make().stages.cached
    for make in declared:
        assert make().stages.cached
    monkeypatch.setattr(weft.config, "blas", "openblas")
    assert not weft.function([x], x + 1.5).stages.cached


def test_reuse_may_be_switched_off(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    x = T.dvector("x")
    monkeypatch.setattr(weft.config, "reuse", False)
    for _ in range(2):
        assert not weft.function([x], x * 7).stages.cached
    assert not files(empty_cache, ".program")
    monkeypatch.setattr(weft.config, "reuse", True)
    assert not weft.function([x], x * 7).stages.cached
    monkeypatch.setattr(weft.config, "verify", True)
    assert not weft.function([x], x * 7).stages.cached, "what is to be verified has to be made"


OTHER = """
import json, sys, numpy as np, weft, weft.tensor as T


x = T.dmatrix("x")
out, _ = weft.scan(lambda r, s: T.tanh(s + r), sequences=[x], outputs_info=[T.zeros_like(x[0])])
f = weft.function([x], [out, weft.grad(out.sum(), x)])
loaded = sorted(m for m in sys.modules if m.startswith("weft.compiler.") and m.split(".")[2] in
                ("simplify", "schedule", "lower", "codegen"))
print(json.dumps([f.stages.cached, loaded, [a.tolist() for a in f(np.eye(3))]]))
"""


def test_another_process_finds_it_and_loads_no_stage(empty_cache: Path) -> None:
    def run() -> Any:
        environment = {**os.environ, "WEFT_CACHE_DIR": str(empty_cache), "PYTHONHASHSEED": str(len(told))}
        done = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    told: list[Any] = []
    for _ in range(3):
        told.append(run())
    assert [t[0] for t in told] == [False, True, True]
    assert told[0][1] and not told[1][1]
    assert told[0][2] == told[1][2] == told[2][2]

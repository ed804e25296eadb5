"""What is printed of a program that fails (fuzz_text.py): with the fault it fails by itself, without it it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fuzz_text
import numpy as np
import pytest
from fuzz_calls import LAYOUTS, WAYS, not_finite
from fuzz_grower import Grower
from fuzz_program import Program, Slope, fresh_scope
from fuzz_report import Call, Place, same_bits
from fuzz_text import NOT_SHOWN, alone, literal, shown, shows

import weft
from weft.compiler.codegen import c_kernel, c_stages
from weft.compiler.ir.dtypes import numpy_dtype

TESTS = Path(__file__).parent

# Faults, put into every process by a sitecustomize.py.
PRINTED = """
from weft.compiler.codegen import scalar
true = scalar.call
def call(name, dtype, *args):
    made = true(name, dtype, *args)
    CHANGE
    return made
scalar.call = call
"""
TANH = PRINTED.replace("CHANGE", "if (name, dtype) == ('tanh', 'float64'): made = f'({made} * (1 + 1e-9))'")
MAXIMUM = PRINTED.replace("CHANGE", """if name == 'maximum':
        a, b = args
        made = f'(({a}) > ({b}) || ({b}) != ({b}) ? ({a}) : ({b}))'""")
CALLED = """
from weft.runtime import callable, pool
true = callable.CompiledFunction.__call__
def call(self, *args, **kwargs):
    before = pool.counts()['loops']
    made = true(self, *args, **kwargs)
    CHANGE
    return made
callable.CompiledFunction.__call__ = call
"""
HASTY = CALLED.replace("CHANGE", """for a in made if self.threads == 3 and pool.counts()['loops'] > before else ():
        if a.ndim and a.size:
            a[(-1,) * a.ndim] = 0  # the last element is lost where the work is divided""")
WRITES = CALLED.replace("CHANGE", """for a in args:
        if self.threads == 3 and a.flags.writeable and a.strides[0] != a.itemsize:
            a[0] += 1""")
CHECK = """
from weft.compiler.codegen.host import HostPrinter
HostPrinter.check = lambda *args: None
"""
SHORT = """
from weft.compiler.schedule import program
true = program.plan_memory
def shorter(buffers, *rest):
    for b in buffers:
        b.end -= 1
    return true(buffers, *rest)
program.plan_memory = shorter
"""
SLOPE = """
from weft.compiler.grad import rules_elementwise as rules
rules.ROWS['tanh'] = (lambda g, x, y: g * (1 + y * y),)
"""


def process(script, fault, tmp_path, monkeypatch):
    """A process with the fault."""
    (tmp_path / "sitecustomize.py").write_text(fault)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(TESTS.parent), str(TESTS)])}
    return subprocess.run([sys.executable, *script], capture_output=True, text=True, env=env, cwd=TESTS)


def is_shown(printed, tmp_path):
    """What was printed says that it fails by itself; it does with the fault, and does not without."""
    assert shows(printed), printed
    text = printed[printed.index("# Run by itself") :]
    assert alone(text) is not None
    (tmp_path / "sitecustomize.py").unlink()
    assert alone(text) is None, text


VECTOR = ["w0 = np.array([1.5, -2.0, 0.25])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
STATE = ["w1 = np.array([0.5, 0.25, 1.0])", "v1 = weft.shared(w1, 'v1')"]
MATRIX = ["w0 = np.eye(3)", "v0 = T.tensor('float64', shape=(None, None), name='v0')"]

# fault, lines, outputs, updates, part of the text
PROGRAMS = {
    "a value wrong by 1e-9": (TANH, [*VECTOR, "v2 = T.tanh(v0)"], ["v2"], [], "f.threads, args = 1"),
    "the second call": (TANH, [*VECTOR, *STATE, "v2 = T.switch(v1 > 2, T.tanh(v1 * v0), v1)", "v3 = v1 + 2"],
                        ["v2"], [("v1", "v3")], "between = held()"),
    "a state": (TANH, [*VECTOR, *STATE, "v3 = T.tanh(v1 + v0)"], [], [("v1", "v3")], "got[0]"),
    "other bits with 3 threads": (HASTY, [*VECTOR, "v2 = T.exp(v0)"], ["v2"], [], "for f.threads in (1, *[3] * 20)"),
    "a missing check": (CHECK, [*VECTOR, "w1 = np.arange(3.0)", "v1 = T.tensor('float64', shape=(None,), name='v1')",
                                "v2 = v0 + v1"], ["v2"], [], "it does not fail"),
    "NaN": (MAXIMUM, [*VECTOR, "v2 = T.maximum(0.0, v0 * 0.5)"], ["v2"], [], "nan"),
    "an argument that lies elsewhere": (WRITES, [*VECTOR, "v2 = T.exp(v0)"], ["v2"], [], "lying_elsewhere(f, "),
    "the arena": (SHORT, [*MATRIX, "v1 = T.dot(T.dot(T.dot(T.dot(v0, v0), v0), v0), v0)"], ["v1"], [], "overlaps"),
    "a derivative": (SLOPE, [*VECTOR, "v2 = T.sum(T.tanh(v0))", "v3 = weft.grad(v2, v0)"], ["v3"], [], "Kinks"),
}  # fmt: skip
WITH_NAN = next(s for s in range(99) if np.isnan(not_finite(np.ones(3), np.random.default_rng(s))).any())
SCRIPT = """
import weft, fuzz_text, fuzz_program as f
weft.config.verify = weft.config.reuse = False
lines = {0}
p = f.Program({4}, lines, [x.partition(" = ")[0] for x in lines if "= T.tensor" in x], {1}, {2})
p.slopes = [f.Slope("v2", "v0", "v3", None)] if {3} else []
p.run()
print(fuzz_text.shown(p))
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_with_a_fault(name, tmp_path, monkeypatch):
    fault, lines, outputs, updates, part = PROGRAMS[name]
    script = SCRIPT.format(lines, outputs, updates, name == "a derivative", WITH_NAN)
    done = process(["-c", script], fault, tmp_path, monkeypatch)
    assert part in done.stdout, done.stdout + done.stderr
    is_shown("\n" + done.stdout, tmp_path)


# Grown and shrunk: seeds of programs that meet the fault.
SEEDS = {"a value wrong by 1e-9": (TANH, 61), "other bits with 3 threads": (HASTY, 34), "a missing check": (CHECK, 5)}


@pytest.mark.parametrize("name", SEEDS)
def test_what_the_command_prints(name, tmp_path, monkeypatch):
    fault, seed = SEEDS[name]
    script = [str(TESTS / "fuzz_programs.py"), "--seed", str(seed), "--count", "1", "--any-coverage"]
    done = process(script, fault, tmp_path, monkeypatch)
    assert done.returncode == 1 and "1 programs differ" in done.stdout, done.stdout + done.stderr
    printed = done.stdout[done.stdout.index(", shrunk:") :]
    is_shown(printed[: printed.index("\nop: ")], tmp_path)


def test_a_text_that_does_not_fail_says_so(monkeypatch):
    """A fault of this process only is none in another."""
    monkeypatch.setattr("fuzz_calls.other_calls", lambda *args: 1 / 0)
    said = shown(Grower(3).grow())
    assert NOT_SHOWN in said and "# ZeroDivisionError" in said and not shows(said)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "complex64", "complex128", "uint64"])
@pytest.mark.parametrize(
    "layout", ["as it is", "columns", "backwards", "every other", "one number", "nothing", "many", "ones"]
)
def test_arrays_as_text(dtype, layout):
    """To the bit, and as they lie in memory."""
    a = np.array([[0.1, -0.0, 1 / 3], [np.inf, np.nan, -np.inf]])
    if dtype == "uint64":
        a = np.array([[2**64 - 1, 0, 5]], dtype)
    elif dtype[0] == "c":
        a = a.astype(dtype)
        a.imag = a.real[:, ::-1]
        a[0, 0] = complex(-0.0, 0.0)
    a = a.astype(numpy_dtype(dtype))
    a = np.repeat(a, 300, axis=1) if layout == "many" else np.ones_like(a, shape=(4, 5)) if layout == "ones" else a
    views = {"columns": np.asfortranarray(a), "backwards": a[::-1, ::-1], "every other": a[:, ::2], "nothing": a[:, :0]}
    a = np.asarray(a[0, 1] if layout == "one number" else views.get(layout, a))
    made = eval(literal(a), fresh_scope())
    assert made.dtype == a.dtype and same_bits(made, a)
    assert made.strides == a.strides or a.flags.c_contiguous


@pytest.mark.parametrize("scene", [*fuzz_text.SCENES, "slopes"])
@pytest.mark.parametrize("result", [0, 1, None])
def test_every_text_passes_where_nothing_is_wrong(scene, result, monkeypatch):
    """Each by its own way to the same results: an output and a state, to a unit or two, or just their types."""
    for module in (c_kernel, c_stages):
        monkeypatch.setattr(module, "CHUNK", module.CHUNK)
    for name in ("verify", "reuse"):
        monkeypatch.setattr(weft.config, name, getattr(weft.config, name))
    p = Program(WITH_NAN, [*VECTOR, *STATE, "v2 = T.tanh(v0 * v1)", "v3 = T.sum(v2)", "v4 = weft.grad(v3, v0)"])
    p.lines += ["v5 = v1 * v2 + 1"]
    p.inputs, p.outputs, p.updates, p.slopes = ["v0"], ["v4"], [("v1", "v5")], [Slope("v3", "v0", "v4", None)]
    p.run()
    args = [np.array([0.5, -0.0])] if scene == "fails" else [np.array([0.5, -0.0, 2.0])[::-1]]
    more = {"called": 3, "fails": (p, args, 3), "elsewhere": [(way, [kind]) for way in WAYS for kind in LAYOUTS]}
    place = None if result is None else Place(result, (1,), 1e-15, sign=scene == "rewritten" and result == 0)
    if scene == "slopes":
        place = Place(0, (), 1e-6)
    made = fuzz_text.text(p, Call(scene, args, more.get(scene)), place)
    if scene == "after an error":  # there is none here
        made = made.replace("called(f, args)  # fails", "")
    try:
        with np.errstate(all="ignore"):
            exec(compile(made, "shown.py", "exec"), {"print": lambda *a, **k: None})
    finally:
        weft.set_threads(0)

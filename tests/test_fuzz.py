"""Random programs (fuzz_programs.py), compiled against interpreted; seeds are fixed, so each run is the same."""

from __future__ import annotations

from itertools import islice

import fuzz_programs
import fuzz_report
import numpy as np
import pytest
from fuzz_check import Difference, Group, Report, broken, slopes
from fuzz_criterion import SEEDS, Runs, judge, plain, unit
from fuzz_grower import Grower
from fuzz_makers_rules import ALL
from fuzz_memory import overlaps, places
from fuzz_program import Lowered, Program, Slope

import weft
import weft.tensor as T
from weft.compiler.ir import lengths
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.pattern import parse
from weft.runtime import pool
from weft.runtime.errors import ShapeError


@pytest.fixture(autouse=True)
def verified(monkeypatch):
    monkeypatch.setattr(weft.config, "verify", True)
    monkeypatch.setattr(weft.config, "reuse", False)  # planted faults are no entries


@pytest.mark.parametrize(("first", "grad"), [(0, False), (12, False), (0, True)])
def test_random_programs(first, grad):
    """Compiled against interpreted, one thread against three, derivatives against differences; in a child process."""
    report = fuzz_programs.in_child(range(first, first + (8 if grad else 12)), grad)
    assert not report.failures, "\n\n".join(report.failures)
    assert report.programs >= 6 and report.undecided <= 2


@pytest.mark.slow
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("first", range(1000, 1320, 16))
def test_many(first, grad):
    report = fuzz_programs.in_child(range(first, first + 16), grad)
    assert not report.failures, "\n\n".join(report.failures)


def test_programs_are_repeatable_and_can_be_pasted():
    for seed in range(3):
        p, q = Grower(seed).grow(), Grower(seed).grow()
        assert p.text() == q.text()
        exec(p.text(), {"print": lambda *a, **k: None})


def test_what_counts_as_a_difference():
    want = np.array([1.0, np.nan, np.inf])
    close = want * (1 + 2.0**-52)

    def never():
        raise AssertionError("equal results need no perturbed runs")

    assert judge(close, want, never).state == "equal"
    far = want * (1 + 2.0**-40)
    runs = [np.array([1 + s * 2.0**-41, np.nan, np.inf]) for s in (-1, 1)]
    assert judge(far, want, lambda: [want, want]).state == "differs"
    assert judge(far, want, lambda: runs).state == "equal"  # twice the spread
    assert judge(want * (1 + 2.0**-38), want, lambda: runs).state == "differs"
    assert judge(np.float32(want), want, never).state == "differs"
    assert judge(want[:2], want, lambda: [want]).state == "differs"
    assert judge(want[:2], want, lambda: [want[:1]]).state == "undecided"
    one, two = np.array([1, 3]), np.array([1, 2])
    assert judge(one, two, lambda: [two]).state == "differs"
    assert judge(one, two, lambda: [two, one]).state == "undecided"
    assert judge(np.array([3.0]), np.array([1.0]), lambda: [np.array([5.0]), np.array([1.0])]).state == "undecided"
    for other in (np.array([1.0, np.nan, -np.inf]), np.array([1.0, np.nan, np.nan]), np.array([1.0, np.inf, np.inf])):
        assert judge(other, want, lambda: [want, want]).state == "differs"  # another NaN, another infinity
        assert judge(other, want, lambda other=other: [want, other]).state == "undecided"
    assert judge(np.array([1.0, 2.0, np.inf]), want, lambda: [want]).state == "undecided"  # made finite


@pytest.mark.parametrize(
    ("dtype", "text", "ulps"),
    [("float32", "x + y", 1), ("float64", "x / y", 1), ("float32", "T.exp(x)", 2), ("float64", "T.sigmoid(x)", 4),
     ("float16", "x * y", 1), ("float32", "x.astype('float64')", 0), ("float64", "abs(x)", 0), ("float32", "-x", 0),
     ("float64", "x * 0.5", 0), ("float32", "T.maximum(x, y)", 0)],
)  # fmt: skip
def test_values_are_moved_by_what_their_operation_may_err(dtype, text, ulps):
    """Exact operations, and exact results of inexact ones, are not moved."""
    x, y = T.TensorType(dtype, (False,))("x"), T.TensorType(dtype, (False,))("y")
    lowered = Lowered([x, y], [eval(text, {"T": T, "x": x, "y": y})])
    rng = np.random.default_rng(0)
    args = lowered.arguments([rng.uniform(0.1, 0.9, 999).astype(dtype) for _ in "xy"])
    (want,) = evaluate(lowered.region, args)
    steps = [np.abs(plain(r[0]) - plain(want)) / unit(want) for r in islice(Runs(lowered.region, args), SEEDS)]
    assert max(s.max() for s in steps) == ulps
    exact = [np.arange(8).astype(dtype), np.ones(8, dtype)]
    if text in ("x + y", "x / y", "x * y"):
        results = list(islice(Runs(lowered.region, lowered.arguments(exact)), SEEDS))
        assert all((r[0] == results[0][0]).all() for r in results)


def test_sums_are_moved_from_what_they_are_exactly():
    """NumPy adds rows one after the other: about its errors a better sum differed."""
    x = T.dmatrix("x")
    lowered = Lowered([x], [T.sum(x, axis=0), T.sum(x * 1j, axis=0), T.cumsum(x, axis=0)[-1], T.var(x, axis=0)])
    args = lowered.arguments([np.full((20000, 3), 100.1)])
    plain_ = evaluate(lowered.region, args)[0]
    want, one = np.sum(args[0].astype(np.longdouble), axis=0), unit(plain_)
    assert (np.abs(plain_ - want) > 400 * one).all()
    for total, parts, running, deviations in islice(Runs(lowered.region, args), SEEDS):
        assert (np.abs(total - want) < 50 * one).all() and (np.abs(parts.imag - want) < 50 * one).all()
        assert (np.abs(running - want) < 200 * one).all() and (np.abs(deviations) < 1e-22).all()


def test_results_that_follow_from_a_wavering_comparison_are_undecided():
    """The gradient of a minimum of numbers that are equal but for rounding: which of them hold it is chance, and none
    of ten runs need find the compiled program's choice. Other outputs of the program are judged as ever."""
    x = T.dvector("x")
    same = x / 3.0 * 0.7 / 0.7 * 3.0
    looped, _ = weft.scan(lambda v: T.gt(v, 1.0) * v, sequences=same)
    lowered = Lowered([x], [weft.grad(T.min(same), x), T.exp(x), looped, T.gt(x, 0.5) * T.exp(x)])
    runs = Runs(lowered.region, lowered.arguments([np.full(40, 1.0)]))
    assert len(list(islice(runs, SEEDS))) == SEEDS
    assert {n.op for n in runs.wavering(0)} == {"eq"} and {n.op for n in runs.wavering(2)} == {"gt"}
    assert not runs.wavering(1) and not runs.wavering(3)


def test_another_dtype_is_wrong_whatever_comparisons_say():
    """Nothing had been run that could say whether comparisons waver: the command failed on its own."""
    lines = ["w0 = np.ones(5)", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    lines += ["v1 = T.exp(v0 / 3.0)", "v2 = T.min(v0 / 3.0 * 0.7 / 0.7 * 3.0)", "v3 = weft.grad(v2, v0)"]
    p = written(lines, ["v1", "v3"])
    group = Group([p])
    for got in (np.zeros(5, "f"), np.zeros((5, 1))):
        assert group.second_look(p, "v3", False, got, np.zeros(5)).state == "differs"
    assert group.second_look(p, "v1", False, np.zeros(5), np.ones(5)).state == "differs"
    assert group.second_look(p, "v3", False, np.full(5, 7.0), np.ones(5)).state == "undecided"
    for got in (np.zeros(5, "f"), np.zeros((5, 1))):  # now that there are runs, too
        assert group.second_look(p, "v3", False, got, np.zeros(5)).state == "differs"


def planted(seeds, grad=False):
    """What the programs say of a fault in the compiler; in a child process, which it may stop."""
    weft.config.verify = False
    return fuzz_programs.in_child(seeds, grad, shrinking=False).failures


def test_a_wrong_rule_is_found(monkeypatch):
    from weft.compiler.simplify.algebra import algebra

    rule = next(r for r in algebra.rules if r.name == "neg-sub")
    monkeypatch.setattr(rule, "replacement", parse("sub(x, y)"))
    seed = next(s for s in range(1000) if ALL[s % len(ALL)] is rule)
    assert planted([seed, seed + len(ALL), seed + 2 * len(ALL), seed + 3 * len(ALL)])


def test_a_wrong_derivative_is_found(monkeypatch):
    from weft.compiler.grad import rules_elementwise as rules

    monkeypatch.setitem(rules.ROWS, "tanh", (lambda g, x, y: g * (1 + y * y),))
    with pytest.raises(Difference, match="differences say"):
        for seed in range(60):
            slopes(Grower(seed, smooth=True).grow(), Report())


# What is none: ties whose elements move together, and a second call that fails in both modes.


def written(lines, outputs=(), updates=(), slopes=()):
    """A program of these lines."""
    inputs = [line.partition(" = ")[0] for line in lines if "= T.tensor" in line]
    p = Program(0, list(lines), inputs, list(outputs), list(updates), slopes=list(slopes))
    p.run()
    return p


def of_maximum(text, rop=False):
    """A cost and its derivative at a place where elements are equal."""
    lines = ["w0 = np.array([1.0, 3.0, 3.0, -2.0])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    if rop:
        lines += ["w1 = np.array([1.0, 0.5, 2.0, 1.0])", "v1 = T.tensor('float64', shape=(None,), name='v1')"]
    lines += [f"v2 = {text}", "v3 = T.Rop(v2, v0, v1)" if rop else "v3 = weft.grad(T.sum(v2), v0)", "v4 = T.sum(v2)"]
    return written(lines, ["v3"], slopes=[Slope("v2" if rop else "v4", "v0", "v3", "v1" if rop else None)])


TIES = [
    "T.exp(T.max(T.stack([v0, v0, v0 * 1]), axis=0))",
    "T.min(T.stack([v0, -v0, v0]), axis=0) * v0",
    "T.max(v0) * 2",
    "T.max_and_argmax(T.stack([v0, v0]), axis=0)[0]",
    "weft.scan(lambda x, c: c + T.max(T.stack([x, x * 1, x * 0]), axis=0), sequences=v0, outputs_info=T.sum(v0))[0]",
    "T.nnet.softmax(T.stack([v0, v0, v0[::-1]]), axis=0)",
    "T.maximum(v0, v0 * 1)",
    "T.maximum(v0 - 3, 0) + T.minimum(v0, 3) * 0.5",
    "abs(v0 - 3) + v0",
    "T.sort(T.stack([v0, v0 * 1, v0[::-1]]), axis=0) * v0",
    "T.sqr(T.sort(T.stack([v0, 2 * v0 - 3, 0.5 * v0 + 1.5, v0]), axis=0)[1])",  # the middle ones: no kink to be seen
]


@pytest.mark.parametrize("rop", [False, True])
@pytest.mark.parametrize("text", TIES)
def test_derivatives_of_equal_elements(text, rop):
    """Every place of a maximum has the whole derivative (semantics.md): no failure, and no kink that is passed over."""
    report = Report()
    slopes(of_maximum(text, rop), report)
    assert (report.slopes, report.rough) == (1, 0)


FAULTS = {
    "none": lambda g, x, axes: g * 0,
    "negated": lambda g, x, axes: -g,
    "divided": lambda g, x, axes: g / T.sum(
        T.cast(T.eq(x, T.max(x, axis=axes, keepdims=True)), "float64"), axis=axes, keepdims=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", TIES[:5])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_derivative_of_a_maximum_is_found(text, fault, monkeypatch):
    """Also one that is wrong only where elements are equal."""
    from weft.compiler.grad.table import PULLBACK

    for op in ("max", "min", "max_and_argmax"):

        def wrong(node, grads, true=PULLBACK[op], sign=-1 if op == "min" else 1):
            (g,) = true(node, grads)
            return [g and FAULTS[fault](g, sign * node.inputs[0], tuple(node.op.attr("axes")))]

        monkeypatch.setitem(PULLBACK, op, wrong)
    with pytest.raises(Difference, match="differences say"):
        slopes(of_maximum(text), Report())


def test_a_wrong_derivative_of_a_maximum_is_found_in_random_programs(monkeypatch):
    from weft.compiler.grad.table import PULLBACK

    true = PULLBACK["max"]
    monkeypatch.setitem(PULLBACK, "max", lambda node, grads: [g and g * 2 for g in true(node, grads)])
    with pytest.raises(Difference, match="differences say"):
        for seed in range(100):
            slopes(Grower(seed, smooth=True).grow(), Report())


@pytest.mark.parametrize("at", [3.0, 33.5])
@pytest.mark.parametrize("wrong", [False, True])
def test_differences_of_what_rounding_decides_say_nothing(at, wrong):
    """1 - sigmoid(33.5) is a few units of the last place of 1."""
    lines = [f"w0 = np.array([{at}])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    lines += ["v1 = T.sum(T.log(1 - T.sigmoid(v0)))", "v2 = weft.grad(v1, v0)" + " * 2" * wrong]
    p, report = written(lines, ["v2"], slopes=[Slope("v1", "v0", "v2", None)]), Report()
    if wrong and at == 3.0:
        with pytest.raises(Difference, match="differences say"):
            slopes(p, report)
    else:
        slopes(p, report)
        assert report.rough == (at == 33.5)


def test_a_condition_that_jumps_to_an_error_says_nothing():
    lines = ["w0 = np.array([0.5, 0.5])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    lines += ["v1 = ifelse(T.sum(v0) > 1, v0[:1], T.exp(v0))[1]", "v2 = weft.grad(v1, v0)"]
    slopes(written(lines, ["v2"], slopes=[Slope("v1", "v0", "v2", None)]), report := Report())
    assert report.rough == report.slopes == 1


SECOND = [
    "w0 = np.array([0.25])", "v0 = T.tensor('float64', shape=(None,), name='v0')",
    "w1 = np.array([0.25, 0.25])", "v1 = weft.shared(w1, 'v1')",
    "v2 = v1 - ifelse(T.sum(v1) > 0, v1, v0)",  # zeros, then of other lengths
    "w3 = np.array([1.0, 2.0])", "v3 = weft.shared(w3, 'v3')", "v4 = v3 * 2",
]  # fmt: skip


def second_programs():
    """One whose second call fails, and one whose second call does not."""
    first = written(SECOND[:5], [], [("v1", "v2")])
    return [first, written(SECOND[5:], [], [("v3", "v4")])]


def test_a_second_call_that_fails_in_both_modes():
    programs = second_programs()
    report = Report()
    Group(programs).compare(report)
    assert report.faults == 1 and report.outputs == 4
    for p, state in zip(programs, (p.updates[0][0] for p in programs), strict=True):
        np.testing.assert_array_equal(p.scope[state].get_value(), p.scope["w" + state[1:]])


def test_a_second_call_that_breaks_two_obligations():
    """Either may be reported, whichever the interpreter comes to first; nothing else may."""
    lines = ["w0 = np.ones(6)", "v0 = weft.shared(w0, 'v0')", "w1 = np.zeros(6)", "v1 = weft.shared(w1, 'v1')"]
    lines += ["v2 = T.nonzero(v0)[0]", "v3 = v2.reshape((2, 3))", "v4 = v2 + T.nonzero(v1 + 1)[0]"]
    lines += ["v5 = v1 + T.arange(6) % 2"]
    p = written(lines, ["v3", "v4"], [("v0", "v5")])
    group = Group([p])
    true = group.function

    class Other:
        """Reports the given one."""

        def __init__(self, which):
            self.storages, self.calls, self.which = true.storages, 0, which

        def __call__(self, *args):
            self.calls += 1
            if self.calls != 3:
                return true(*args)
            raise [*broken(p), ShapeError("of something else")][self.which]

    for which in (0, 1):
        group.function = Other(which)
        group.compare(report := Report())
        assert report.faults == 1
    group.function = Other(-1)
    with pytest.raises(Difference, match="of something else"):
        group.compare(Report())


def test_a_second_call_that_fails_in_one_mode_is_found(monkeypatch):
    """Compiled only; in both, but otherwise; interpreted only."""
    group = Group(second_programs())
    true = group.function
    monkeypatch.setattr(Lowered, "__call__", lambda self, args: [])
    with pytest.raises(Difference, match=r"the second call: compiled: ShapeError.*interpreted: nothing"):
        group.compare(Report())

    def other(self, args):
        raise ShapeError("of something else")

    monkeypatch.setattr(Lowered, "__call__", other)
    monkeypatch.setattr(fuzz_report, "_each", lambda r, args: [])
    with pytest.raises(Difference, match="of something else"):
        group.compare(Report())

    class Patient:
        storages, calls = true.storages, 0

        def __call__(self, *args):
            self.calls += 1
            return true(*args) if self.calls < 3 else []

    group.function = Patient()
    with pytest.raises(ShapeError, match="differ"):
        group.compare(Report())


def test_a_wrong_index_map_is_found(monkeypatch):
    from weft.compiler.lower import elements

    true = elements.walk_spec
    monkeypatch.setattr(
        elements, "walk_spec", lambda *a: [(f if s > 0 else lengths.const(0), n, s, c) for f, n, s, c in true(*a)]
    )
    seeds = [s for s in range(80) if "::-" in Grower(s).grow().text()][:8]
    assert planted(seeds)


def test_a_missing_check_is_found(monkeypatch):
    from weft.compiler.codegen.host import HostPrinter

    monkeypatch.setattr(HostPrinter, "check", lambda *args: None)
    assert any(planted(range(k, k + 6)) for k in range(0, 36, 6))


def test_loops_of_small_programs_are_divided_among_threads():
    """They are not worth it, so with the grain that there is all numbers of threads did the same."""
    lines = ["w0 = np.arange(7.0)", "v0 = T.tensor('float64', shape=(None,), name='v0')", "v1 = T.exp(v0)"]
    group = Group([written(lines, ["v1"])])
    group.compare(report := Report())
    assert report.coverage["fusion loop on several threads"] > 0
    true, counts = group.function, []

    class Hasty:
        """Loses the last element where the work is divided."""

        storages = true.storages

        def __call__(self, *args):
            true.threads = self.threads
            before = pool.counts()["loops"]
            (out,) = true(*args)
            counts.append(pool.counts()["loops"] - before)
            return [np.append(out[:-1], 0.0) if counts[-1] else out]

    group.function = Hasty()
    with pytest.raises(Difference, match="other bits with 3 threads than with 1"):
        group.compare(Report())
    assert counts[0] == 0 < counts[1]


def test_a_dropped_update_is_found(monkeypatch):
    from weft.compiler.schedule import program

    true = program.build_program

    def without(source, inputs, results, updates, *rest):
        made = true(source, inputs, results, updates, *rest)
        for b in made.buffers:
            if b.place == "spare":
                b.place, b.index = "output", made.results
        return made

    monkeypatch.setattr("weft.compiler.schedule.program.build_program", without)
    seeds = [s for s in range(80) if Grower(s).grow().updates][:4]
    assert planted(seeds)


def test_memory_that_is_used_again_too_early_is_found(monkeypatch):
    """Read off the program, whatever values lie there."""
    from weft.compiler.schedule import program

    x, y = T.dmatrices("x", "y")
    outs = [T.dot(T.dot(T.dot(T.dot(x, y), x), y), x), T.dot(T.dot(y, x), x)]
    text = weft.function([x, y], outs).stages.generated.units
    text = "\n".join(t for _, t in text)
    assert len(places(text)) > len(set(places(text).values())) > 1 and not overlaps(text)
    true = program.plan_memory

    def shorter(buffers, *rest):
        for b in buffers:
            b.end -= 1
        return true(buffers, *rest)

    monkeypatch.setattr(program, "plan_memory", shorter)
    f = weft.function([x, y], outs)
    text = "\n".join(t for _, t in f.stages.generated.units)
    assert overlaps(text)
    assert any("both lie at arena" in str(d) for d in planted(range(9, 12)))


# What random programs found.


def compare(ins, outs, *args):
    got, want = (weft.function(ins, outs, mode=m, on_unused_input="ignore")(*args) for m in ("compile", "interpret"))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("n", [0, 3])
def test_division_by_a_length_that_may_be_zero(n):
    """C stops the process at a division by zero, also on the host; x // 0 and x % 0 are 0."""
    x, y = T.fvector("x"), T.fvector("y")
    m, k = x.shape[0], y.shape[0]
    outs = [k // m, k % m, T.arange(5) // m, T.arange(5) % m, T.alloc(1.0, k // m), y[: k % m]]
    compare([x, y], outs, np.ones(n, "f"), np.ones(7, "f"))


def test_reductions_over_some_and_over_all_loops_of_a_kernel():
    """Joined loops of one reduction were not in scope in the other."""
    x, y = T.dmatrix("x"), T.tensor("float64", (False, True, True), "y")
    square = x.reshape((3, 3))
    outs = [T.max(square) * 0.5 + T.sum(T.maximum(y, square))]
    compare([x, y], outs, np.arange(9.0).reshape(3, 3), np.arange(2.0).reshape(2, 1, 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_maximum_and_its_place_of_a_view(dtype):
    """Rules for any reduction asked for the dtype of a tuple."""
    x = T.tensor(dtype, (False, False), "x")
    outs = [*T.max_and_argmax(x.T, axis=1), *T.max_and_argmax(T.alloc(x, 2, x.shape[0], x.shape[1]), axis=0)]
    compare([x], outs, np.arange(6).reshape(2, 3)[:, ::-1].astype(dtype))


def test_an_update_in_place_beside_a_function_with_hard_arguments_in_rows():
    """The first of two runs over a strip read the column, which only the loop inside it has."""
    x = T.tensor("float64", shape=(None, None, 1), name="x")
    start = np.arange(24.0).reshape(2, 4, 3) - 5
    found = []
    for mode in ("compile", "interpret"):
        s = weft.shared(start)
        f = weft.function([x], T.arctan2(s, abs(x) + 0.25), updates=[(s, s * 2)], mode=mode)
        found.append([f(np.full((2, 4, 1), 0.5)), s.get_value()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b)


def test_an_empty_result_whose_lengths_only_running_tells():
    """Its size is known when the call starts, its lengths are not: they were read before they were there."""
    from weft.ifelse import ifelse

    v = T.lvector("v")
    n = T.max(v) + 2
    outs = [(T.zeros((n, 2)) + 1.0)[:1:-1, 0:3:-1], ifelse(T.sum(v) > 2, T.zeros((n, 0)), T.zeros((n + 1, 0)))]
    found = []
    for mode in ("compile", "interpret"):
        s = weft.shared(np.zeros((3, 0)))
        f = weft.function([v], outs, updates=[(s, T.zeros((n, 0)))], mode=mode)
        found.append([r.shape for k in (2, 3) for r in (*f(np.arange(k)), s.get_value())])
    assert found[0] == found[1]


def test_a_branch_with_a_length_from_a_place_of_a_maximum():
    """The operation that gives the length has a tuple as its value."""
    from weft.ifelse import ifelse

    x = T.dvector("x")
    part = x[: T.max_and_argmax(x)[1]]
    compare([x], [ifelse(T.sum(x) > 0, part * 0.5, T.exp(part))], np.array([0.5, 1, 4, 2]))


def test_a_branch_that_gives_a_sparse_matrix():
    """Compiled, its parts were looked for where no buffer held them."""
    import weft.sparse as S
    from weft.ifelse import ifelse

    scipy_sparse = pytest.importorskip("scipy.sparse")
    s, x = S.csr_matrix("s", dtype="float64"), T.dmatrix("x")
    either = ifelse(T.sum(x) > 0, s, S.structured_sqr(s))
    outs = [S.dense_from_sparse(either), S.structured_dot(either, x), T.grad(T.sum(S.structured_dot(either, x)), x)]
    for sign in (1.0, -1.0):
        compare([s, x], outs, scipy_sparse.csr_matrix(np.diag([2.0, 3.0, 0.0])[:2]), sign * np.ones((3, 2)))


def test_a_product_of_run_time_lengths_that_a_kernel_follows():
    """Its memory was named by the kernel that follows before it was there."""
    from weft.ifelse import ifelse

    x, y = T.dmatrices("x", "y")
    rows = ifelse(T.sum(x) > 1, x, T.exp(x))[T.nonzero(x[:, 0] > 0)[0]]
    product = T.dot(rows, y)
    compare([x, y], [product, T.tanh(product) * 2, T.dot(product + 1, y)], np.ones((3, 3)) - 0.5, np.eye(3))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_every_part_of_a_quotient_of_negated_complex_numbers_is_rounded(dtype):
    """gcc made a difference of the sum with a part whose sign had changed, and left out the rounding of a product."""
    rng = np.random.default_rng(0)
    x, y = T.TensorType(dtype, (False,))("x"), T.TensorType(dtype, (False,))("y")
    a, b = ((rng.normal(size=300) + 1j * rng.normal(size=300)).astype(dtype) for _ in "xy")

    def quotient(a, b):  # by Smith, as weft_truediv
        wide = abs(b.real) >= abs(b.imag)
        t = np.where(wide, b.imag / b.real, b.real / b.imag)
        s = 1 / np.where(wide, b.real + b.imag * t, b.imag + b.real * t)
        re = np.where(wide, a.real + a.imag * t, a.real * t + a.imag) * s
        return re + 1j * (np.where(wide, a.imag - a.real * t, a.imag * t - a.real) * s)

    cases = [(-x / y, -a, b), (-x / T.conj(y), -a, b.conj()), (T.conj(x) / y, a.conj(), b), (x / -y, a, -b)]
    for out, top, bottom in cases:
        f = weft.function([x, y], out)
        want = quotient(top, bottom)
        np.testing.assert_array_equal(f(a, b), want)
        for k in range(0, 300, 3):  # not in vectors
            np.testing.assert_array_equal(f(a[k : k + 3], b[k : k + 3]), want[k : k + 3])


def test_a_python_operation_of_which_only_a_length_is_read(monkeypatch):
    """It was not among those that a program calls. With and without the cache, which two may share."""
    from weft.compile.ops import as_op

    x = T.lvector("x")
    for reuse in (False, True, True):
        monkeypatch.setattr(weft.config, "reuse", reuse)
        monkeypatch.setattr(weft.config, "verify", not reuse)
        for step in (2, 3):
            v = as_op([x.type], [x.type])(lambda a, step=step: a[::step].copy())(x)
            w = as_op([x.type], [x.type])(lambda a, step=step: a[step:].copy())(x)
            compare([x], [T.arange(v.shape[0]), T.ones(w.shape[0])], np.arange(7))
            compare([x], [T.arange(v.shape[0]), T.ones(v.shape[0])], np.arange(7))
            compare([x], [T.arange(v.shape[0]), T.ones(w.shape[0]) + w], np.arange(7))


@pytest.mark.parametrize(
    "text", ["p * (x - p / p)", "p * (p / p - x)", "p * (q * (p / p) - x)", "p * (q - x * (p / p))"]
)
def test_a_quotient_by_itself_in_a_product_makes_no_cancellation(text):
    """p * (x - p / p) became p * x - p."""
    x, p, q = T.dvectors("x", "p", "q")
    rng = np.random.default_rng(0)
    near, some = 1 - 2.0**-20 * rng.random(99), rng.random(99) + 0.5
    out = eval(text)
    got, want = (weft.function([x, p, q], out, mode=m, on_unused_input="ignore")(near, some, np.ones(99))
                 for m in ("compile", "interpret"))  # fmt: skip
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_what_is_left_of_rows_of_a_constant_length():
    """gcc read the last elements a row further on."""
    m = np.random.default_rng(51).integers(-4, 5, (4, 33)) / 8
    x = T.dmatrix("x")
    s = T.nnet.softmax(T.dot(x, m))
    g = weft.grad(T.mean(T.sqr(s)), x)
    compare([x], [s, weft.grad(T.sum(g * g), x)], np.random.default_rng(0).normal(size=(4, 4)))


def test_a_condition_that_a_length_rests_on():
    v = T.tensor("uint16", shape=(None,), name="v")
    c = T.alloc(2.0, T.nonzero(v > 1)[0].shape[0]) * 1.5
    compare([v], [T.dot(c, c)], np.array([0, 2, 3], np.uint16))


def test_places_of_maxima_beside_variances():
    x = T.dmatrix("x")
    p = T.max_and_argmax(x, axis=1)[1]
    outs = [T.sqrt(T.var(x[:, 0]) + 0.25), T.var(p, keepdims=True)]
    compare([x], outs, np.arange(12.0).reshape(3, 4) % 5)

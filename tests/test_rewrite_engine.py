"""The engine: the language of rules, fixed points, nested regions, obligations, origins, linear time."""

from __future__ import annotations

import time

import ir_samples as ir
import numpy as np
import pytest
from rewrite_samples import M_, N_, PARAMS, closed, node

from weft.compiler.ir import lengths
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Check, build, constant, region
from weft.compiler.ir.origins import Lines, Origins
from weft.compiler.ir.pattern import Bindings, matcher, may_match, parse, uniform
from weft.compiler.ir.rewrite import Pass, Rule, Stats, apply, assume, weigh
from weft.compiler.ir.verify import verify
from weft.compiler.simplify import PASSES, simplify
from weft.runtime.errors import InternalError

X, Y, S = PARAMS["x"], PARAMS["y"], PARAMS["s"]
COUNT = weigh(lambda n: 1)
(ALGEBRA,) = (p for p in PASSES if p.name == "algebra")


def only(*rules):
    return Pass("test", rules, COUNT)


def out(r):
    return r.outputs[0]


# ---- patterns -------------------------------------------------------------------------------------------------------


def matches(pattern, text):
    found: list[Bindings] = []
    matcher(parse(pattern))(node(text), lambda b, *_: found.append(b), None)
    return found


def test_commutative_operations_match_in_either_order():
    assert matches("add(x, neg(y))", "add(neg(y), x)") == [{"x": X, "y": Y}]
    assert not matches("sub(x, neg(y))", "sub(neg(y), x)")


def test_repeated_names_match_one_node():
    assert matches("sub(x, x)", "sub(x, x)") and not matches("sub(x, x)", "sub(x, y)")
    assert matches("mul(x, add(x, y))", "mul(add(y, x), x)") == [{"x": X, "y": Y}]


def test_families_rests_and_attributes():
    assert matches("elementwise(*xs)", "add(x, y)") == [{"xs": (X, Y)}]
    assert matches("reduce(x; axes=a)", "max(x; axes=(1,))") == [{"x": X, "a": (1,)}]
    assert matches("sum(x; axes=(1,))", "sum(x; axes=(1,))") and not matches("sum(x; axes=(0,))", "sum(x; axes=(1,))")


def test_numbers_match_uniform_constants():
    full = build("alloc", build("cast", constant(2, "int8"), dtype="float64"), N_, M_)
    assert uniform(full) == 2.0 and uniform(build("dimshuffle", full, order=(1, "x", 0))) == 2.0
    assert uniform(constant([2.0, 3.0], "float64")) is None and uniform(X) is None
    assert uniform(constant([0.0, -0.0], "float64")) is None
    assert uniform(build("cast", constant(1e30, "float64"), dtype="int8")) == 127


def test_some_names_match_numbers_only():
    two = build("dimshuffle", constant(2.0, "float64"), order=("x", "x"))
    n = build("mul", two, X)
    found: list[Bindings] = []
    matcher(parse("mul(x, #c)"))(n, lambda b, *_: found.append(b), None)
    assert found == [{"x": X, "c": two}] and not matches("mul(x, #c)", "mul(x, y)")
    assert not may_match(parse("mul(x, #c)"), ("exp", "param")) and may_match(parse("mul(x, #c)"), ("const", "param"))


@pytest.mark.parametrize(
    "text", ["add(x", "add(x, y))", "nothing(x)", "add(*a, x)", "add(x; = 1)", "add(x, $)", "add(x, #)"]
)
def test_mistakes_in_rules_are_found_at_once(text):
    with pytest.raises(InternalError):
        parse(text)


def test_rules_of_anything_or_of_unknown_names_are_refused():
    with pytest.raises(InternalError):
        Rule("any", "x", "x")
    with pytest.raises(InternalError):
        Rule("unknown", "neg(x)", "y")


# ---- the engine -----------------------------------------------------------------------------------------------------


def test_replacements_are_rewritten_too():
    p = only(Rule("a", "exp(x)", "neg(neg(log(x)))"), Rule("b", "neg(neg(x))", "x"))
    assert out(apply(p, closed(node("sin(exp(x))")))) is node("sin(log(x))")


def test_operands_are_asked_once_for_each_combination():
    asked = []

    def exps(ops):
        asked.append(tuple(ops))
        return "exp" in ops

    p = only(Rule("of exp", "elementwise(*xs)", lambda b, n: node("log(x)"), operands=exps))
    assert out(apply(p, closed(node("sin(exp(x))")))) is node("log(x)")
    assert ("exp",) in asked
    asked.clear()
    assert out(apply(p, closed(node("cos(sin(exp(y)))")))) is node("cos(log(x))") and asked == [("log",)]


def test_a_lost_axis_is_stretched_again():
    p = only(Rule("zero", "mul(x, 0)", "0"), Rule("drop", "add(x, y)", "x"))
    new = out(apply(p, closed(node("mul(x, 0)"))))
    assert (new.op, new.axes) == ("alloc", (N_, M_)) and uniform(new) == 0
    assert out(apply(p, closed(node("add(row, x)")))) is node("alloc(row, n, m)")


@pytest.mark.parametrize("rule", [
    Rule("dtype", "exp(x)", 'cast(x; dtype="float32")'),
    Rule("rank", "exp(x)", "sum(x; axes=(0,))"),
], ids=lambda r: r.name)  # fmt: skip
def test_a_replacement_of_another_type_is_a_defect(rule):
    with pytest.raises(InternalError):
        apply(only(rule), closed(node("exp(x)")))


def test_a_replacement_that_loses_a_declared_length_of_one_is_a_defect():
    with pytest.raises(InternalError):
        apply(only(Rule("r", "rebroadcast(x)", "x")), closed(node("rebroadcast(x; axes=(0,))")))


@pytest.mark.parametrize("rules", [
    [Rule("there", "sin(x)", "cos(x)"), Rule("back", "cos(x)", "sin(x)")],
    [Rule("grow", "sin(x)", "sin(neg(x))")],
], ids=["cycle", "growth"])  # fmt: skip
def test_rules_without_an_end_are_found(rules):
    with pytest.raises(InternalError, match="end"):
        apply(only(*rules), closed(node("sin(x)")))


def test_checks_are_rewritten_and_stay():
    t = PARAMS["t"]
    below = build("invert", build("invert", build("lt", t, t)))
    r = region(list(PARAMS.values()), [X], [Check("true", (below,), "why")])
    new = apply(only(Rule("ii", "invert(invert(x))", "x")), r)
    assert [c.operands for c in new.checks] == [(build("lt", t, t),)]


def test_origins_follow_replacements():
    origins, lines = Origins(), Lines()
    before = closed(node("exp(x)"))
    lines.add(node("exp(x)"), ("line 1",))
    origins.enter(before, lines)
    after = origins.of(apply(only(Rule("e", "exp(x)", "neg(log(x))")), before, origins))
    assert after[node("neg(log(x))")] == ("line 1",) == after[node("log(x)")]


def test_stats_count_visits_and_rules():
    stats = Stats()
    apply(only(Rule("nn", "neg(neg(x))", "x")), closed(node("neg(neg(x))")), stats=stats)
    assert stats.fired == {"nn": 1} and stats.visits == len(closed(node("neg(neg(x))")).nodes())


def test_contexts_are_of_each_region():
    def replacement(b, n, context):
        return b["x"] if context == 20 else None

    p = Pass("c", [Rule("e", "exp(x)", replacement)], COUNT, lambda r: len(r.params))
    assert out(apply(p, closed(node("exp(x)")))) is X


# ---- nested regions -------------------------------------------------------------------------------------------------


def loop(body, until=False):
    """A scan whose step is body(state)."""
    a = ir.vector(0)
    new = body(a)
    outs = [new, build("lt", build("sum", new, axes=(0,)), constant(9, "float64"))] if until else [new]
    step = region([a], outs)
    init, n = ir.matrix(0), ir.scalar(1)
    one = build("rebroadcast", init, axes=(0,))
    attrs = {"step": step, "sequences": 0, "taps": ((-1,),), "keep": (True,), "until": until}
    scan = build("scan", n, one, **attrs)
    return ir.closed([init, n], build("item", scan, index=0))


NEGNEG = only(Rule("nn", "neg(neg(x))", "x"))


def test_regions_of_scan_are_rewritten():
    assert apply(NEGNEG, loop(lambda a: build("neg", build("neg", build("exp", a))))) is loop(lambda a: build("exp", a))


def test_lengths_name_the_rewritten_scan():
    r = loop(lambda a: build("neg", build("neg", build("exp", a))), until=True)
    length = out(r).axes[0]
    r = region(r.params, [*r.outputs, length], r.checks)
    new = apply(NEGNEG, r)
    assert out(new).axes[0] is new.outputs[1] and new.outputs[1] is not length


def test_nesting_does_not_recurse():
    a = ir.vector(0)
    inner = region([a], [build("neg", build("neg", a))])
    condition = constant(True, "bool")
    for _ in range(2000):
        both = build("ifelse", condition, a, then=inner, orelse=inner)
        inner = region([a], [build("item", both, index=0)])
    assert apply(NEGNEG, inner) is not inner


# ---- obligations ----------------------------------------------------------------------------------------------------


def two_vectors():
    return ir.vector(0), ir.vector(1)


def test_assume_unifies_lengths_and_keeps_the_checks():
    a, b = two_vectors()
    r = ir.closed([a, b], build("add", a, build("exp", b)))
    new = assume(r)
    assert new.params[1].axes[0] is a.axes[0] and [c.operands for c in new.checks] == [c.operands for c in r.checks]
    assert not out(new).checks and assume(new) is new


def test_assume_prefers_constants():
    a, b = two_vectors()
    three = ir.param(2, "float64", 3)
    new = assume(ir.closed([a, b, three], build("add", build("add", a, b), three)))
    assert [p.type.static_shape for p in new.params] == [(3,)] * 3


def test_assume_leaves_contradictions_to_the_checks():
    a = ir.vector(0)
    three, four = ir.param(1, "float64", 3), ir.param(2, "float64", 4)
    r = ir.closed([a, three, four], build("add", a, three), build("add", a, four))
    assert [c.operands for c in assume(r).checks] == [c.operands for c in r.checks]


def test_assume_keeps_what_a_computed_length_rests_on():
    a, b = two_vectors()
    found = build("item", build("nonzero", a), index=0)
    n = found.axes[0]
    filled = build("alloc", ir.const(1.0, "float64"), n)
    r = ir.closed([a, b], build("add", build("cast", found, dtype="float64"), b), filled)
    new = assume(r)
    assert [c.operands for c in new.checks] == [c.operands for c in r.checks] and new.outputs[1].axes[0] is b.axes[0]
    assert assume(new) is new


def test_what_a_step_assumes_is_not_asked_of_a_loop_that_runs_no_step():
    a, b = ir.vector(0), ir.vector(1)
    inner = ir.closed([a, b], build("add", a, b))
    other = region([a, b], [a])
    x, y, c = ir.vector(0), ir.vector(1), ir.scalar(2, "bool")
    r = ir.closed([x, y, c], build("item", build("ifelse", c, x, y, then=inner, orelse=other), index=0))
    new = assume(r)
    assert not out(new).inputs[0].checks and len(out(new).inputs[0].attr("then").checks) == 1


# ---- all samples, and time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ir.samples(), ids=lambda s: s.name)
def test_samples_keep_their_values(sample):
    new = simplify(sample.region)
    if sample.name != "kernel":  # of another level
        verify(new)
    assert simplify(new) is new
    for have, want in zip(evaluate(new, sample.args), evaluate(sample.region, sample.args), strict=True):
        dense = [v.toarray() if hasattr(v, "toarray") else v for v in (have, want)]
        np.testing.assert_allclose(*dense, rtol=1e-6, atol=1e-7)


def chain(n):
    one = constant([[1.0]], "float64")
    x = X
    for k in range(n):
        op, *rest = (("sin",), ("neg",), ("mul", one), ("add", Y))[k % 4]
        x = build(op, x, *rest)
    return closed(x)


def test_time_is_linear_in_the_number_of_nodes():
    visits = []
    for n in (10_000, 100_000):
        stats, start = Stats(), time.process_time()
        r = apply(ALGEBRA, chain(n), stats=stats)
        visits.append(stats.visits)
    assert visits[1] <= 11 * visits[0] and time.process_time() - start < 30
    assert apply(ALGEBRA, r) is r


def test_simplify_is_linear_in_the_number_of_nodes():
    visits = []
    for n in (1_000, 10_000):
        simplify(chain(n), stats=(stats := Stats()))
        visits.append(stats.visits)
    assert visits[1] <= 11 * visits[0]


def test_a_long_chain_of_sums_of_constants_is_folded_in_linear_time():
    x, one = PARAMS["t"], lengths.const(1)
    for _ in range(5_000):
        x = build("add", x, one)
    assert out(simplify(closed(x))) is lengths.add(PARAMS["t"], lengths.const(5_000))


def test_products_of_sums_do_not_explode():
    x = PARAMS["t"]
    for _ in range(100):
        x = build("mul", build("add", x, PARAMS["t"]), x)
    stats = Stats()
    simplify(closed(x), stats=stats)
    assert stats.visits < 50_000


def test_passes_have_different_names():
    assert len({p.name for p in PASSES}) == len(PASSES)

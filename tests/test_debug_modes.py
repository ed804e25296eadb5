"""mode="nanguard" and mode="check": what they find, what they say, what they leave as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compile.nanguardmode import NanGuardMode
from weft.compiler.executors.checked import compare
from weft.compiler.graph.config import Config
from weft.compiler.graph.modes import MODES
from weft.ifelse import ifelse
from weft.tensor.shared_randomstreams import RandomStreams

x, y, m, k = T.dvector("x"), T.dvector("y"), T.dmatrix("m"), T.lscalar("k")


def caught(out: Any, *args: Any, mode: Any = "nanguard", inputs: Any = (x,)) -> str:
    f = weft.function(list(inputs), out, mode=mode)
    with pytest.raises(weft.NanError) as e:
        f(*args)
    return str(e.value)


def test_the_first_operation_is_named_with_its_line_and_its_inputs() -> None:
    z = T.log(x) - y.sum()  # here: the log
    text = caught(T.sqrt(T.exp(z)) * 2, [1.0, -4.0, 2.0], [1.0, 2.0], inputs=(x, y))
    *said, line = text.split("\n")
    assert said == [
        "log made NaN in 1 of 3 elements, the first at index (1,), of",
        "    x : float64, shape (3,), from -4.0 to 2.0",
    ]
    assert line.startswith("  at test_debug_modes.py:") and line.endswith(": z = T.log(x) - y.sum()  # here: the log")


def test_what_computed_the_inputs_is_shown() -> None:
    text = caught(1 / (T.exp(x) - 1), [1.0, 0.0])
    assert "made an infinity in 1 of 2 elements, the first (inf) at index (1,)" in text
    assert "expm1(x) : float64, shape (2,), from 0.0 to " in text or "sub(exp(x), 1.0) : float64" in text


def test_the_gradient_is_told_from_the_line_itself() -> None:
    cost = T.sqrt(x).sum()  # here: the root
    text = caught(weft.grad(cost, x), [4.0, 0.0])
    assert "\n  in the gradient of test_debug_modes.py:" in text and "# here: the root" in text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_arguments_and_shared_variables_come_first(bad: float) -> None:
    w = weft.shared(np.array([[1.0, bad]]), name="w")
    what = "NaN" if bad != bad else "an infinity"
    assert caught(T.log(x), [1.0, bad]).startswith(f"the argument x holds {what} in 1 of 2 elements")
    assert caught(T.log(x) + w.sum(), [-1.0]).startswith(f"the shared variable w holds {what} in 1 of 2 elements")
    assert "\n  declared at test_debug_modes.py:" in caught(x * 2, [bad])


def test_inside_a_loop_the_step_is_named() -> None:
    loop, _ = weft.scan(lambda v, s, y: T.log(s - v) + y[0], [x], [k.astype("float64")], [y])  # here: the loop
    text = caught(loop, [0.0, 0.0, 5.0], 3, [0.0], inputs=(x, k, y))
    assert text.startswith("log made NaN, of\n    sub(")
    assert "[t-1], x[t]) : float64 -4.9" in text
    assert "\n  in step 2, counted from 0, of the loop\n    at test_debug_modes.py:" in text


def test_loops_in_loops() -> None:
    def outer(row: Any) -> Any:
        return weft.scan(lambda v: T.sqrt(v), sequences=[row])[0]

    text = caught(weft.scan(outer, sequences=[m])[0], [[1.0, 2.0, 3.0], [4.0, -1.0, 2.0]], inputs=(m,))
    assert text.startswith("sqrt made NaN, of\n    m[t][t] : float64 -1.0\n")
    assert [int(s.split(",")[0]) for s in text.split("in step ")[1:]] == [1, 1], "the inner step, then the outer one"


def test_in_a_branch_only_where_it_is_taken() -> None:
    out = ifelse(T.gt(k, 0), T.log(x).sum(), x.sum())
    f = weft.function([x, k], out, mode="nanguard")
    assert f([-1.0], 0) == -1
    with pytest.raises(weft.NanError, match="log made NaN"):
        f([-1.0], 1)


def test_state_stays_as_it_was() -> None:
    w = weft.shared(np.ones(2), name="w")
    f = weft.function([x], (w * x).sum(), updates=[(w, T.log(w - x))], mode="nanguard")
    f([0.0, 0.5])
    kept = w.get_value()
    with pytest.raises(weft.NanError):
        f([2.0, 2.0])
    np.testing.assert_array_equal(w.get_value(), kept)


def test_a_masked_infinity_says_how_to_let_it_pass() -> None:
    out = T.switch(x > 0, T.log(x), 0)
    text = caught(out, [1.0, 0.0])
    assert "switch computes both sides" in text and "NanGuardMode(inf_is_error=False)" in text
    np.testing.assert_array_equal(weft.function([x], out, mode=NanGuardMode(inf_is_error=False))([1.0, 0.0]), [0, 0])


def test_options() -> None:
    assert "a number beyond 1e+10" in caught(T.exp(x), [30.0], mode=NanGuardMode())
    assert caught(T.exp(x), [800.0], mode=NanGuardMode(big_is_error=False)).startswith("exp made an infinity")
    for mode in ("nanguard", NanGuardMode(big_is_error=False), NanGuardMode(False, True, False)):
        assert weft.function([x], T.exp(x), mode=mode)([30.0]) > 1e10
    assert np.isnan(weft.function([x], T.log(x), mode=NanGuardMode(nan_is_error=False))([-1.0]))
    with pytest.raises(weft.ArgumentError, match="nan_is_error of NanGuardMode"):
        NanGuardMode(nan_is_error="yes")  # type: ignore[arg-type]


def test_what_rewriting_keeps_finite_and_constants_are_no_errors() -> None:
    row = x.dimshuffle("x", 0)
    f = weft.function([x], [T.log(T.nnet.softmax(row)), T.log(1 + T.exp(x))], mode="nanguard")
    np.testing.assert_allclose(f([0.0, 1000.0])[0], [[-1000.0, 0.0]])
    g = weft.function([x], T.switch(x > 0, x, -np.inf).max(), mode="nanguard")
    assert g([-1.0, 2.0]) == 2 and g([-1.0]) == -np.inf


def test_integers_halves_and_complex_numbers() -> None:
    h, z, i = T.TensorType("float16", (False,))("h"), T.zvector("z"), T.lvector("i")
    assert "made an infinity" in caught(h * h, np.array([300.0], "float16"), inputs=(h,))
    assert caught(z / (z * k), np.array([1j]), 0, inputs=(z, k)).startswith("truediv made ")
    assert weft.function([i], i // 0, mode="nanguard")([3]) == 0


# ---- check ----


def programs() -> list[Any]:
    w = weft.shared(np.linspace(-1, 1, 12).reshape(4, 3), name="w")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(m.dot(w)), T.arange(m.shape[0]) % 3).mean()
    loop, _ = weft.scan(lambda r, s: T.tanh(r + s), sequences=[m], outputs_info=[T.zeros((4,))])
    draw = RandomStreams(3).normal((5,))
    return [
        ([cost], [(w, w - 0.5 * weft.grad(cost, w))]),
        ([loop, loop[-1].argmax(), T.var(m), m.mean() - m.sum() / m.size], None),
        ([draw + m.sum(), T.sort(m, axis=1)], None),
        ([m.sum(axis=0) - m.sum(axis=0)[::-1]], None),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_is_right_passes(number: int) -> None:
    rng = np.random.default_rng(0)
    outputs, updates = programs()[number]
    f = weft.function([m], outputs, updates=updates, mode="check")
    g = weft.function([m], outputs, mode="interpret", no_default_updates=True)
    for n in (1, 7, 300):
        for scale in (1.0, 1e6):
            value = rng.standard_normal((n, 4)) * scale
            want, got = g(value), f(value)
            for a, b in zip(got, want, strict=True):
                assert a.shape == b.shape


def spoiled(f: Any, spoil: Callable[[list, Any], None]) -> Any:
    """The function with a compiled program that computes something else."""
    program = f.executor.program
    run = program.execute

    def execute(arguments: Any, storages: Any) -> Any:
        results = run(arguments, storages)
        spoil(results, storages)
        return results

    program.execute = execute
    return f


def test_a_wrong_result_is_found_and_nothing_is_kept() -> None:
    w = weft.shared(np.zeros(3), name="w")
    out = T.exp(x) + w  # here: the output

    def spoil(results: list, storages: Any) -> None:
        results[0][1] *= 1 + 1e-12

    f = spoiled(weft.function([x], out, updates=[(w, w + x)], mode="check"), spoil)
    with pytest.raises(weft.CheckError) as e:
        f([1.0, 2.0, 3.0])
    text = str(e.value)
    assert text.startswith(
        "output 0 differs from what the interpreter computes: 1 of 3 elements, the first at index (1,):"
    )
    assert "compiled 7.38905609893" in text and "interpreted 7.38905609893" in text
    assert "# here: the output" in text and isinstance(e.value, weft.InternalError)
    np.testing.assert_array_equal(w.get_value(), 0)


def test_a_wrong_update_an_integer_and_a_shape_are_found() -> None:
    w, i = weft.shared(np.zeros(3), name="w"), T.lvector("i")

    def update(results: list, storages: Any) -> None:
        storages[0].array()[2] = 1e-9

    f = spoiled(weft.function([x], [], updates=[(w, w * 0.5 + x)], mode="check"), update)
    with pytest.raises(weft.CheckError, match=r"the update of w differs .* 1 of 3 elements, the first at index \(2,\)"):
        f([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(w.get_value(), 0)

    def off_by_one(results: list, storages: Any) -> None:
        results[0][0] += 1

    with pytest.raises(weft.CheckError, match="compiled 7, interpreted 6"):
        spoiled(weft.function([i], i * 2, mode="check"), off_by_one)([3, 4])
    with pytest.raises(weft.CheckError, match=r"shape \(1,\), interpreted \(2,\)"):
        spoiled(weft.function([i], i * 2, mode="check"), lambda r, s: r.__setitem__(0, r[0][:1]))([3, 4])


def test_rounding_and_ties_are_no_differences_but_their_size_counts() -> None:
    want = np.array([1e8, 1.0])
    moved = [want + d * 1e-7 for d in (0.5, -0.5)]
    assert compare(want + [1e-7, 2e-7], want, lambda: moved) == ""
    assert compare(want + [1e-7, 1e-5], want, lambda: moved).startswith("1 of 2 elements, the first at index (1,)")
    assert compare(np.array(2), np.array(3), lambda: [np.array(3), np.array(2)]) == ""
    assert compare(np.array(2), np.array(3), lambda: [np.array(3)] * 4) != ""
    assert compare(np.array(5.0), np.array(np.nan), lambda: []) == "", "a licence makes it finite"
    assert compare(np.array(np.nan), np.array(5.0), lambda: [np.array(5.0)] * 4) != ""


def test_errors_of_the_program_stay_what_they_are() -> None:
    f = weft.function([x, y], (x + y)[k], mode="check", givens={k: T.constant(1, dtype="int64")})
    with pytest.raises(weft.ShapeError, match="3 and 2 differ"):
        f([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(weft.BoundsError):
        f([1.0], [1.0])

    def refuse(results: list, storages: Any) -> None:
        raise weft.ShapeError("1 and 1 differ")

    g = spoiled(weft.function([x], x + 1, mode="check"), refuse)
    with pytest.raises(weft.CheckError, match="failed where the interpreted one did not: 1 and 1 differ"):
        g([1.0])
    h = weft.function([x, y], x + y, mode="check")
    h.executor.program.execute = lambda arguments, storages: [np.zeros(3)]
    with pytest.raises(weft.CheckError, match="the interpreted call failed where the compiled one did not: ShapeError"):
        h([1.0, 2.0, 3.0], [1.0, 2.0])


def test_draws_are_equal_and_streams_advance_once() -> None:
    f, g = (weft.function([], RandomStreams(7).uniform((4,)), mode=mode) for mode in ("check", "compile"))
    for _ in range(3):
        np.testing.assert_array_equal(f(), g())


# ---- both ----


def test_the_modes_are_settings_and_are_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(MODES) == ["compile", "interpret", "nanguard", "check"]
    for mode in MODES:
        monkeypatch.setattr(weft.config, "mode", mode)
        f = weft.function([x], x * 2)
        assert f.mode == mode and pickle.loads(pickle.dumps(f)).mode == mode
        assert f([1.0]) == 2
        assert "mul" in f.graph or "add" in f.graph
        if MODES[mode].compiled:
            assert f.kernels and "seconds" in f.report()
        else:
            with pytest.raises(weft.ArgumentError, match=f"runs in mode '{mode}'"):
                _ = f.kernels
    with pytest.raises(weft.ArgumentError, match="mode 'fast' is not known: None, 'compile', 'interpret', 'nanguard'"):
        weft.function([x], x, mode="fast")


def test_a_guard_is_pickled_with_its_options() -> None:
    f = pickle.loads(pickle.dumps(weft.function([x], T.log(x), mode=NanGuardMode(inf_is_error=False))))
    assert f([0.0]) == -np.inf
    with pytest.raises(weft.NanError):
        f([-1.0])


@pytest.mark.parametrize("mode", ["nanguard", "check"])
def test_a_value_given_for_a_state_is_undone_with_the_call(mode: str) -> None:
    s = T.dvector("s")
    f = weft.function([x, weft.In(s, value=np.zeros(2), update=T.log(s - x), name="s")], s.sum() + x.sum(), mode=mode)
    f([-1.0, -1.0])
    kept = f["s"]
    if mode == "check":
        spoiled(f, lambda results, storages: results.__setitem__(0, results[0] + 1))
    with pytest.raises((weft.NanError, weft.CheckError)):
        f([1.0, 1.0], s=[0.0, 0.5])
    np.testing.assert_array_equal(f["s"], kept)


def test_names_of_theano() -> None:
    x = T.dvector("x")
    for name, mode in {"DebugMode": "check", "NanGuardMode": "nanguard", "FAST_RUN": "compile"}.items():
        assert weft.function([x], x * 2, mode=name).mode == mode


def test_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, value in {"1": True, "ON": True, "0": False, "no": False, "": False}.items():
        monkeypatch.setenv("WEFT_PROFILE", text)
        assert Config().profile is value
    monkeypatch.setenv("WEFT_PROFILE", "ture")
    with pytest.raises(weft.ArgumentError, match=r"the environment variable WEFT_PROFILE: .* not 'ture'"):
        Config()
    monkeypatch.delenv("WEFT_PROFILE")
    for name, mode in {"FAST_RUN": "compile", "DebugMode": "check", "nanguard": "nanguard", "": "compile"}.items():
        monkeypatch.setenv("WEFT_MODE", name)
        assert Config().mode == mode
    monkeypatch.setenv("WEFT_MODE", "fast")
    with pytest.raises(weft.ArgumentError, match=r"WEFT_MODE: weft\.config\.mode is one of .* not 'fast'"):
        Config()


@pytest.mark.parametrize("mode", ["interpret", "compile", "check"])
def test_a_product_with_zero_keeps_nan_and_infinity(mode: str) -> None:
    a, v = T.matrix(), T.vector()
    f = weft.function([a, v], [T.dot(a, v), T.dot(v, a.T), T.dot(a, v[:, None])[:, 0]], mode=mode)
    for columns in (1, 2):
        rows = np.ones((3, columns))
        rows[:2] = [[np.nan], [np.inf]]
        for got in f(rows, np.zeros(columns)):
            np.testing.assert_array_equal(got, [np.nan, np.nan, 0])


@pytest.mark.parametrize("make", [
    lambda p: T.log(1 / (1 + T.exp(-p))), lambda p: T.log(1 - 1 / (1 + T.exp(p))), lambda p: T.log(1 + T.exp(-p)),
    lambda p: T.log(T.tanh(p)), lambda p: T.log(1 - T.nnet.sigmoid(-p)),
])  # fmt: skip
def test_what_is_whole_by_rounding_is_no_difference(make: Callable[[Any], Any]) -> None:
    """1 + exp(-42) is 1, and rewriting keeps what was lost."""
    weft.function([x], make(x), mode="check")(np.array([42.0, 37.5, 19.0, 60.0]))


HOST_MODES = ("compile", "interpret", "nanguard", "check")


@pytest.mark.parametrize("mode", HOST_MODES)
def test_python_operations_set_no_variable_of_their_function(mode: str) -> None:
    s = weft.shared(np.zeros(1), "s")
    step = weft.function([], [], updates=[(s, s + 7)])

    def sets(a: Any) -> Any:
        s.set_value(a)
        return a

    def calls(a: Any) -> Any:
        step()
        return a

    def writes(a: Any) -> Any:
        s.get_value(borrow=True)[:] = 9
        return a

    as_op = weft.compile.as_op([T.dvector], [T.dvector])
    for wrong, text in ((sets, "may not set a shared variable"), (calls, "whose Python operation calls it")):
        f = weft.function([x], [as_op(wrong)(x), s * 2], updates={s: s + 1}, mode=mode)
        with pytest.raises(weft.WeftError, match=text):
            f([4.0])
        assert s.get_value() == 0
    out = weft.function([x], [as_op(writes)(x), s * 2], updates={s: s + 1}, mode=mode)([4.0])
    assert (out[1], s.get_value()) == (0, 1)
    s.set_value([3.0])  # and all is free again
    step()
    assert s.get_value() == 10


def test_a_python_operation_that_fails_in_the_runs_with_errors() -> None:
    s, done = weft.shared(np.float32([1.0]), "s"), []

    @weft.compile.as_op([T.fvector], [T.fvector])
    def third(a: Any) -> Any:
        done.append(a)
        if len(done) > 2:
            raise ValueError("third")
        return a

    v = T.fvector("v")
    total = T.sum(third(v)) * np.float32(1e-4) + 3
    f = weft.function([v], [T.exp(total) - T.exp(total - 1) * np.e], updates=[(s, s + 1)], mode="check")
    with pytest.raises(ValueError, match="third"):
        f(np.random.default_rng(3).normal(size=100).astype("float32"))
    assert s.get_value() == 1

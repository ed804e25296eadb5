"""Graphs as text, and the operation that prints."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.printing import Print, debugprint, min_informative_str, pp, pprint

MODES = ["interpret", "compile"]
each_mode = pytest.mark.parametrize("mode", MODES)


def tree(obj: Any, **options: Any) -> list[str]:
    return debugprint(obj, file="str", **options).splitlines()


def test_layout() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    z = (x + y) * T.exp(x + y)
    z.name = "z"
    s = x + y
    assert tree(s * T.exp(s)) == [
        "mul [id A] ''",
        " |add [id B] ''",
        " | |x [id C]",
        " | |y [id D]",
        " |exp [id E] ''",
        "   |add [id B] ''",
    ]
    assert tree(z)[0] == "mul [id A] 'z'"
    assert tree(z, depth=2) == ["mul [id A] 'z'", " |add [id B] ''", " |exp [id C] ''"]
    assert tree(s, print_type=True)[1] == " |x [id B] <TensorType(float64, shape=(None,))>"
    assert tree(s, ids="int")[2] == " |y [id 2]"
    assert tree(s, ids="")[2] == " |y"
    assert tree(z + s, stop_on_name=True)[1:3] == [" |mul [id B] 'z'", " |add [id C] ''"]
    m, i = T.max_and_argmax(x)
    assert tree([m, i])[0].startswith("max_and_argmax{axes=(0,)}.0 [id A]")
    assert len(tree([m, i])) == 3
    assert tree(T.constant(np.array([1.0, 2.0])) + x)[1] == " |TensorConstant{[1. 2.]} [id B]"
    done: dict = {}
    tree(s, done=done)
    assert tree(s, done=done) == ["add [id A] ''"]


def test_clients_and_values() -> None:
    x, w = T.dvector("x"), weft.shared(np.arange(3.0), "w")
    s = x * w
    s.name = "s"
    z = T.exp(s) + s
    assert tree(z, print_storage=True, print_clients=True) == [
        "add [id A] ''",
        " |exp [id B] ''",
        " | |mul [id C] 's' clients: exp [id B], add [id A]",
        " |   |x [id D]",
        " |   |w [id E] = [0. 1. 2.]",
        " |mul [id C] 's'",
    ]
    f = weft.function([x], z, updates=[(w, w + s)])
    f(np.ones(3))
    text = tree(f, print_storage=True, print_clients=True)
    assert text[4].endswith("w [id F] = [0. 2. 4.]")
    assert text[2].endswith("clients: exp [id B], add [id A], add [id D]")  # the update reads it too
    assert text[6] == "add [id D] ''"  # and keeps the id that it was named by
    zero = T.zeros_like(x[0])
    once, _ = weft.scan(lambda v, q: T.tanh(q + v) * v, sequences=x, outputs_info=zero)
    twice, _ = weft.scan(lambda v, q: (lambda a: T.tanh(a) * a)(v + q), sequences=x, outputs_info=zero)
    for loop, count in ((once, 0), (twice, 1)):
        inner = [line for line in tree(loop, print_clients=True) if line.startswith(" >")]
        assert inner and sum("clients: " in line for line in inner) == count
    # As Theano's positions have them; ids that were only referred to go on as well.
    done: dict = {}
    used: dict = {}
    text = debugprint(z, 2, False, "str", "CHAR", False, done, False, True, used).splitlines()
    assert text == ["add [id A] ''", " |exp [id B] ''", " |mul [id C] 's' clients: exp [id B], add [id A]"]
    assert tree(T.exp(w), done=done, used_ids=used) == ["exp [id D] ''", " |w [id E]"]


def test_what_is_printed(capsys: pytest.CaptureFixture) -> None:
    x, w = T.dvector("x"), weft.shared(1.0, "w")
    debugprint(x * 2)
    assert capsys.readouterr().out.startswith("mul [id A] ''\n |x [id B]\n")
    out = io.StringIO()
    assert debugprint(x, file=out) is out and out.getvalue() == "x [id A]\n"
    f = weft.function([x], [x * w], updates=[(w, w + 1)], mode="interpret")
    text = tree(f)
    assert text[0].startswith("mul") and any(line.startswith("add") for line in text)
    assert tree((x * 2).owner)[0] == "mul [id A] ''"
    with pytest.raises(weft.ArgumentError, match="a graph to print"):
        debugprint(3)
    with pytest.raises(weft.ArgumentError, match="ids"):
        debugprint(x, ids="roman")


def test_ids_go_on_after_z() -> None:
    x = T.dscalar("x0")
    for k in range(1, 30):
        x = x + T.dscalar(f"x{k}")
    text = "\n".join(tree(x))
    assert "[id Z]" in text and "[id BA]" in text and "[id CG]" in text


def test_deep_graphs() -> None:
    x = c = T.dvector("x")
    for _ in range(50_000):
        c = T.tanh(c) + x
    lines = tree(c)
    assert len(lines) < 160_000 and max(map(len, lines)) < 200
    assert sum("continued" in line for line in lines) == 100_000 // 50 - 1
    assert sum("tanh" in line and "continued" not in line for line in lines) == 50_000
    assert lines[-1].endswith(f"x {lines[-1].split('x ')[1]}")
    assert len(pp(c)) < 1000 and pp(c).startswith("tanh(tanh(") and "..." in pp(c)
    assert len(min_informative_str(c)) < 5000


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda x, y: x + y * x, "x + y * x"),
        (lambda x, y: (x + y) * x, "(x + y) * x"),
        (lambda x, y: x - (y - x) - y, "x - (y - x) - y"),
        (lambda x, y: x / (y / x), "x / (y / x)"),
        (lambda x, y: -(x**y), "-x ** y"),
        (lambda x, y: (-x) ** y, "(-x) ** y"),
        (lambda x, y: (x**y) ** x, "(x ** y) ** x"),
        (lambda x, y: x ** (y**x), "x ** y ** x"),
        (lambda x, y: T.exp(x + y), "exp(x + y)"),
        (lambda x, y: x > y, "x > y"),
        (lambda x, y: x[1:5:2] * y[0], "x[1:5:2] * y[0]"),
        (lambda x, y: (x + y)[-1], "(x + y)[-1]"),
        (lambda x, y: T.sum(x), "sum(x)"),
        (lambda x, y: T.outer(x, y).sum(axis=1), "sum(x * y, axis=(1,))"),
        (lambda x, y: T.dot(T.dmatrix("A").T, x), "dot(A.T, x)"),
        (lambda x, y: x + 1, "x + 1.0"),
        (lambda x, y: x * (y // x), "x * (y // x)"),
        (lambda x, y: x * (y % x), "x * (y % x)"),
        (lambda x, y: x * (y * x), "x * y * x"),
        (lambda x, y: x + (y - x), "x + y - x"),
        (lambda x, y: (-2.0) ** x, "(-2.0) ** x"),
        (lambda x, y: x**-2.0, "x ** -2.0"),
        (lambda x, y: T.lt(T.lt(x, y), x), "(x < y) < x"),
    ],
)
def test_pp(made: Any, text: str) -> None:
    assert pp(made(T.dvector("x"), T.dvector("y"))) == text


def test_letters() -> None:
    x = T.dvector("x")
    s = T.exp(x)
    assert min_informative_str(s * s) == "A. mul\n B. exp\n  C. x\n <B>"
    assert pprint is pp


@each_mode
def test_print_is_the_identity(mode: str, capsys: pytest.CaptureFixture) -> None:
    x = T.dvector("x")
    y = Print("here", attrs=("shape", "__str__"))(x)
    assert y.type == x.type
    value, grad, push = weft.function(
        [x], [(y**2).sum(), weft.grad((y**2).sum(), x), T.Rop(y * 3, x, T.ones_like(x))], mode=mode
    )([1.0, 2.0])
    assert value == 5 and grad.tolist() == [2, 4] and push.tolist() == [3, 3]
    assert capsys.readouterr().out == "here shape = (2,)\nhere __str__ = [1. 2.]\n"


@each_mode
def test_print_calls_a_function(mode: str) -> None:
    seen: list = []
    x = T.dvector("x")
    f = weft.function([x], Print("m", global_fn=lambda op, v: seen.append((op.message, v.tolist())))(x) + 1, mode=mode)
    assert f(np.array([1.0])).tolist() == [2] and seen == [("m", [1.0])]


def test_steps_of_a_program_with_blocks() -> None:
    x, w, c = T.dmatrix("x"), T.dmatrix("w"), T.iscalar("c")
    state = weft.shared(np.zeros(3), name="state")
    h, _ = weft.scan(lambda row, h: T.tanh(row + T.dot(h, w)), sequences=x, outputs_info=T.zeros_like(x[0]))
    y = weft.ifelse.ifelse(c > 0, h[-1], x[x[:, 0] > 0].sum(0))
    f = weft.function([x, w, c], y, updates=[(state, state * 0.9 + y)])
    lines = [line.strip() for line in f.steps.splitlines()]
    assert lines[0] == "buffers" and "result b4, b5" in lines
    # In order: the scan's step in the first branch, the run-time length in the second, the update at the end.
    rest = iter(lines)
    starts = ["steps", "ifelse(", "then", "scan(", "check", "dot(", "else", "nonzero(", "commit: state 0", "after", "k"]
    for start in starts:
        assert any(line.startswith(start) for line in rest), start
    numbers = {word.strip("(),") for line in lines[lines.index("steps") :] for word in line.split() if word[:1] == "b"}
    declared = {line.split()[0] for line in lines[1 : lines.index("steps")]}
    assert {n for n in numbers if n[1:].isdigit()} <= declared

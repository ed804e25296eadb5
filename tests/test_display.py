"""What notebooks show, and drawings: well formed, escaped, complete, of bounded size, boxes that do not overlap."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.show.drawing import Drawing, Item
from weft.compiler.show.layout import Box, layout
from weft.printing import debugprint, min_informative_str, pp, pydotprint, svg

VOID = ("br", "hr", "img")


class Checker(HTMLParser):
    """Tags close in order; no scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        assert tag != "script" and not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        assert tag != "script"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(obj: Any) -> str:
    """The text of an object's HTML, which is well formed."""
    checker = Checker()
    checker.feed(obj._repr_html_())
    checker.close()
    assert not checker.open
    return " ".join(checker.text)


def words(drawing: Drawing) -> list[str]:
    root = ET.fromstring(str(drawing))
    assert root.tag.endswith("svg") and root.get("viewBox") and "script" not in str(drawing)
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


def rectangles(drawing: Drawing) -> list[tuple[float, float, float, float]]:
    """The boxes, without the chips in them."""
    root = ET.fromstring(str(drawing))
    found = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("stroke-opacity") is None]
    return [
        (float(r.attrib["x"]), float(r.attrib["y"]), float(r.attrib["width"]), float(r.attrib["height"])) for r in found
    ]


def apart(drawing: Drawing) -> None:
    found = rectangles(drawing)
    assert len(found) == len(drawing.items)
    _, _, width, height = map(float, ET.fromstring(str(drawing)).attrib["viewBox"].split())
    for k, (x, y, w, h) in enumerate(found):
        assert x >= -1 and y >= -1 and x + w <= width and y + h <= height
        for a, b, c, d in found[:k]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


def step() -> Any:
    x, y = T.fmatrix("x"), T.ivector("y")
    w, b = weft.shared(np.zeros((20, 10), "f"), "w"), weft.shared(np.zeros(10, "f"), "b")
    p = T.nnet.softmax(T.dot(x, w) + b)
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    pairs = zip((w, b), weft.grad(cost, [w, b]), strict=True)
    rate = np.float32(0.1)
    return weft.function([x, y], cost, updates=[(v, v - rate * g) for v, g in pairs], name="step")


def test_variables() -> None:
    x, w = T.dmatrix('x <&"'), weft.shared(np.ones(3), "w")
    z = T.exp(x) * w
    z.name = "z"
    text = shown(z)
    for part in (
        "z, expression",
        "TensorType(float64, shape=(None, None))",
        'exp(x <&") * w',
        "z = T.exp(x) * w",
        "mul",
    ):
        assert part in text
    assert "test_display.py:" in text and "w, shared variable" in shown(w) and 'x <&", input' in shown(x)
    assert "constant" in shown(T.constant(np.arange(3.0)))
    for _ in range(5000):
        z = T.tanh(z) + x
    assert len(z._repr_html_()) < 100_000


def test_pictures_alone() -> None:
    """What shows SVG and no HTML, of every kind of variable and function."""
    x, s = T.dmatrix("x"), T.lscalar("s")
    w = weft.shared(np.ones(3), "w")
    draw = weft.tensor.shared_randomstreams.RandomStreams(1).normal((3,))
    shown = [x, x * 2, w, T.constant(1.0), draw, T.max_and_argmax(x)[1]]
    shown += [weft.function([x, s], x * s, mode=m) for m in ("compile", "interpret", "nanguard", "check")]
    if importlib.util.find_spec("scipy"):
        shown.append(weft.sparse.csr_matrix("a"))
    for v in shown:
        assert ET.fromstring(v._repr_svg_()).tag.endswith("svg") and str(svg(v)) == v._repr_svg_()


def test_shared_variables_say_what_they_hold() -> None:
    w = weft.shared(np.ones((30, 20), "f"), "w")
    assert "float32 (30, 20)" in shown(w) and "[" not in shown(w)
    assert "float64 (2,): [0.5 2. ]" in shown(weft.shared(np.array([0.5, 2.0])))
    assert "int64 (): 3" in shown(weft.shared(3))


def test_functions() -> None:
    f = step()
    text = shown(f)
    for part in (
        "function step",
        "softmax(T.dot(x, w) + b)",
        "k1",
        "what was not fused, and why",
        "memory plan",
        "new w",
    ):
        assert part in text
    args = np.zeros((4, 20), "f"), np.zeros(4, "i")
    report = f.report(*args)
    assert isinstance(report, str) and "bytes a call" in shown(report) and str(report).startswith("function step")
    assert all(part in shown(f.graph) for part in ("region @0", "dot("))
    x = T.dvector("x")
    g = weft.function([x], x + 1, mode="interpret", name="<g>")
    assert "interpreted" in shown(g) and "function <g>" in shown(g)
    h = weft.function([x], x + 1, profile=True)
    h(np.ones(3))
    assert "outside the kernels" in shown(h)


def test_the_fused_program() -> None:
    f = step()
    drawing = svg(f)
    text = words(drawing)
    for name in ("x", "y", "w", "b", "dot", "result", "new b", "new w, written in place", "float32[x.0, w.1]", "exp"):
        assert name in text, name
    kernels = re.findall(r"^  (k\d+) ", str(f.report()), re.MULTILINE)
    assert all(any(k in t.split(" + ") for t in text) for k in kernels)
    assert any(t.startswith("test_display.py:") and "softmax" in t for t in text)
    apart(drawing)
    assert str(svg(f)) == str(svg(f))


def test_loops_and_branches() -> None:
    x, c, w = T.dmatrix("x"), T.iscalar("c"), T.dmatrix("w")
    h, _ = weft.scan(lambda row, h: T.tanh(row + T.dot(h, w)), sequences=x, outputs_info=T.zeros_like(x[0]))
    y = weft.ifelse.ifelse(c > 0, T.exp(h[-1]).sum(), x.sum())
    text = words(svg(weft.function([x, w, c], {"out": y, "h": h})))
    for part in ("x", "w", "c", "out", "h", "branch (ifelse)", "loop (scan)", "tanh", "dot"):
        assert part in text, part
    drawing = svg([h, y])
    assert {"scan", "ifelse", "result 0", "result 1", "with 0"} <= set(words(drawing))
    apart(drawing)


def test_graphs() -> None:
    x, y = T.dmatrix("<x>"), T.row('"y" & ]]>')
    z = (x + y) * T.exp(x + y) ** 2
    z.name = "z"
    drawing = svg(z)
    text = words(drawing)
    assert {"<x>", '"y" & ]]>', "add", "exp", "z", "z = mul", "float64 (?, ?)", "float64 (1, ?)"} <= set(text)
    assert text.count("add") == 2  # x + y was written twice
    apart(drawing)
    assert {"x", "result"} <= set(words(svg(T.dvector("x"))))
    assert words(svg(weft.function([x, y], z, mode="interpret"))) == text  # it has no steps: as declared
    with pytest.raises(weft.ArgumentError, match="a graph to draw"):
        svg(3)


@pytest.mark.parametrize("count", [30, 400, 20_000])
def test_large_graphs_are_cut(count: int) -> None:
    x = z = T.dvector("x")
    for _ in range(count // 2):
        z = T.tanh(z) + x
    drawing = svg(z)
    text = words(drawing)
    assert len(drawing.items) <= 65 and len(str(drawing)) < 60_000
    (note,) = [t for t in text if "not drawn" in t] or [""]
    drawn = sum(t in ("tanh", "add") for t in text)
    assert note == ("" if count == 30 else f"… {count - drawn:,} more operations, not drawn")
    apart(drawing)


def test_wide_graphs() -> None:
    inputs = [T.dvector(f"x{k}") for k in range(30)]
    drawing = svg(sum(T.exp(v) for v in inputs))
    apart(drawing)
    f = weft.function(inputs, [T.exp(v).sum() for v in inputs])
    apart(svg(f))


def test_a_long_program_is_cut() -> None:
    x = z = T.dmatrix("x")
    for _ in range(80):
        z = T.sort(z)
    drawing = svg(weft.function([x], z))
    assert "… 20 more steps, not drawn" in words(drawing) and len(drawing.items) < 70
    apart(drawing)


def test_sparse_and_parts() -> None:
    pytest.importorskip("scipy")
    a, v = weft.sparse.csr_matrix("a"), T.dmatrix("v")
    text = words(svg(weft.function([a, v], weft.sparse.dot(a, v))))
    assert {"a.data", "a.indices", "a.indptr", "v"} <= set(text)
    x = T.dvector("x")
    drawing = svg(weft.function([x], T.sort(T.concatenate([T.sort(x), T.exp(x)]))))
    reads = [len(i.reads) for i in drawing.items if i.title == "sort"]
    assert max(reads) >= 2  # what is made of parts is read from all who made them
    apart(drawing)


def test_files(tmp_path: Path) -> None:
    x = T.dvector("x")
    path = tmp_path / "graph.svg"
    assert isinstance(pydotprint(T.exp(x), outfile=path, compact=True), Drawing)
    ET.parse(path)
    svg(x * 2).save(tmp_path / "other.svg")
    assert "mul" in (tmp_path / "other.svg").read_text()
    with pytest.raises(weft.ArgumentError, match="'svg' or 'png'"):
        pydotprint(x, tmp_path / "graph.pdf")
    try:
        import cairosvg  # noqa: F401
    except ImportError:
        with pytest.raises(weft.ArgumentError, match="cairosvg"):
            pydotprint(x, tmp_path / "graph.png")


def test_layout() -> None:
    a, b, c, d = (Box(60, 30, [(k, 20)]) for k in "abcd")
    read = [("a", b), ("a", c), ("b", d), ("c", d), ("a", d)]
    paths, width, height = layout([a, b, c, d], {"a": [a], "b": [b], "c": [c], "d": [d]}, read)
    assert [x.row for x in (a, b, c, d)] == [0, 1, 1, 2] and a.y + a.height < b.y and b.y + b.height < d.y
    assert abs(b.x - c.x) >= 60 and width >= 120 and height == d.y + d.height
    ends = [(x, y) for p in paths for x, y, arrow in p.ends if arrow]
    assert len(ends) == len(read)
    assert all(any(abs(y - n.y) < 1e-6 and abs(x - n.x) <= n.width / 2 for n in (b, c, d)) for x, y in ends)
    # No arrow passes through a box on its way down.
    for p in paths:
        for n in (b, c):
            for x, y, arrow in p.ends:
                assert arrow or not (n.y < y < n.y + n.height and abs(x - n.x) < n.width / 2)
    assert layout([], {}, [])[0] == []
    assert str(Drawing([Item("a", "input")])).startswith("<svg")


def test_debugprint_shows_loops() -> None:
    x, w = T.dmatrix("x"), T.dmatrix("w")
    h, _ = weft.scan(
        lambda row, h: T.tanh(row + T.dot(h, w)), sequences=x, outputs_info=T.zeros_like(x[0]), name="rows"
    )
    lines = debugprint(h[-1], file="str").splitlines()
    at = lines.index("Inner graphs:")
    tree, inner = lines[:at], lines[at:]
    (loop,) = [line.split()[-2].rstrip("]") for line in tree if "scan" in line.lower() or "rows" in line.lower()]
    assert inner[2].endswith(f"[id {loop}]") and inner[3].startswith(" >tanh [id ")
    ids = {line.split("[id ")[0].strip(" |>"): line.split("[id ")[1].rstrip("]' ") for line in tree if line}
    (given,) = [line for line in inner if "x[t]" in line]
    assert given.endswith(f"-> [id {ids['x']}]")
    assert any(line.strip(" |>") == f"w [id {ids['w']}]" for line in inner)
    # A loop in a loop comes after the one it stands in.
    total, _ = weft.scan(lambda r: weft.scan(lambda a, s: s + a, r, T.zeros(()))[0][-1], sequences=x)
    text = debugprint(total, file="str")
    assert text.count("\n\n") == 3 and text.count(" >") > 4 and "s[t-1]" not in text.split("Inner graphs")[0]


def test_arguments_have_theanos_order() -> None:
    x = T.dvector("x")
    named = T.exp(x)
    named.name = "named"
    done: dict = {}
    assert debugprint(named + 1, -1, False, "str", "int", True, done).splitlines()[:2] == [
        "add [id 0] ''", " |exp [id 1] 'named'"
    ]  # fmt: skip
    assert done and min_informative_str(x, indent_level=2) == "  A. x"


def test_a_hundred_thousand_nodes() -> None:
    x = z = T.dvector("x")
    for _ in range(50_000):
        z = T.tanh(z) + x
    assert len(debugprint([z, z], file="str").splitlines()) < 200_000
    assert len(pp(z)) < 1000 and len(words(svg(z))) < 400
    assert len(z._repr_html_()) < 100_000

"""The printed form rebuilds the region, to the same object and to the same bits."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ir_samples import Sample, closed, const, items, matrix, samples, scalar, step, vector

from weft.compiler.ir.dtypes import DTYPES, numpy_dtype
from weft.compiler.ir.node import Check, Constant, Node, Region, build, region
from weft.compiler.ir.ops.procedural import HostFunction
from weft.compiler.ir.text import constant_text, dump, hosts, nested, parse
from weft.runtime.errors import ArgumentError

SAMPLES = samples()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_round_trip(sample: Sample) -> None:
    text = dump(sample.region)
    assert parse(text, hosts(sample.region)) is sample.region


def test_what_it_looks_like() -> None:
    x, y = matrix(0), matrix(1)
    r = closed([x, y], build("sum", build("add", x, build("exp", y)), axes=(0,)))
    assert (
        dump(r)
        == """region @0 (%2, %5) {
  %0 = dim(axis=0, token=0) : int64[]
  %1 = dim(axis=1, token=0) : int64[]
  %2 = param(%0, %1; dtype="float64", kind="dense", token=0) : float64[d0.0, d0.1]
  %3 = dim(axis=0, token=1) : int64[]
  %4 = dim(axis=1, token=1) : int64[]
  %5 = param(%3, %4; dtype="float64", kind="dense", token=1) : float64[d1.0, d1.1]
  %6 = exp(%5) : float64[d1.0, d1.1]
  %7 = add(%2, %6) : float64[d0.0, d0.1]
  %8 = sum(%7; axes=(0,)) : float64[d0.1]
  check eq(%0, %3) "axis 0 of the arguments of add"
  check eq(%1, %4) "axis 1 of the arguments of add"
  return %8
}
"""
    )


def test_the_text_alone_rebuilds_it() -> None:
    """Nothing of the region is alive when its text is read."""
    for make in (lambda: next(s.region for s in samples() if s.name == "scan until"), _lengths_of_lengths):
        text = dump(make())
        gc.collect()
        again = parse(text)
        assert dump(again) == text


def _lengths_of_lengths() -> Region:
    x, y = vector(0), vector(1)
    found = [build("nonzero", build("tan", v)).type.items[0].axes[0] for v in (x, y)]
    return closed(
        [x, y],
        build("reshape", x, build("add", *found)),
        build("concatenate", *(build("gather", v, *items(build("nonzero", v))) for v in (y, x)), axis=0),
    )


def test_the_text_does_not_depend_on_what_was_built_before() -> None:
    text = dump(_lengths_of_lengths())
    gc.collect()
    kept = [build("nonzero", build("tan", vector(1))), build("add", *(vector(k).axes[0] for k in (1, 0)))]
    assert dump(_lengths_of_lengths()) == text
    del kept


def test_regions_held_twice_print_once() -> None:
    n, xs, limit = scalar(0), vector(1), scalar(3, "float64")
    init = build("slice", vector(2), const(2), spec=(("range", False, True, 1),))
    outs = [
        build(
            "item",
            build("scan", n, xs, init, limit, step=step(), sequences=1, taps=((-2, -1),), keep=(k,), until=False),
            index=0,
        )
        for k in (False, True)
    ]
    r = closed([n, xs, vector(2), limit], *outs)
    assert dump(r).count("region @") == len(nested(r)) == 2 and parse(dump(r)) is r


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([d for d in DTYPES if d != "bfloat16"]))
def test_constants_keep_their_bits(data: st.DataObject, dtype: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    size = int(np.prod(shape)) * numpy_dtype(dtype).itemsize
    if dtype == "bool":
        array = data.draw(hnp.arrays(bool, shape))
    else:
        array = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)
    c = Constant(array, dtype)
    r = closed([], build("const", value=c))
    assert parse(dump(r)) is r
    assert parse(f"region @0 () {{\n  %0 = const(value={constant_text(c)})\n  return %0\n}}") is r


@pytest.mark.parametrize("value", [0.1, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.7976931348623157e308])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_numbers_print_as_numbers(value: float, dtype: str) -> None:
    with np.errstate(all="ignore"):
        c = Constant(np.asarray(value, numpy_dtype(dtype)), dtype)
    r = closed([], build("const", value=c))
    assert '"' not in constant_text(c) and parse(dump(r)) is r


def test_a_nan_with_a_payload_prints_its_bytes() -> None:
    odd = np.array(0x7FF8000000000001, np.uint64).view(np.float64)
    c = Constant(odd, "float64")
    assert '"' in constant_text(c)
    (out,) = parse(dump(closed([], build("const", value=c)))).outputs
    assert out.attr("value") == c


def test_attributes_of_every_kind() -> None:
    x = vector(0)
    callee = HostFunction('odd "name", (%3; x=1) : {', lambda args: args)
    call = build("host_call", x, callee=callee, dtypes=("float64",), ndims=(1,), like=(None,))
    r = closed([x], *items(call), build("cumsum", x, axis=0, reverse=True))
    assert parse(dump(r), hosts(r)) is r
    with pytest.raises(ArgumentError, match="host="):
        parse(dump(r))


def test_two_functions_of_one_name() -> None:
    x = vector(0)
    calls = [
        build("host_call", x, callee=HostFunction("f", lambda a: a), dtypes=("float64",), ndims=(1,), like=(0,))
        for _ in "ab"
    ]
    r = closed([x], *(n for c in calls for n in items(c)))
    assert sorted(hosts(r)) == ["f", "f#2"] and parse(dump(r), hosts(r)) is r


def test_messages_of_obligations_are_kept() -> None:
    a, b = scalar(0), scalar(1)
    r = region([a, b], [a], [Check("eq", (a, b), 'a "quoted"\nline; (%1) é')])
    assert parse(dump(r)) is r


GOOD = dump(closed([vector(0)], build("sum", vector(0), axes=(0,))))


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("sum(", "summ(", 4, "no operation summ"),
        ("float64[]", "float32[]", 4, "type of this node is float64"),
        ("sum(%1", "sum(%7", 4, "%7 is not defined"),
        ("axes=(0,)", "axes=(0,", 4, "column|not the value"),
        ("axes=(0,)", "axes=@4", 4, "region @4"),
        ("axes=(0,)", "axes", 4, "name=value"),
        ("}", "", 6, "expected `}`"),
        ("region @0", "graph @0", 1, "expected `region"),
        ("  return", "return", 5, "expected a node"),
        (GOOD, "", 1, "expected a region"),
    ],
)
def test_wrong_text_is_refused_by_line(old: str, new: str, line: int, why: str) -> None:
    assert parse(GOOD)
    with pytest.raises(ArgumentError, match=f"line {line} .*({why})"):
        parse(GOOD.replace(old, new))


def test_a_long_chain_is_printed_and_read_in_a_loop() -> None:
    x: Node = vector(0)
    for _ in range(100_000):
        x = build("neg", x)
    r = closed([vector(0)], x)
    assert parse(dump(r)) is r


def test_deep_nesting() -> None:
    inner = closed([vector(0)], vector(0))
    for _ in range(200):
        outs = items(build("ifelse", const(True, "bool"), vector(0), then=inner, orelse=inner))
        inner = closed([vector(0)], *outs)
    assert parse(dump(inner)) is inner

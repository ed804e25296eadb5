"""Every operation's meaning against plain NumPy; that none is missing."""

from __future__ import annotations

import ir_samples
import numpy as np
import pytest
from ir_samples import closed, param, samples

from weft.compiler.ir.interp import MEANING, evaluate
from weft.compiler.ir.node import OPS, build
from weft.compiler.ir.text import nested
from weft.runtime.errors import InternalError

SAMPLES = samples()


def test_every_operation_has_a_meaning() -> None:
    assert {n for n, d in OPS.items() if d.family != "loop"} == set(MEANING)


def test_the_samples_hold_every_operation() -> None:
    held = {n.op for s in SAMPLES for r in nested(s.region) for n in r.nodes()}
    assert held == set(MEANING)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_samples(sample: ir_samples.Sample) -> None:
    if sample.name == "draw":
        pytest.importorskip("weft.kernels.philox_reference")
    got = evaluate(sample.region, sample.args)
    for g, want in zip(got, sample.values, strict=False):
        assert g.dtype == np.asarray(want).dtype and g.shape == np.shape(want)
        np.testing.assert_allclose(g, want, rtol=1e-12)


def test_a_wrong_meaning_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANING, "dot", lambda node, values, run: values[0] @ values[1] + 1e-9)
    with pytest.raises(AssertionError):
        test_samples(next(s for s in SAMPLES if s.name == "dot"))


def test_a_value_that_its_type_forbids_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANING, "dot", lambda node, values, run: values[0])
    with pytest.raises(InternalError, match="its type says"):
        test_samples(next(s for s in SAMPLES if s.name == "dot"))
    monkeypatch.setitem(MEANING, "dot", lambda node, values, run: (values[0] @ values[1]).astype("float32"))
    with pytest.raises(InternalError, match="its type says"):
        test_samples(next(s for s in SAMPLES if s.name == "dot"))


def test_a_sparse_matrix_is_a_value() -> None:
    s = param(0, "float64", None, None, kind="csr")
    made = build("csr", *(build("csr_part", s, part=k) for k in range(3)), s.type.axes[1])
    (out,) = evaluate(closed([s], made), [ir_samples.SPARSE])
    assert (out != ir_samples.SPARSE).nnz == 0 and out is not ir_samples.SPARSE


def test_draws_depend_on_key_number_and_place_alone() -> None:
    pytest.importorskip("weft.kernels.philox_reference")
    s = param(0, "uint64", 2, kind="random")
    short, long = (build("draw", s, ir_samples.const(n), distribution="normal", dtype="float64") for n in (3, 5))
    after = build("draw", build("advance", s), ir_samples.const(5), distribution="normal", dtype="float64")
    a, b, c = evaluate(closed([s], short, long, after), [np.array([1, 0], "uint64")])
    assert (a == b[:3]).all() and not (b == c).any()

"""Arrays of other libraries go in and out without copies: NumPy's protocols, PyTorch, JAX, pandas."""

from __future__ import annotations

import array
import gc
import mmap
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime.callable import Argument

FLOATS = Argument("x", "x", np.dtype(np.float32), (None,))


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


class DLPackOnly:
    """An exporter that NumPy's `asarray` does not know."""

    def __init__(self, a: np.ndarray, device: int = 1):
        self.a, self.device = a, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


class ArrayOnly:
    def __init__(self, a: np.ndarray):
        self.a = a

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.a


class InterfaceOnly:
    def __init__(self, a: np.ndarray):
        self.a = a
        self.__array_interface__ = a.__array_interface__


EXPORTERS = {
    "dlpack": DLPackOnly, "__array__": ArrayOnly, "__array_interface__": InterfaceOnly, "memoryview": memoryview,
    "array.array": lambda a: array.array("f", a), "mmap": lambda a: memmap_of(a),
    "subclass": lambda a: a.view(np.memmap),
}  # fmt: skip


def memmap_of(a: np.ndarray) -> memoryview:
    m = mmap.mmap(-1, a.nbytes)
    m.write(a.tobytes())
    return memoryview(m).cast("f")


@pytest.mark.parametrize("kind", EXPORTERS)
def test_exporters_are_read_where_they_lie(kind: str) -> None:
    given = EXPORTERS[kind](np.arange(4, dtype=np.float32))
    first, again = FLOATS.convert(given), FLOATS.convert(given)
    assert address(first) == address(again)  # of copies that live at once it would not be
    x = T.fvector("x")
    f = weft.function([x], 2 * x)
    assert f(given).tolist() == [0, 2, 4, 6]
    first[1] = 10  # what the exporter holds is what the next call reads
    assert f(given).tolist() == [0, 20, 4, 6]


@pytest.mark.parametrize("kind", EXPORTERS)
def test_exporters_are_values_of_shared_variables_and_givens(kind: str) -> None:
    given = EXPORTERS[kind](np.arange(4, dtype=np.float32))
    lies = address(FLOATS.convert(given))
    w = weft.shared(given, borrow=True)
    assert w.dtype == "float32" and address(w.get_value(borrow=True)) == lies
    w.set_value(np.zeros(2, np.float32))
    w.set_value(given, borrow=True)
    assert address(w.get_value(borrow=True)) == lies
    copied = weft.shared(given)
    assert address(copied.get_value(borrow=True)) != lies
    x = T.fvector("x")
    assert weft.function([], x + 1, givens={x: given})().tolist() == [1, 2, 3, 4]


def test_read_only_memory_is_read_where_it_lies() -> None:
    held = np.arange(4, dtype=np.float32)
    held.flags.writeable = False
    for given in (held, memoryview(held)):
        assert address(FLOATS.convert(given)) == address(held)
        assert address(weft.shared(given, borrow=True).get_value(borrow=True)) == address(held)


def test_element_types_of_exporters_count_as_those_of_arrays() -> None:
    for given in (array.array("d", [1, 2]), memoryview(np.ones(2)), DLPackOnly(np.ones(2))):
        with pytest.raises(weft.DTypeError, match=r"float64.*would lose"):
            FLOATS.convert(given)
        assert FLOATS.__class__("x", "x", np.dtype(np.float32), (None,), allow_downcast=True).convert(given).sum() > 0
    assert FLOATS.convert(array.array("h", [1, 2])).tolist() == [1, 2]
    strict = Argument("x", "x", np.dtype(np.float32), (None,), strict=True)
    assert strict.convert(array.array("f", [1, 2])).tolist() == [1, 2]
    for given in (array.array("h", [1, 2]), [1.0, 2.0]):
        with pytest.raises(weft.DTypeError, match="strict"):
            strict.convert(given)


def test_memory_of_a_gpu_is_refused() -> None:
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    gpu = DLPackOnly(np.ones(2, np.float32), device=2)
    for use in (f, lambda v: weft.shared(v), lambda v: weft.function([], x, givens={x: v})):
        with pytest.raises(weft.ArgumentError, match=r"CUDA.*\.cpu\(\)"):
            use(gpu)


@pytest.mark.parametrize("kind", EXPORTERS)
def test_exporters_stand_in_expressions(kind: str) -> None:
    """On either side of an operator, as subscripts and as outputs, as arrays do."""
    x = T.fvector("x")
    a = EXPORTERS[kind](np.arange(3, dtype=np.float32))
    given = np.array([4, 5, 6], np.float32)
    for made, value in ((x - a, [4, 4, 4]), (a - x, [-4, -4, -4]), (x @ a, 17), (a * x, [0, 5, 12])):
        assert np.array_equal(weft.function([x], made)(given), value)
    assert np.array_equal(weft.function([], a)(), [0, 1, 2])
    if kind in ("mmap", "array.array"):
        return  # of floats, as they are made here
    where = EXPORTERS[kind](np.array([2, 0]))
    assert np.array_equal(weft.function([x], x[where])(given), [6, 4])
    if kind != "dlpack":  # NumPy has no bools in it
        mask = EXPORTERS[kind](np.array([True, False, True]))
        assert np.array_equal(weft.function([x], x[mask])(given), [4, 6])


def test_functions_of_numpy_refuse_variables() -> None:
    """On the line that calls NumPy, be it from inside one of its own; but for those that read a shared variable."""
    x, w = T.dmatrix("x"), weft.shared(np.ones((2, 2)), "w")
    for wrong in (
        lambda v: np.sum(v), lambda v: np.dot(np.ones((2, 2)), v), lambda v: np.concatenate([v, v]), np.exp,
        lambda v: np.where(True, v, 0), np.linalg.norm, lambda v: np.einsum("ij->i", v), np.zeros_like,
    ):  # fmt: skip
        for v in (x, w):
            with pytest.raises(weft.ArgumentError, match="computes with arrays") as e:
                wrong(v)
            assert "at test_friends.py:" in str(e.value)
            assert ("numpy.asarray(w) is its present value" in str(e.value)) == (v is w)
    with pytest.raises(weft.ArgumentError, match="computes with arrays") as e:
        np.testing.assert_allclose(x, 1)
    assert "at test_friends.py:" in str(e.value)
    assert np.ndim(x) == 2 and np.allclose(w, 1) and np.array_equal(w, np.ones((2, 2)))
    np.testing.assert_allclose(w, np.ones((2, 2)))
    assert isinstance(np.ones((2, 2)) @ x, weft.Variable) and isinstance(np.float32(2) * w, weft.Variable)


def test_masked_arrays() -> None:
    """What is masked is no number; an array of which nothing is masked is one of numbers."""
    x = T.dvector("x")
    f = weft.function([x], x * 2)
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    for use in (f, weft.shared, T.constant, lambda v: x + v, weft.shared(np.zeros(2)).set_value):
        with pytest.raises(weft.ArgumentError, match=r"masked array .* \.filled\(value\)"):
            use(masked)
    assert np.array_equal(f(np.ma.masked_array([1.0, 2.0])), [2, 4]) and np.array_equal(f(masked.filled(0)), [2, 0])


def test_what_is_no_array_is_refused() -> None:
    for given in (object(), b"abc", "abc", {1: 2}, [object()]):
        with pytest.raises(weft.DTypeError, match="not an array of numbers"):
            FLOATS.convert(given)


# Shared variables as arrays


def test_a_shared_variable_is_read_as_an_array_without_a_copy() -> None:
    w = weft.shared(np.arange(3.0), name="w")
    step = weft.function([], updates={w: w + 1})
    seen = np.asarray(w)
    assert address(seen) == address(w.get_value(borrow=True)) and not seen.flags.writeable
    for _ in range(3):
        step()
    assert seen.tolist() == [0, 1, 2]  # no update writes to it
    assert np.asarray(w).tolist() == [3, 4, 5]
    own = np.array(w)
    own[0] = 100
    assert np.asarray(w).tolist() == [3, 4, 5]
    assert np.asarray(w, np.float32).dtype == np.float32
    assert w.__array__(copy=True).flags.writeable
    with pytest.raises(ValueError, match="has to be copied"):
        w.__array__(np.float32, copy=False)
    assert np.allclose(w, [3, 4, 5])
    assert isinstance(np.ones(3) + w, weft.Variable)  # operators still make expressions
    assert isinstance(T.as_tensor_variable([w, w]), weft.Variable)


def test_a_shared_variable_speaks_dlpack() -> None:
    w = weft.shared(np.arange(3.0), name="w")
    seen = np.from_dlpack(w)
    assert address(seen) == address(w.get_value(borrow=True))
    weft.function([], updates={w: w + 1})()
    assert seen.tolist() == [0, 1, 2]


# PyTorch


def test_torch_tensors_are_arguments_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    x = T.fmatrix("x")
    f = weft.function([x], weft.Out(x * 2, borrow=True))
    t = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    argument = Argument("x", "x", np.dtype(np.float32), (None, None))
    assert address(argument.convert(t)) == t.data_ptr()
    assert f(t).tolist() == (t * 2).tolist()
    t[0, 0] = 7
    assert f(t)[0, 0] == 14
    strided = t.T
    assert f(strided).tolist() == (strided * 2).tolist()
    assert weft.shared(t, borrow=True).get_value(borrow=True).__array_interface__["data"][0] == t.data_ptr()
    assert f(torch.nn.Parameter(t).detach())[0, 0] == 14
    scalar = T.fscalar("s")
    assert weft.function([scalar], scalar + 1)(torch.tensor(2.0)) == 3


def test_torch_tensors_that_are_refused_say_why() -> None:
    torch = pytest.importorskip("torch")
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    with pytest.raises(weft.ArgumentError, match=r"requires grad.*\.detach\(\)"):
        f(torch.ones(2, requires_grad=True))
    with pytest.raises(weft.WeftError, match="meta"):
        f(torch.empty(2, device="meta"))
    with pytest.raises(weft.DTypeError, match=r"Tensor of float64.*would lose"):
        f(torch.ones(2, dtype=torch.float64))
    with pytest.raises(weft.DTypeError, match="Sparse layout"):
        f(torch.ones(2).to_sparse())
    z = T.cvector("z")
    with pytest.raises(weft.DTypeError, match="conjugate bit"):
        weft.function([z], z)(torch.ones(2, dtype=torch.complex64).conj())


def test_torch_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    x = T.TensorType("bfloat16", (None,))("x")
    t = torch.tensor([1.5, -2.0, 3e38], dtype=torch.bfloat16)
    argument = Argument("x", "x", np.dtype("bfloat16"), (None,))
    assert address(argument.convert(t)) == t.data_ptr()
    assert weft.function([x], x.astype("float32"))(t).tolist() == t.float().tolist()
    assert weft.shared(t).dtype == "bfloat16"


def test_torch_takes_results_without_a_copy_and_keeps_them() -> None:
    torch = pytest.importorskip("torch")
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    for n in (8, 1 << 20):  # memory of NumPy, memory of weft
        result = f(np.zeros(n, np.float32))
        lies = address(result)
        for take in (torch.from_dlpack, torch.from_numpy, torch.asarray):
            assert take(result).data_ptr() == lies
        t = torch.from_dlpack(result)
        del result
        gc.collect()
        others = [f(np.full(n, k, np.float32)) for k in range(4)]
        assert lies not in [address(o) for o in others]
        assert bool((t == 1).all())
        del t, others
    w = weft.shared(np.arange(3.0))
    assert torch.from_dlpack(w).tolist() == [0, 1, 2]


def test_memory_that_torch_lets_go_serves_again() -> None:
    torch = pytest.importorskip("torch")
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    seen = set()
    for k in range(20):
        t = torch.from_dlpack(f(np.full(1 << 20, k, np.float32)))
        seen.add(t.data_ptr())
        del t
    assert len(seen) < 10


# JAX


def test_jax_arrays_in_and_out_without_a_copy() -> None:
    jax = pytest.importorskip("jax")
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    j = jax.numpy.arange(1024, dtype="float32")
    assert address(FLOATS.convert(j)) == j.unsafe_buffer_pointer()
    assert f(j).tolist() == (j + 1).tolist()
    w = weft.shared(j, borrow=True)
    assert address(w.get_value(borrow=True)) == j.unsafe_buffer_pointer()
    weft.function([], updates={w: w + 1})()
    assert j[0] == 0 and w.get_value()[0] == 1
    result = f(np.zeros(1 << 20, np.float32))
    lies = address(result)
    taken = jax.dlpack.from_dlpack(result)
    assert taken.unsafe_buffer_pointer() == lies
    del result
    gc.collect()
    others = [f(np.full(1 << 20, k, np.float32)) for k in range(4)]
    assert bool((taken == 1).all()) and len(others) == 4
    with pytest.raises(weft.DTypeError, match="not an array of numbers"):
        jax.jit(f)(j)  # a tracer has no values


# Columns


def test_pandas_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(3, dtype=np.float32), "b": ["u", "v", "w"]})
    x = T.fvector("x")
    f = weft.function([x], x + 1)
    assert f(frame["a"]).tolist() == [1, 2, 3]
    assert address(FLOATS.convert(frame["a"])) == address(frame["a"].to_numpy())
    with pytest.raises(weft.DTypeError, match="not an array of numbers"):
        f(frame["b"])

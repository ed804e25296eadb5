"""C calls of the operations that have routines of their own (kernels/weft_library.h): the table of procedural ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, bound_length
from ..schedule.scratch import index_axes, is_place_array, value_strides
from ..schedule.steps import Buffer, Step
from . import scalar
from .expressions import Text
from .products import address, blas, declare, lib, multiply, operands_of

if TYPE_CHECKING:
    from .host import HostPrinter, HostScope

Routine = Callable[["HostPrinter", Text, "HostScope", Step], None]
ROUTINES: dict[str, Routine] = {}


def routine(name: str) -> Callable[[Routine], Routine]:
    def enter(f: Routine) -> Routine:
        ROUTINES[name] = f
        return f

    return enter


@routine("dot")
def dot(host, out, scope, s):
    left, right = s.node.inputs
    if left.ndim == 2 and right.ndim == 2:
        if s.library:
            blas(host, out, scope, s)
        else:
            multiply(host, out, scope, s, declare(host, out, scope, s))
        return
    a, b = operands_of(s)
    (c,) = s.outputs
    dtype = c.dtype
    host.reserve(out, scope, c)

    def strides(view) -> list[str]:
        return [scope.get(out, x) for x in view.strides]

    pa, pb = address(out, scope, a, s.inputs[0]), address(out, scope, b, s.inputs[1])
    k = scope.get(out, left.type.axes[-1])
    if left.ndim == 1 and right.ndim == 1:
        out(f"{lib('dot', dtype)}({k}, {pa}, {strides(a)[0]}, {pb}, {strides(b)[0]}, b{c.number});")
        return
    if right.ndim == 1:
        m = scope.get(out, left.type.axes[0])
        (rs, cs), (inc,) = strides(a), strides(b)
        out(
            f"{lib('gemv', dtype)}({m}, {k}, {pa}, {rs}, {cs}, {pb}, {inc}, "
            f"b{c.number}, 1, call->parallel_for, call->threads);"
        )
        return
    n = scope.get(out, right.type.axes[1])
    (inc,), (rs, cs) = strides(a), strides(b)
    out(
        f"{lib('gemv', dtype)}({n}, {k}, {pb}, {cs}, {rs}, {pa}, {inc}, "
        f"b{c.number}, 1, call->parallel_for, call->threads);"
    )


@routine("batched_dot")
def batched_dot(host, out, scope, s):
    multiply(host, out, scope, s, declare(host, out, scope, s))


@routine("nonzero")
def nonzero(host, out, scope, s):
    x = s.node.inputs[0]
    src = s.inputs[0]
    size = scope.get(out, lengths.product(x.type.axes))
    name = f"m{host.names}"
    host.names += 1
    out(f"const int64_t {name} = {lib('nonzero_count', x.type.dtype)}(b{src.number}, {size});")
    scope.bind(s.node.type.items[0].axes[0], name)
    for b in s.outputs:
        host.reserve(out, scope, b)
    dims = ", ".join(scope.get(out, a) for a in x.type.axes)
    outs = ", ".join(f"b{b.number}" for b in s.outputs)
    out(
        f"{lib('nonzero', x.type.dtype)}(b{src.number}, {x.ndim}, "
        f"(const int64_t[]){{{dims}}}, (int64_t *const[]){{{outs}}});"
    )


@routine("sort")
def sort(host, out, scope, s):
    x = s.node.inputs[0]
    (dst,) = s.outputs
    host.reserve(out, scope, dst)
    host.reserve_all(out, scope, s.scratch)
    rows = scope.get(out, lengths.product(x.type.axes[:-1]))
    n = scope.get(out, x.type.axes[-1])
    out(f"{lib(s.node.op, x.type.dtype)}(b{s.inputs[0].number}, b{dst.number}, {rows}, {n}, b{s.scratch[0].number});")


ROUTINES["argsort"] = sort


@routine("cumsum")
def cumsum(host, out, scope, s):
    x = s.node.inputs[0]
    axis = s.node.attr("axis")
    (dst,) = s.outputs
    host.reserve(out, scope, dst)
    before = scope.get(out, lengths.product(x.type.axes[:axis]))
    n = scope.get(out, x.type.axes[axis])
    after = scope.get(out, lengths.product(x.type.axes[axis + 1 :]))
    reverse = int(s.node.attr("reverse"))
    work = host.workspace(out, f"{lib('cumsum_workspace', x.type.dtype)}({before}, {n}, {after})")
    out(
        f"{lib('cumsum', x.type.dtype)}(b{s.inputs[0].number}, b{dst.number}, {before}, {n}, {after}, {reverse}, "
        f"call->parallel_for, call->threads, {work});"
    )


@routine("scatter")
def scatter(host, out, scope, s):
    """x copied, unless it lies there, then y written at each index tuple."""
    (dst,) = s.outputs
    host.reserve(out, scope, dst)
    if dst is not s.inputs[0]:
        out(f"memcpy(b{dst.number}, b{s.inputs[0].number}, {scope.size(out, dst.nbytes())});")
    out(scatter_call(host, out, scope, s))
    host.fault(out, s)


def scatter_call(host: HostPrinter, out: Text, scope: HostScope, s: Step, checked: bool = False) -> str:
    """The call that writes, when what it needs has been printed: index arrays stretched to one shape, and where it is
    to be `checked` before, a look at the indices."""
    n = s.node
    x, y, *indices = n.inputs
    axes = index_axes(n)
    host.reserve_all(out, scope, s.scratch)
    count = scope.get(out, lengths.product(axes))
    inner = scope.get(out, lengths.product(x.type.axes[len(indices) :]))
    dims = [scope.get(out, a) for a in x.type.axes[: len(indices)]]
    places = []
    scratch = iter(s.scratch)
    for index, b, length in zip(indices, s.inputs[2:], dims, strict=True):
        assert isinstance(b, Buffer)
        if not is_place_array(index, axes):
            own, b = b, next(scratch)
            stretch(out, scope, index, own, b, axes)
        places.append(f"b{b.number}")
        if checked:
            out(f"weft_lib_within(b{b.number}, {count}, {length}, &fault);")
    if checked:
        host.fault(out, s)
    (dst,), values = s.outputs, s.inputs[1]
    assert isinstance(values, Buffer)
    source, strides = f"b{values.number}", value_strides(n)
    if strides is None:
        whole = (*axes, *x.type.axes[len(indices) :])
        size = scope.size(out, lengths.scale(lengths.product(whole), DTYPES[y.type.dtype].itemsize))
        source = f"(({scalar.stored_type(y.type.dtype)} *){host.workspace(out, size)})"
        broadcast_copy(out, scope, y.type.axes, whole, f"b{values.number}", source)
        strides = lengths.product(x.type.axes[len(indices) :]), lengths.const(1)
    apart = ", ".join(scope.get(out, k) for k in strides)
    return (
        f"{lib('scatter', x.type.dtype)}(b{dst.number}, {source}, {len(indices)}, "
        f"(const int64_t *const[]){{{', '.join(places)}}}, (const int64_t[]){{{', '.join(dims)}}}, "
        f"{count}, {inner}, {apart}, {int(n.attr('mode') == 'inc')}, &fault);"
    )


def stretch(out: Text, scope: HostScope, index: Node, b: Buffer, tmp: Buffer, axes: tuple[Node, ...]) -> None:
    """An index array as int64 in the common shape of all index arrays."""
    dtype = index.type.dtype
    convert = "weft_place_u64" if dtype == "uint64" else f"weft_cast_{scalar.suffix(dtype)}_i64"
    broadcast_copy(out, scope, index.type.axes, axes, f"b{b.number}", f"b{tmp.number}", convert=convert)


def broadcast_copy(out: Text, scope: HostScope, have: Any, want: Any, src: str, dst: str, convert: str = "") -> None:
    """Loops that copy a contiguous array into a larger one, axes of length 1 stretched."""
    index = "0"
    stride = lengths.const(1)
    strides: list[Node] = []
    for a in reversed(have):
        strides.append(lengths.const(0) if lengths.static(a) == 1 else stride)
        stride = lengths.mul(stride, a)
    strides.reverse()
    # In front of the braces: later steps use the names.
    texts = [(scope.get(out, n), scope.get(out, st)) for n, st in zip(want, strides, strict=True)]
    out.open("")
    out("int64_t at = 0;")
    for k, (n, st) in enumerate(texts):
        out.open(f"for (int64_t q{k} = 0; q{k} < {n}; q{k}++)")
        index += f" + q{k} * {st}"
    out(f"{dst}[at++] = {convert}({src}[{index}]);")
    for _ in texts:
        out.close()
    out("(void)at;")
    out.close()


@routine("cholesky")
def cholesky(host, out, scope, s):
    (dst,) = s.outputs
    host.reserve(out, scope, dst)
    x = s.node.inputs[0]
    n = scope.get(out, x.type.axes[0])
    pointer = host.pointer("spotrf" if x.type.dtype == "float32" else "dpotrf")
    out(f"memcpy(b{dst.number}, b{s.inputs[0].number}, {scope.size(out, dst.nbytes())});")
    number = host.entry("cholesky", s)
    out.open("")
    out(f"const int64_t info = {lib('cholesky', x.type.dtype)}(b{dst.number}, {n}, {pointer});")
    host.fail(out, "info", number, ["info", n])
    out.close()


@routine("solve_triangular")
def solve_triangular(host, out, scope, s):
    (dst,) = s.outputs
    host.reserve(out, scope, dst)
    a, b = s.node.inputs
    pointer = host.pointer("strsm" if a.type.dtype == "float32" else "dtrsm")
    out(f"memcpy(b{dst.number}, b{s.inputs[1].number}, {scope.size(out, dst.nbytes())});")
    n, m = (scope.get(out, x) for x in b.type.axes)
    lower, trans = int(s.node.attr("lower")), int(s.node.attr("trans"))
    out(
        f"{lib('solve_triangular', a.type.dtype)}(b{s.inputs[0].number}, b{dst.number}, "
        f"{n}, {m}, {lower}, {trans}, {pointer});"
    )


def _csr(name: str, host, out, s, parts: list[str], work: str = "") -> None:
    (dst,) = s.outputs
    position = 0 if name == "csr_sample" else 1
    index = s.node.inputs[position].type.dtype
    wide = "i64" if index == "int64" else "i32"
    tail = f"{work}, &fault" if work else "&fault"
    out(
        f"weft_lib_{name}_{scalar.suffix(dst.dtype)}_{wide}({', '.join(parts)}, b{dst.number}, "
        f"call->parallel_for, call->threads, {tail});"
    )
    host.fail(out, "fault.flag == WEFT_FAULT_INDPTR", host.entry("indptr", s), ["fault.index", "fault.length"])
    host.fault(out, s)


def _rows(scope, out, indptr: Node) -> str:
    return scope.get(out, lengths.sub(indptr.type.axes[0], lengths.const(1)))


@routine("csr_dot")
def csr_dot(host, out, scope, s):
    data, _, indptr, b, _ = s.node.inputs
    host.reserve(out, scope, s.outputs[0])
    count, columns, m = (scope.get(out, v) for v in (data.type.axes[0], *b.type.axes))
    parts = [_rows(scope, out, indptr), count, columns, m, *(f"b{v.number}" for v in s.inputs[:4])]
    _csr("csr_dot", host, out, s, parts)


@routine("csr_dot_t")
def csr_dot_t(host, out, scope, s):
    data, _, indptr, g, columns = s.node.inputs
    host.reserve(out, scope, s.outputs[0])
    count, cols, m = (scope.get(out, v) for v in (data.type.axes[0], lengths.normal(columns), g.type.axes[1]))
    work = host.workspace(out, f"{lib('csr_dot_t_workspace', data.type.dtype)}({cols}, {m})")
    parts = [_rows(scope, out, indptr), count, cols, m, *(f"b{v.number}" for v in s.inputs[:4])]
    _csr("csr_dot_t", host, out, s, parts, work)


@routine("csr_sample")
def csr_sample(host, out, scope, s):
    indices, indptr, g, b = s.node.inputs
    host.reserve(out, scope, s.outputs[0])
    count, grows, columns, k = (scope.get(out, v) for v in (indices.type.axes[0], g.type.axes[0], *b.type.axes))
    parts = [_rows(scope, out, indptr), count, grows, columns, k, *(f"b{v.number}" for v in s.inputs)]
    _csr("csr_sample", host, out, s, parts)


@routine("host_call")
def host_call(host, out, scope, s):
    """Packs the arguments, calls back into Python, and takes the results (which the callee allocated)."""
    n = s.node
    number = len(host.hosts)
    host.hosts.append(n.attr("callee"))
    host.host_calls.append(n)
    count = len(s.outputs)
    tag = f"h{host.names}"
    host.names += 1
    out(f"weft_array {tag}_in[{max(len(s.inputs), 1)}] = {{0}}, {tag}_out[{max(count, 1)}] = {{0}};")
    out(f"WEFT_FREED const weft_results {tag} = {{{count}, {tag}_out}};")  # on an early return too
    out(f"(void){tag};")
    for k, (b, x) in enumerate(zip(s.inputs, n.inputs, strict=True)):
        out(f"{tag}_in[{k}].data = (void *)b{b.number};")
        for a, length in enumerate(x.type.axes):
            out(f"{tag}_in[{k}].dims[{a}] = {scope.get(out, length)};")
    out(f"if (WEFT_FAILS(HOST, call->host(call->user, {number}, {tag}_in, {tag}_out))) return WEFT_HOST_RAISED;")
    for k, b in enumerate(s.outputs):
        for a, length in enumerate(b.type.axes):
            if length.op == "length" and length not in scope.names:
                name = f"m{host.names}"
                host.names += 1
                out(f"const int64_t {name} = {tag}_out[{k}].dims[{a}];")
                scope.bind(bound_length(n.op, n.inputs, n.attrs, k, a), name)
            elif length.op != "length":
                want = scope.get(out, length)
                check = host.entry("host_shape", s)
                host.fail(out, f"{tag}_out[{k}].dims[{a}] != {want}", check, [f"{tag}_out[{k}].dims[{a}]", want])
        host.reserve(out, scope, b)
        size = scope.size(out, b.nbytes())
        out(f"memcpy(b{b.number}, {tag}_out[{k}].data, {size});")
        out(f"free({tag}_out[{k}].data), {tag}_out[{k}].data = NULL;")

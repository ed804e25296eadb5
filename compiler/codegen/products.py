"""Matrix products -> C: a `weft_product` (kernels/weft_fused.h) that says what is multiplied and which kernels run
inside, and the call that computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.node import Node
from ..schedule.affine import Strided, strided
from ..schedule.around import buffer_of
from ..schedule.steps import Buffer, Step
from . import scalar
from .expressions import Text

if TYPE_CHECKING:
    from .host import HostPrinter, HostScope


def lib(name: str, dtype: str) -> str:
    return f"weft_lib_{name}_{scalar.suffix(dtype)}"


def declare(host: HostPrinter, out: Text, scope: HostScope, s: Step) -> str:
    """Declares the weft_product of a step and has its workspace; its name."""
    (c,) = s.outputs
    routine = f"weft_lib_product{{}}_{scalar.suffix(c.dtype)}"
    fields = describe(out, scope, s)
    if c.place != "piece":  # the kernels inside name it
        host.reserve(out, scope, c)
    for k, (maker, turned) in s.makers.items():
        nest = host.kernels.tile(maker.node)
        assert nest is not None
        name, args = rectangles(host, out, scope, maker, len(nest.tensors))
        x = "ab"[k]
        fields |= {f"fused.make_{x}": name, f"fused.{x}_arg": args, f"fused.{x}_turned": str(int(turned))}
    if s.then is not None:
        number = buffer_of(s.then.node, s.node)
        assert number is not None
        fields["fused.then"], fields["fused.then_arg"] = rectangles(host, out, scope, s.then, number)
    if s.whole is not None:
        fields["fused.whole"] = "WEFT_WHOLE_ROWS" if s.rows else "WEFT_WHOLE_COLUMNS"
    if c.place != "piece":
        fields["c"] = f"b{c.number}"
    fields |= {"parallel_for": "call->parallel_for", "threads": "call->threads", "run": routine.format("")}
    name = f"q{host.names}_"
    host.names += 1
    out(f"weft_product {name} = {{{', '.join(f'.{k} = {v}' for k, v in fields.items())}}};")
    space = host.workspace(out, f"{routine.format('_workspace')}(&{name})")
    out(f"{name}.work = {space};")
    return name


def multiply(host: HostPrinter, out: Text, scope: HostScope, s: Step, name: str) -> None:
    """Runs a weft_product, and what it left to be run after it."""
    if s.whole is not None:
        host.step_kernel(out, scope, s.whole, product=name)
    else:
        out(f"{name}.run(&{name});")


def describe(out: Text, scope: HostScope, s: Step) -> dict[str, str]:
    """The fields that say what is multiplied."""
    left, right = s.node.inputs
    fields = {"batch": "1"} if left.ndim == 2 else {"batch": scope.get(out, left.type.axes[0])}
    m, k, n = left.type.axes[-2], left.type.axes[-1], right.type.axes[-1]
    fields |= {name: scope.get(out, length) for name, length in (("m", m), ("n", n), ("k", k))}
    for number, (view, buffer) in enumerate(zip(operands_of(s), s.inputs, strict=True)):
        x = "ab"[number]
        assert isinstance(buffer, Buffer)
        if number in s.makers:
            continue
        fields[x] = address(out, scope, view, buffer)
        fields |= {f"{x}{part}s": scope.get(out, v) for part, v in zip("brc"[-left.ndim :], view.strides, strict=True)}
    return fields


def rectangles(host: HostPrinter, out: Text, scope: HostScope, k: Step, tile: int) -> tuple[str, str]:
    """A kernel that a product runs on rectangles of the buffer `tile`, and what it takes as its first argument."""
    for b in k.outputs:
        if b.place != "piece":
            host.reserve(out, scope, b)
    name, _ = host.kernels.get(k.node, k.in_place, tile)
    host.calls.append((name, k))
    numbers = [scope.get(out, x) for x in k.inputs if isinstance(x, Node)]
    arrays = [b for b in k.inputs if isinstance(b, Buffer)] + k.outputs
    fields = [f"{{.n = {n}}}" for n in numbers]
    fields += ["{.p = NULL}" if b.place == "piece" else f"{{.p = b{b.number}}}" for b in arrays]
    args = f"a{host.names}_"
    host.names += 1
    out(f"const weft_argument {args}[] = {{{', '.join(fields)}}};")
    return name, f"(void *){args}"


def blas(host: HostPrinter, out: Text, scope: HostScope, s: Step) -> None:
    """A product by OpenBLAS; ours computes what the library cannot read in place."""
    (c,) = s.outputs
    host.reserve(out, scope, c)
    fields = describe(out, scope, s)
    names = [f"cblas_{'s' if c.dtype == 'float32' else 'd'}gemm", "openblas_get_num_threads"]
    names.append("openblas_set_num_threads")
    pointers = ", ".join(host.pointer(f"scipy_{name}") for name in names)
    arguments = ", ".join(fields[name] for name in ("m", "n", "k", "a", "ars", "acs", "b", "brs", "bcs"))
    out.open(f"if (!{lib('blas_gemm', c.dtype)}({arguments}, b{c.number}, call->threads, {pointers}))")
    multiply(host, out, scope, s, declare(host, out, scope, s))
    out.close()


def operands_of(s: Step) -> list[Strided]:
    """How the operands of a product lie in memory."""
    found = [strided(x) for x in s.node.inputs]
    return [x for x in found if x is not None]


def address(out: Text, scope: HostScope, view: Strided, buffer: Buffer) -> str:
    """Where the first element of a strided operand lies."""
    offset = scope.get(out, view.offset)
    return f"b{buffer.number}" if offset == "0" else f"b{buffer.number} + {offset}"

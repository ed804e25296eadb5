"""What the scheduler makes: a kernel is a region of fused operations that becomes one loop nest."""

from __future__ import annotations

from ..node import Node, Region, define, substitute
from ..types import TensorType, TupleType


@define("kernel", "kernel")
def kernel(inputs, attrs):
    """kernel(scalar.., tensor..; body, layout, outer[, within]): tensors computed in one pass over a common domain.

    The body's params are int64 scalars (lengths and bounds, passed by value), then tensors. `layout` gives for each
    output a loop number per axis (-1 for an axis of length 1); loops below `outer` are shared by all outputs and
    stages and run in parallel, the others are looped over within each stage. `within` says of outputs that are written
    as parts of a longer tensor how long that is: (axis, "param" or "const", number of the scalar or length), or None.
    """
    body: Region = attrs["body"]
    mapping: dict[Node, Node] = dict(zip(body.params, inputs, strict=True))
    items = []
    for out in body.outputs:
        axes = substitute(list(out.type.axes), mapping)
        items.append(TensorType(out.type.dtype, tuple(axes), out.type.kind))
    return TupleType(tuple(items))


def within(kernel: Node) -> tuple:
    """For each output, how it lies in a longer tensor; None where it is a tensor of its own."""
    found = dict(kernel.attrs).get("within")
    return found if found is not None else (None,) * len(kernel.attr("body").outputs)

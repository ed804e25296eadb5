"""What the failures of a compiled program mean: the manifest that the runtime turns return codes into errors with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .graph.trace import Trace
from .ir.interp.checks import CHECKS, message, sentence
from .ir.node import Check, Node

if TYPE_CHECKING:
    from .graph.function import Source
    from .pipeline import Stages

ABI = 1


def manifest_of(source: Source, stages: Stages) -> dict[str, Any]:
    """The plain-data description of a program (runtime/program.py)."""
    program, generated = stages.program, stages.generated
    assert program is not None and generated is not None
    params = [p.type for p in program.params]
    consts = [c.type for c in generated.constants]
    outs = [o.type for o in stages.source.outputs[: source.results]]
    entries = zip(generated.checks, generated.check_nodes, strict=True)
    return {
        "abi": ABI,
        "name": str(source.name or "the function"),
        "inputs": [_array(t) for t in (*params[: program.inputs], *consts)],
        "outputs": [_array(t) for t in outs],
        "states": [_array(t) for t in params[program.inputs :]],
        "segments": generated.segments,
        "checks": [_check(e["kind"], c, n, source, program.members) for e, (c, n) in entries],
        "hosts": [_host(h, stages) for h in generated.host_calls],
        "library": generated.library,
    }


def _array(t: Any) -> dict[str, Any]:
    return {"dtype": t.dtype, "ndim": len(t.axes)}


def _host(node: Node, stages: Stages) -> dict[str, Any]:
    return {
        "name": node.attr("callee").name,
        "inputs": [_array(i.type) for i in node.inputs],
        "outputs": [_array(t) for t in node.type.items],
    }


_OF_NODES = {
    "index": ("BoundsError", "index {0} is out of range for an axis of length {1}"),
    "cholesky": ("NumericalError", "cholesky: the matrix is not positive definite (its leading minor of order {0})"),
    "host_shape": ("ShapeError", "a Python operation returned an axis of length {0} where {1} is declared"),
}


def _check(
    kind: str, check: Check | None, node: Node | None, source: Source, members: dict[Node, list[Node]]
) -> dict[str, Any]:
    if check is not None:
        return {"kind": kind, "message": sentence(check, message(check)), "error": CHECKS[kind].error.__name__}
    error, text = _OF_NODES[kind]
    return {
        "kind": kind,
        "message": text + _lines(members.get(node, [node]) if node else [], source),
        "error": error,
    }


def _lines(nodes: list[Node], source: Source) -> str:
    """The user's lines that an operation came from; of a kernel, those of the operations in it that may fail."""
    failing = [n for n in nodes if n.op in ("gather", "scatter")] or nodes
    traces = list(dict.fromkeys(t for n in failing for t in source.lowered.origins.lines(n, 4)))
    return "".join(f"\n  at {t}" for t in traces[:3] if isinstance(t, Trace))

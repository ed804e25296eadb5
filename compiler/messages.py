"""What the failures of a compiled program mean: the manifest that the runtime turns return codes into errors with,
and the lines that errors name in both modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .graph.trace import Trace
from .ir.interp.checks import CHECKS, FAULTS, message, sentence
from .ir.node import Check, Node, Region
from .ir.origins import Origins

if TYPE_CHECKING:
    from .graph.function import Source
    from .pipeline import Stages
    from .schedule.program import Step

ABI = 1


def manifest_of(source: Source, stages: Stages) -> dict[str, Any]:
    """The plain-data description of a program (runtime/program.py)."""
    program, generated = stages.program, stages.generated
    assert program is not None and generated is not None
    params = [p.type for p in program.params]
    consts = [c.type for c in generated.constants]
    outs = [o.type for o in stages.source.outputs[: source.results]]
    origins = source.lowered.origins
    return {
        "abi": ABI,
        "name": str(source.name or "the function"),
        "inputs": [_array(t) for t in (*params[: program.inputs], *consts)],
        "outputs": [{**_array(t), "borrow": b} for t, b in zip(outs, source.borrowed, strict=True)],
        "states": [_array(t) for t in params[program.inputs :]],
        "updates": source.updates,
        "in_place": program.in_place(),
        "segments": generated.segments,
        "checks": [_check(e["kind"], c, origins) for e, c in zip(generated.checks, generated.causes, strict=True)],
        "hosts": [_host(h) for h in generated.host_calls],
        "library": generated.library,
    }


def _array(t: Any) -> dict[str, Any]:
    return {"dtype": t.dtype, "ndim": len(t.axes)}


def _host(node: Node) -> dict[str, Any]:
    return {
        "name": node.attr("callee").name,
        "inputs": [_array(i.type) for i in node.inputs],
        "outputs": [_array(t) for t in node.type.items],
    }


def _check(kind: str, cause: Check | Step, origins: Origins) -> dict[str, Any]:
    if isinstance(cause, Check):
        return {"kind": kind, "message": sentence(cause, message(cause)), "error": CHECKS[kind].error.__name__}
    fault = FAULTS[kind]
    text = fault.message + _lines(cause.members, origins)
    return {"kind": kind, "message": text, "error": fault.error.__name__}


def locate(error: Exception, origins: Origins) -> None:
    """Adds to an error of the interpreter the lines that a compiled program's has."""
    if hasattr(error, "fault"):
        error.args = (str(error) + _lines([(error.region, error.node)], origins),)  # type: ignore[attr-defined]


def _lines(members: Sequence[tuple[Region, Node]], origins: Origins) -> str:
    """The user's lines that an operation came from; of a kernel, those of the operations in it that may fail."""
    failing = [m for m in members if m[1].definition.indices_from] or members
    traces = dict.fromkeys(t for r, n in failing for t in origins.of(r)[n][:4] if isinstance(t, Trace))
    return "".join(f"\n  at {t}" for t in list(traces)[:3])

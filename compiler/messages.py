"""What the failures of a compiled program mean: the manifest that the runtime turns return codes into errors with,
and the lines that errors name in both modes.

A template is a manifest without what differs between programs of one structure: their names and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .ir.interp.checks import CHECKS, FAULTS, message
from .ir.node import Check, Node, Place, Region
from .ir.origins import KEPT, Origins

if TYPE_CHECKING:
    from .graph.function import Source
    from .pipeline import Stages
    from .schedule.steps import Step

ABI = 1


def template(source: Source, stages: Stages) -> dict[str, Any]:
    """The description of a program that `manifest_of` completes: plain data."""
    program, generated = stages.program, stages.generated
    assert program is not None and generated is not None
    params = [p.type for p in program.params]
    outs = [o.type for o in stages.source.outputs[: source.results]]
    origins = source.lowered.origins
    return {
        "abi": ABI,
        "inputs": [_array(t) for t in params[: program.inputs]],
        "constants": [_array(c.type) for c in generated.constants],
        "outputs": [_array(t) for t in outs],
        "states": [_array(t) for t in params[program.inputs :]],
        "updates": source.updates,
        "in_place": program.in_place(),
        "segments": generated.segments,
        "checks": [_check(e["kind"], c, origins) for e, c in zip(generated.checks, generated.causes, strict=True)],
        "hosts": [_host(h) for h in generated.host_calls],
        "library": generated.library,
        **({"profile": len(generated.profiled)} if source.profile else {}),
    }


def manifest_of(source: Source, made: dict[str, Any]) -> dict[str, Any]:
    """A template with what this program says of itself (runtime/program.py)."""
    checks = [{k: c[k] for k in ("kind", "message", "error")} for c in made["checks"]]
    outputs = [{**o, "borrow": b} for o, b in zip(made["outputs"], source.borrowed, strict=True)]
    return {**made, "name": str(source.name or "the function"), "outputs": outputs, "checks": checks}


def text_of(source: Source, made: dict[str, Any], number: int) -> str:
    """What a check of a template says when it fails: its message and this program's lines."""
    check, origins = made["checks"][number], source.lowered.origins
    said, lines = (_placed(check.get(k, ())) for k in ("said", "lines"))
    return check["message"] + origins.said(said) + _lines(lines, origins)


def _array(t: Any) -> dict[str, Any]:
    return {"dtype": t.dtype, "ndim": len(t.axes)}


def _host(node: Node) -> dict[str, Any]:
    return {
        "name": node.attr("callee").name,
        "inputs": [_array(i.type) for i in node.inputs],
        "outputs": [_array(t) for t in node.type.items],
    }


def _check(kind: str, cause: Check | Step, origins: Origins) -> dict[str, Any]:
    """What a failure says, but for the user's lines: the places that they stand at."""
    if isinstance(cause, Check):
        return {"kind": kind, "message": message(cause), "error": CHECKS[kind].error.__name__, "said": cause.at}
    fault = FAULTS[kind]
    at = _places(cause.members, origins)
    return {"kind": kind, "message": fault.message, "error": fault.error.__name__, "lines": at}


def _placed(pairs: Sequence[Sequence]) -> list[Place]:
    return [Place(region, number) for region, number in pairs]


def locate(error: Exception, origins: Origins) -> None:
    """Adds to an error of the interpreter the lines that a compiled program's has."""
    if hasattr(error, "fault"):
        places = _places([(error.region, error.node)], origins)  # type: ignore[attr-defined]
        error.args = (str(error) + _lines(places, origins),)
    elif hasattr(error, "check"):
        error.args = (str(error) + origins.said(error.check.at),)


def _places(members: Sequence[tuple[Region, Node]], origins: Origins) -> list[Any]:
    """The places that an operation came from; of a kernel, those of the operations in it that may fail."""
    failing = [m for m in members if m[1].definition.indices_from] or members
    return list(dict.fromkeys(p for r, n in failing for p in origins.of(r)[n][:4]))[:KEPT]


def _lines(places: Sequence[Place], origins: Origins) -> str:
    """What stands at places: operations that may fail, or mere lines."""
    found = origins.failing(places) or [f"\n  {t.at}" for t in origins.traces(places)]  # type: ignore[attr-defined]
    return "".join(found[:3])

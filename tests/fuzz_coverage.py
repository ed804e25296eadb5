"""What programs have reached: operations, their options, dtypes, rewrite rules, kinds of fusion; and what they must."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from weft.compiler.codegen.c_kernel import KernelPrinter, across_rows
from weft.compiler.inspect import steps_of
from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.node import OPS, Node, topological
from weft.compiler.ir.ops.elementwise import ELEMENTWISE
from weft.compiler.ir.rewrite import nested_nodes
from weft.compiler.ir.types import TupleType
from weft.compiler.schedule.outline import BOUNDS
from weft.compiler.simplify import PASSES

# Options of operations: each of these stands in a program.
OPTIONS = (
    "scatter mode=set", "scatter mode=inc", "set_slice mode=set", "set_slice mode=inc", "cumsum reverse=True",
    "cumsum reverse=False", "solve_triangular lower=True", "solve_triangular lower=False",
    "solve_triangular trans=True", "solve_triangular trans=False", "draw distribution=uniform",
    "draw distribution=normal", "draw dtype=float32", "draw dtype=float64", "slice all", "slice point", "slice up",
    "slice down", "slice by steps", "dimshuffle permutes", "dimshuffle inserts", "dimshuffle drops",
    "reduce all axes", "reduce some axes", "reduce first axis", "reduce last axis", "gather 1 index",
    "gather more indices", "scatter 1 index", "scatter more indices", "csr_part part=0", "csr_part part=1",
    "csr_part part=2", "scan until=True", "scan until=False", "scan keeps all", "scan keeps last",
    "scan has sequences", "scan has constants", "scan tap -1", "scan taps further back", "scan stacks",
    "scan random state", "window stride 1", "window stride more", "spread stride 1", "spread stride more",
    "host_call like an input", "host_call of any length", "length of nonzero", "length of scan", "length of ifelse",
    "length of host_call", "concatenate first axis", "concatenate other axis", "ifelse 1 value",
    "ifelse more values", "dot matrix matrix", "dot matrix vector", "dot vector matrix", "dot vector vector",
)  # fmt: skip

# How the compiled program runs it: kinds of kernels and what stands around them.
FUSION = (
    "map", "row", "column", "flat", "folds written out", "several stores", "stages",
    "ends with folds of the outer loops",
    "rows also side by side (short)", "columns in blocks", "map across rows", "loop in strips (hard arguments)",
    "guarded reads", "checked indices", "draws inside", "scratch rows", "maker of a product's operand",
    "maker of a transposed operand", "after each rectangle of a product", "whole rows of a product",
    "whole columns of a product", "product in the memory of what follows", "product without memory",
    "update in place after the commit", "product's kernel in place after the commit", "update beside the old value",
    "strided operand of a product", "late buffer", "arena slot shared", "scalar of the host", "copy",
    "loop of steps", "ring of states", "branch", "recomputed where read", "length from the host",
    "length by statements", "stored for its many places", "columns stage by stage", "runs between quotients",
    "cut into segments", "cut where all conditions hold", "indices as flags", "scatter into its operand",
    "scatter into a variable after the commit", "loop on several threads",
)  # fmt: skip

# What need not be reached, and why.
EXCUSED: dict[str, str] = {
    "op kernel": "made by the scheduler",
    **dict.fromkeys(
        (
            "op csr",
            "op csr_part",
            "option csr_part part=0",
            "option csr_part part=1",
            "option csr_part part=2",
            "rule csr-part",
        ),
        "expressions hold the parts of a sparse matrix, but where a branch gives one",
    ),
    "rule set-slice-whole": "the language writes the value itself",
    "rule inc-slice-whole": "the language writes the sum itself",
    "rule tanh-expm1": "times-sigmoid comes first",
    "rule mul-neg-constant": "mul-neg comes first, then neg-mul-constant",
    "rule div-neg-constant": "div-neg comes first, then neg-div-constant",
    **dict.fromkeys(("pair floordiv bool", "pair mod bool"), "the language takes int8 for them"),
    "rule collect": "factor-add comes first, and folding does the rest",
    **{f"op {n}": "a statement or value of loop nests" for n in OPS if OPS[n].family == "loop"},
}


def wanted() -> Iterator[str]:
    for name in OPS:
        yield f"op {name}"
    for name in OPTIONS:
        yield f"option {name}"
    for name in DTYPES:
        yield f"dtype {name}"
    for p in PASSES:
        for r in p.rules:
            yield f"rule {r.name}"
    for name in FUSION:
        yield f"fusion {name}"
    for op, row in ELEMENTWISE.items():  # elementwise operations with each dtype that they take
        for d in row.accepts:
            yield f"pair {op} {d}"


def look(f: Any) -> Counter[str]:
    """What a compiled function has of all that."""
    found: Counter[str] = Counter()
    s = f.stages
    for r, nodes in nested_nodes(s.source):
        used = set(topological(r.roots()))
        for n in nodes:
            if n not in used:
                continue
            found[f"op {n.op}"] += 1
            for t in n.type.items if isinstance(n.type, TupleType) else (n.type,):
                found[f"dtype {t.dtype}"] += 1
            if n.op in ELEMENTWISE:
                found[f"pair {n.op} {n.inputs[0].type.dtype}"] += 1
            for o in options(n):
                found[f"option {o}"] += 1
    for name, count in s.visits.fired.items():
        found[f"rule {name}"] += count
    for k in kinds(f):
        found[f"fusion {k}"] += 1
    return found


def options(n: Node) -> Iterator[str]:
    op = n.op
    if op in ("scatter", "set_slice"):
        yield f"{op} mode={n.attr('mode')}"
    if op == "cumsum":
        yield f"cumsum reverse={bool(n.attr('reverse'))}"
    if op == "solve_triangular":
        yield f"solve_triangular lower={bool(n.attr('lower'))}"
        yield f"solve_triangular trans={bool(n.attr('trans'))}"
    if op == "draw":
        yield f"draw distribution={n.attr('distribution')}"
        yield f"draw dtype={n.attr('dtype')}"
    if op in ("slice", "set_slice"):
        for entry in n.attr("spec"):
            if entry[0] != "range":
                yield f"slice {entry[0]}"
            else:
                yield "slice down" if entry[3] < 0 else "slice up"
                if abs(entry[3]) > 1:
                    yield "slice by steps"
    if op == "dimshuffle":
        kept = [o for o in n.attr("order") if o != "x"]
        if kept != sorted(kept):
            yield "dimshuffle permutes"
        if len(kept) < n.ndim:
            yield "dimshuffle inserts"
        if len(kept) < n.inputs[0].ndim:
            yield "dimshuffle drops"
    if n.family == "reduce":
        axes, ndim = n.attr("axes"), n.inputs[0].ndim
        yield "reduce all axes" if len(axes) == ndim else "reduce some axes"
        if axes and len(axes) < ndim:
            yield (
                "reduce first axis" if axes[0] == 0 else "reduce last axis" if axes[-1] == ndim - 1 else "reduce middle"
            )
    if op in ("gather", "scatter"):
        yield f"{op} 1 index" if len(n.inputs) == (2 if op == "gather" else 3) else f"{op} more indices"
    if op == "csr_part":
        yield f"csr_part part={n.attr('part')}"
    if op == "scan":
        yield from _loop(n)
    if op in ("window", "spread"):
        yield f"{op} stride {1 if n.attr('stride') == 1 else 'more'}"
    if op == "host_call":
        yield "host_call like an input" if None not in n.attr("like") else "host_call of any length"
    if op == "length":
        yield f"length of {n.attr('of')}"
    if op == "concatenate":
        yield "concatenate first axis" if n.attr("axis") == 0 else "concatenate other axis"
    if op == "ifelse":
        yield "ifelse 1 value" if len(n.type.items) == 1 else "ifelse more values"
    if op == "dot":
        yield "dot " + " ".join("vector" if i.ndim == 1 else "matrix" for i in n.inputs)


def _loop(n: Node) -> Iterator[str]:
    taps, count = n.attr("taps"), n.attr("sequences")
    yield f"scan until={bool(n.attr('until'))}"
    for keep in n.attr("keep"):
        yield "scan keeps all" if keep else "scan keeps last"
    if count:
        yield "scan has sequences"
    if len(n.inputs) > 1 + count + len(taps):
        yield "scan has constants"
    for t in taps:
        yield "scan tap -1" if t == (-1,) else "scan taps further back"
    if len(n.type.items) > len(taps):
        yield "scan stacks"
    if any(i.type.kind == "random" for i in n.inputs[1 + count : 1 + count + len(taps)]):
        yield "scan random state"


def kinds(f: Any) -> Iterator[str]:
    program, generated = f.stages.program, f.stages.generated
    sources = dict(re.findall(r"(?ms)^typedef struct \{.*?\} (\w+)_args;\n(.*?)(?=^typedef struct|\Z)", f.source))
    for name, nest in generated.kernels.items():
        yield nest.mode
        if len(nest.outputs) > 1:
            yield "several stores"
        if nest.mode == "map" and any(n.family == "reduce" for n in nest.body.nodes()):
            yield "folds written out"
        if nest.finals:
            yield "ends with folds of the outer loops"
        if nest.scratch:
            yield "scratch rows"
        loops = nest.block.inputs[0] if nest.block.inputs and nest.block.inputs[0].op == "loop" else None
        if loops is not None:
            inner = [s for s in loops.inputs if s.op == "loop"]
            if len(inner) > 1 or (nest.mode == "flat" and sum(s.op == "loop" for s in nest.block.inputs) > 1):
                yield "stages"
            if nest.mode == "map" and across_rows(loops):
                yield "map across rows"
        nodes = topological([nest.block])
        if any(n.op == "load" and len(n.inputs) > 1 for n in nodes):
            yield "guarded reads"
        if any(n.op == "checked" for n in nodes):
            yield "checked indices"
        if any(n.op == "draw_at" for n in nodes):
            yield "draws inside"
        text = sources.get(name, "")
        if "({" in text:
            yield "length by statements"
        if "WEFT_STRIP" in text:
            yield "loop in strips (hard arguments)"
        if f"{name}_short_body" in text:
            yield "rows also side by side (short)"
        if "weft_outside" in text:
            yield "indices as flags"
        if re.search(r"\bend\d+_\d+ = ", text):
            yield "cut into segments"
        if "= side ?" in text:
            yield "cut where all conditions hold"
        if re.search(r"\bturn\d+ = ", text):
            yield "runs between quotients"
        printer = KernelPrinter(nest, name)
        if printer.stages():
            yield "columns in blocks" if printer.is_one_fold() else "columns stage by stage"
    steps = steps_of(program.block)
    for s in [*steps, *program.after_commit]:
        for _, turned in s.makers.values():
            yield "maker of a transposed operand" if turned else "maker of a product's operand"
        if s.then is not None:
            yield "after each rectangle of a product"
            if s.outputs[0].place == "piece":
                yield "product without memory"
            elif s.outputs[0] in s.then.outputs:
                yield "product in the memory of what follows"
        if s.whole is not None:
            yield "whole rows of a product" if s.rows else "whole columns of a product"
        if s.node.op in ("dot", "batched_dot") and any(i.op in ("dimshuffle", "slice") for i in s.node.inputs):
            yield "strided operand of a product"
        if s.node.definition.writes_over and s.outputs[0] is s.inputs[0]:
            yield "scatter into its operand"
        if s.kind == "kernel" and any(isinstance(x, Node) and x.op in BOUNDS for x in s.inputs):
            yield "length from the host"
        if s.kind == "scan":
            yield "loop of steps"
            if s.scratch:
                yield "ring of states"
        if s.kind == "ifelse":
            yield "branch"
    for s in program.after_commit:
        if s.kind == "kernel":
            yield "update in place after the commit"
        elif s.node.definition.writes_over:
            yield "scatter into a variable after the commit"
        else:
            yield "product's kernel in place after the commit"
    if any(b.place == "spare" for b in program.buffers):
        yield "update beside the old value"
    if any(b.place == "late" for b in program.buffers):
        yield "late buffer"
    arena = [b.index for b in program.buffers if b.place == "arena"]
    if len(arena) > len(set(arena)):
        yield "arena slot shared"
    blocks = [program.block]
    while blocks:
        b = blocks.pop()
        for s in b.steps:
            if s.kind == "copy":
                yield "copy"
            if s.kind == "scalar":
                yield "scalar of the host"
            blocks.extend(s.blocks)
    if any("computed again at too many" in d.reason for d in program.decisions):
        yield "stored for its many places"
    if any(_twice(n) for n in generated.kernels.values()):
        yield "recomputed where read"


def _twice(nest: Any) -> bool:
    """Whether a kernel reads one buffer at two places: something is computed again at each, or neighbours are read."""
    places: dict[int, set[Node]] = {}
    for n in topological([nest.block]):
        if n.op == "load":
            places.setdefault(n.attr("buffer"), set()).add(n.inputs[0])
    return any(len(p) > 1 for p in places.values())


def table(found: Counter[str]) -> tuple[str, list[str]]:
    """What was reached, as text; what was not and has to be."""
    missing, lines = [], []
    groups: dict[str, list[str]] = {}
    for name in wanted():
        groups.setdefault(name.partition(" ")[0], []).append(name)
    for group, names in groups.items():
        zero = [n for n in names if not found[n] and n not in EXCUSED]
        missing += zero
        reached = sum(bool(found[n]) for n in names)
        least = sorted((found[n], n.partition(" ")[2]) for n in names if found[n])[:5]
        rare = ", ".join(f"{n} {k}" for k, n in least)
        lines.append(f"{group}: {reached} of {len(names)} reached; rarest: {rare}")
    return "\n".join(lines), missing

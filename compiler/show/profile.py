"""`f.profile`: where the time of calls goes, step by step, beside what the machine does at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtime import pool
from ..codegen.host import Generated
from ..schedule.steps import Step
from .html import block, bold, code, lines, paragraph, table, title
from .limits import Limits, limits

if TYPE_CHECKING:
    from ..inspect import Function

WIDTH = 100
MOST = 24  # rows of a printed table
LINES = 3  # of the user's program, a row


class Row(NamedTuple):
    """One step of the host program, over all calls.

    Seconds are those of the calling thread; of a loop or a branch without those of the steps in it, which are rows of
    their own, `inside` that one. Bytes and operations are counted by lengths (compiler/codegen/counted.py).
    """

    name: str
    kind: str  # "kernel", "product", "routine", "loop", "branch", "copy"
    operations: str
    lines: list[str]
    inside: int | None
    runs: int
    seconds: float
    with_steps: float  # the seconds with those of the steps inside
    bytes: int
    flops: int
    dtype: str

    @property
    def gb_per_s(self) -> float:
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gflop_per_s(self) -> float:
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0


class Profile:
    """The steps of a function's calls since it was compiled, or since `reset()`; calls that failed are left out.

    `print` it for a table; `rows`, `calls`, `failed`, `seconds` and `outside` are its parts, `to_dict()` is all of it
    as plain data. It is the function's own: later calls show in it.
    """

    def __init__(self, function: Function):
        self.function = function

    @property
    def rows(self) -> list[Row]:
        """In the order of the program."""
        generated = self.function.stages.generated
        counted = self.function.executor.counted()[2:]  # type: ignore[attr-defined]
        own = [ns for _, ns, _, _ in counted]
        for k, (_, around) in enumerate(generated.profiled):
            if around >= 0:
                own[around] -= counted[k][1]
        names = _names(generated)
        out = []
        for k, (s, around) in enumerate(generated.profiled):
            runs, ns, moved, done = counted[k]
            name, kind = names[s]
            origins = self.function.origins
            places = [p for m in s.members for p in origins.of(m.region)[m.node][:4]]
            user = [str(t) for t in origins.traces(places)]
            operations = _operations(s)
            dtype = s.outputs[0].dtype if s.outputs else ""
            inside = around if around >= 0 else None
            out.append(Row(name, kind, operations, user, inside, runs, own[k] / 1e9, ns / 1e9, moved, done, dtype))
        return out

    @property
    def calls(self) -> int:
        """Calls that ended well."""
        return self.function.executor.counted()[0][0]  # type: ignore[attr-defined]

    @property
    def failed(self) -> int:
        """Calls that ended in an error; nothing else is counted of them."""
        return self.function.executor.counted()[1][0]  # type: ignore[attr-defined]

    @property
    def seconds(self) -> float:
        """Of the calls that ended well, from the entry into C to the return from it."""
        return self.function.executor.counted()[0][1] / 1e9  # type: ignore[attr-defined]

    @property
    def outside(self) -> float:
        """Of these seconds, those in no step: checks, memory, the clock."""
        return self.seconds - sum(r.seconds for r in self.rows)

    @property
    def limits(self) -> Limits:
        """What the machine does at most on as many threads as the function uses; measured once."""
        most = self.function.threads
        return limits(min(pool.threads(), most) if most else pool.threads())

    def reset(self) -> None:
        """Begins anew."""
        self.function.forget()

    def to_dict(self) -> dict[str, Any]:
        limit = self.limits
        rows = self.rows
        steps = []
        for r in rows:
            of_memory, level = memory_share(r, limit)
            steps.append({
                **r._asdict(), "share": r.seconds / self.seconds if self.seconds else 0.0, "gb_per_s": r.gb_per_s,
                "gflop_per_s": r.gflop_per_s, "of_bandwidth": of_memory, "bandwidth": level,
                "of_flops": r.gflop_per_s * 1e9 / limit.flops(r.dtype),
            })  # fmt: skip
        return {
            "function": self.function.name, "calls": self.calls, "failed": self.failed, "seconds": self.seconds,
            "outside": self.seconds - sum(r.seconds for r in rows), "limits": limit._asdict(), "steps": steps,
        }  # fmt: skip

    def __str__(self) -> str:
        limit, rows, total = self.limits, self.rows, self.seconds
        out = [self._head(), _limits_text(limit), _line(HEAD)]
        order = sorted((r for r in rows if r.runs), key=lambda r: -r.seconds)
        for r in order[:MOST]:
            out.append(_line(_cells(r, total, limit)))
            user = r.lines[:LINES] + [f"... and {len(r.lines) - LINES} more"] * (len(r.lines) > LINES)
            below = [f"= {r.operations}"] * bool(r.operations) + user
            out += [_cut(f"{'':10}{t}") for t in below]
        rest = order[MOST:]
        if rest:
            seconds = sum(r.seconds for r in rest)
            out.append(_line((_time(seconds), _share(seconds, total), *[""] * 6, f"{len(rest)} more steps")))
        outside = total - sum(r.seconds for r in rows)
        out.append(_line((_time(outside), _share(outside, total), *[""] * 6, "outside the kernels")))
        return "\n".join(out)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        limit, rows, total = self.limits, self.rows, self.seconds
        shown = []
        for r in sorted((r for r in rows if r.runs), key=lambda r: -r.seconds):
            cells = _cells(r, total, limit)
            what = [r.operations] * bool(r.operations)
            shown.append((*cells[:-1], lines([bold(r.name), *what, *map(code, r.lines[: LINES + 1])])))
        outside = total - sum(r.seconds for r in rows)
        shown.append((_time(outside), _share(outside, total), *[""] * 6, "outside the kernels"))
        return block(title(self._head()), table(HEAD, shown, range(8)), paragraph(_limits_text(limit)))

    def _head(self) -> str:
        calls, seconds = self.calls, self.seconds
        each = f", {_time(seconds / calls)} a call" if calls else ""
        failed = f"; {self.failed:,} failed, not counted" if self.failed else ""
        return f"profile of {self.function}: {calls:,} call{'s' * (calls != 1)}, {_time(seconds)}{each}{failed}"


HEAD = ("time", "share", "runs", "a run", "GB/s", "of max", "GFLOP/s", "of max", "step")
SIZES = (8, 6, 9, 8, 7, 8, 7, 6)


def memory_share(r: Row, limit: Limits) -> tuple[float, str]:
    """The bandwidth of a step as a part of the machine's: of the second caches' where all that it moves fits there."""
    cached = r.runs > 0 and r.bytes / r.runs <= limit.l2 * limit.threads
    return r.gb_per_s * 1e9 / (limit.cache if cached else limit.memory), "L2" if cached else "mem"


def _cells(r: Row, total: float, limit: Limits) -> tuple[str, ...]:
    of_memory, level = memory_share(r, limit)
    moved = (f"{r.gb_per_s:.1f}", f"{of_memory:.0%} {level}") if r.bytes else ("", "")
    of_flops = r.gflop_per_s * 1e9 / limit.flops(r.dtype)
    done = (f"{r.gflop_per_s:.1f}", f"{of_flops:.0%}") if r.flops else ("", "")
    each = _time(r.seconds / max(r.runs, 1))
    return _time(r.seconds), _share(r.seconds, total), f"{r.runs:,}", each, *moved, *done, r.name


def _line(cells: tuple[str, ...]) -> str:
    numbers = " ".join(c.rjust(n) for c, n in zip(cells, SIZES, strict=False))
    return _cut(f"{numbers}  {cells[-1]}".rstrip())


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _share(seconds: float, total: float) -> str:
    return f"{seconds / total:.1%}" if total else ""


def _limits_text(limit: Limits) -> str:
    threads = f"{limit.threads} thread{'s' * (limit.threads != 1)}"
    return _cut(
        f"at most, on {threads}: {limit.memory / 1e9:.0f} GB/s from memory, {limit.cache / 1e9:.0f} from L2; "
        f"{limit.flops_float32 / 1e9:.0f} GFLOP/s float32, {limit.flops_float64 / 1e9:.0f} float64"
    )


def _operations(s: Step) -> str:
    from ..inspect import tally

    return tally(m.node.op for m in s.members) if s.kind == "kernel" or s.inside() else ""


def _names(generated: Generated) -> dict[Step, tuple[str, str]]:
    """What each step is called and what kind of step it is."""
    kernels = {s: name for name, s in generated.calls}
    out = {}
    for s, _ in generated.profiled:
        if s.kind == "kernel":
            out[s] = kernels[s], "kernel"
        elif s.kind in ("scan", "ifelse"):
            out[s] = s.kind, {"scan": "loop", "ifelse": "branch"}[s.kind]
        elif s.kind == "routine":
            inside = " + ".join(kernels[k] for k in s.inside())
            name = f"{s.node.op} ({s.library})" if s.library else s.node.op
            kind = "product" if s.node.op in ("dot", "batched_dot") else "routine"
            out[s] = f"{name} + {inside}" if inside else name, kind
        else:
            out[s] = s.kind, "copy"
    return out


__all__ = ["Profile", "Row"]

"""A program that fails, as Python that shows it by itself: the function compiled as it was (loops divided however
short, results that are lent), the call that differs with its arguments, states and threads, and how far the element
that differs may be. It ends with an error where the difference is there, and without one where it is not."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fuzz_calls
import fuzz_report
import numpy as np
from fuzz_check import THREADS, Group
from fuzz_criterion import plain
from fuzz_program import HEAD, Program
from fuzz_report import Call, Difference, Place, Report, broken, headline, may_pass
from fuzz_slopes import STEP, slopes

import weft

ALONE = 300  # seconds that a text may take
SHOWN = "# Run by itself it ends with "
NOT_SHOWN = "# NOT SHOWN: run by itself, what follows ends without an error."

HELPERS = """\
def restore(values):
    for s, v in zip(storages, values):
        s.replace(v.copy())

def held():
    return [s.array().copy() for s in storages]

def called(function, args):
    \"\"\"The error; what it gives, and what the shared variables hold then.\"\"\"
    error, made = None, []
    try:
        made = [np.array(a) for a in function(*args)]
    except WeftError as e:
        error = e
    return error, [*made, *held()]
"""


def problem(p: Program) -> tuple[Exception, Call] | None:
    """What is wrong with a program, and what was being done when it was seen; None where nothing is."""
    call = Call()
    group: Group | None = None
    try:
        report = Report()
        group = Group([p])
        group.compare(report)
        group.fail(report)
        fuzz_calls.other_calls(group, report)
        group, call = None, Call("slopes")
        slopes(p, report)
    except Exception as e:
        return e, group.call if group is not None else call
    return None


def shown(p: Program) -> str:
    """The text of a program that fails, with what it ends with in a new process, which may be nothing."""
    found = problem(p)
    if found is None:
        return f"# It did not fail again.\n{p.text()}"
    error, call = found
    made = text(p, call, error.place if isinstance(error, Difference) else None)
    said = f"# {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    end = alone(made)
    return f"{said}\n{NOT_SHOWN if end is None else f'{SHOWN}{end}'}\n{made}"


def shows(text: str) -> bool:
    """Whether a text of `shown` fails by itself."""
    return f"\n{SHOWN}" in text


def alone(text: str) -> str | None:
    """How a text ends as a process of its own; None: without an error."""
    root = Path(__file__).parent.parent
    path = os.pathsep.join([str(root), str(root / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shown.py"
        file.write_text(text)
        try:
            done = subprocess.run(
                [sys.executable, str(file)], capture_output=True, text=True, errors="replace", timeout=ALONE,
                cwd=folder, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"nothing in {ALONE} s"
    if done.returncode == 0:
        return None
    return f"signal {-done.returncode}" if done.returncode < 0 else (done.stderr.split("\n")[:-1] or ["exit"])[-1]


def text(p: Program, call: Call, place: Place | None) -> str:
    if call.scene == "slopes":
        return "\n".join([HEAD, *p.lines, "", *_slopes(p, place)])
    ins, outs = ", ".join(p.inputs), ", ".join(p.outputs)
    lent = [f"weft.Out({n}, borrow=True)" if own else n for n, own in zip(p.outputs, p.lent, strict=True)]
    ups, given = (", ".join(f"({a}, {b})" for a, b in pairs) for pairs in (p.updates, p.givens))
    body = SCENES[call.scene](p, call, place)
    return "\n".join([
        "from __future__ import annotations",
        HEAD.rstrip(),
        "from weft.compiler.codegen import c_kernel, c_stages",
        "from weft.runtime.errors import BoundsError, WeftError",
        *sources(body), "",
        f"weft.config.verify, weft.config.reuse = {weft.config.verify}, False",
        "c_kernel.CHUNK = c_stages.CHUNK = 0  # loops are divided among threads however short they are",
        f"weft.set_threads({max(THREADS)})",
        "np.seterr(all='ignore')",
        *p.lines,
        f"given = dict(updates=[{ups}], givens=[{given}], on_unused_input='ignore')",
        f"g = weft.function([{ins}], [{outs}], mode='interpret', **given)",
        f"f = weft.function([{ins}], [{', '.join(lent)}], **given)",
        f"args, count = [{', '.join('w' + n[1:] for n in p.inputs)}], {len(p.outputs)}",
        "storages = g.storages",
        HELPERS,
        "first = held()",
        *body, "",
    ])  # fmt: skip


EMBEDDED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "plain": (plain, ()),
    "same_bits": (fuzz_report.same_bits, ("plain",)),
    "headline": (fuzz_report.headline, ()),
    "told": (fuzz_report.told, ("headline",)),
    "raised": (fuzz_report.raised, ()),
    "restored": (fuzz_report.restored, ()),
    "laid_out": (fuzz_calls.laid_out, ()),
    "lying_elsewhere": (fuzz_calls.lying_elsewhere, ("restored", "same_bits", "laid_out")),
    "with_another": (fuzz_calls.with_another, ("restored", "same_bits", "raised", "headline")),
}


def sources(body: Sequence[str]) -> list[str]:
    """The functions of the command that are used, as they stand there."""
    used: dict[str, None] = {}

    def add(name: str) -> None:
        for other in EMBEDDED[name][1]:
            add(other)
        used[name] = None

    for name in EMBEDDED:
        if any(name in line for line in body):
            add(name)
    if not used:
        return []
    return [
        "import contextlib", "from itertools import pairwise", "from weft.compiler.ir.dtypes import DTYPES", "",
        *("\n" + inspect.getsource(EMBEDDED[name][0]) for name in used),
    ]  # fmt: skip


# The scenes: what the calls of fuzz_check.py and fuzz_calls.py do


def arguments(p: Program, args: Sequence[Any]) -> str:
    """The arguments of a call: the program's own by name, others in full."""
    named = zip(args, p.arguments, p.inputs, strict=True)
    return f"[{', '.join('w' + n[1:] if a is own else literal(np.asarray(a)) for a, own, n in named)}]"


def compared(place: Place | None, want: str = "want") -> list[str]:
    """Fails where the element differs."""
    if place is None:
        return ["print('compiled:', error)", "assert error is None, error"]
    k, at = place.result, place.at
    lines = ["assert error is None, error", f"a, b = np.asarray(got[{k}]), np.asarray({want})"]
    lines += ["print('compiled:', a, 'interpreted:', b, sep='\\n')"]
    lines += ["assert (a.dtype, a.shape) == (b.dtype, b.shape), (a.dtype, a.shape, b.dtype, b.shape)"]
    if at is None:
        return lines
    lines += [f"at = {at}", "a, b = a[at], b[at]"]
    if place.sign:
        return [*lines, "assert a != 0 or np.signbit(a) == np.signbit(b), (a, b)"]
    same = "a == b or (a != a and b != b)"
    if place.allowed is None:
        return [*lines, f"assert {same}, (a, b)"]
    allowed = float(place.allowed).hex()
    return [
        *lines,
        f"allowed = float.fromhex({allowed!r})  # {place.allowed:.3g}: twice the spread of runs, 2 units",
        f"assert {same} or abs(complex(a) - complex(b)) <= allowed, (at, a, b, abs(complex(a) - complex(b)), allowed)",
    ]


BOTH = ["error, got = called(f, args)", "restore(first)", "wanted, want = called(g, args)"]
TWICE = [f"for f.threads in {THREADS}:", "    restore(first)", "    called(f, args)"]


def _called(p: Program, call: Call, place: Place | None) -> list[str]:
    end = ["assert wanted is None, wanted", *compared(place, f"want[{place.result}]" if place else "")]
    return [f"f.threads, args = {call.more}, {arguments(p, call.args)}", *BOTH, *end]


def _untouched(p: Program, call: Call, place: Place | None) -> list[str]:
    rest = sorted(set(range(len(p.lowered().storages))) - set(p.lowered().updates))
    return [
        "given = [np.array(a) for a in args if isinstance(a, np.ndarray)]", *TWICE,
        "    now = [a for a in args if isinstance(a, np.ndarray)]",
        "    assert all(map(same_bits, given, now)), 'it changes an argument'",
        f"    for k in {rest}:  # without an update",
        "        assert same_bits(held()[k], first[k]), 'it changes a shared variable'",
    ]  # fmt: skip


def _threads(p: Program, call: Call, place: Place | None) -> list[str]:
    one, more = THREADS
    return [
        "found = []", f"for f.threads in ({one}, *[{more}] * 20):", "    restore(first)",
        "    found.append(called(f, args))",
        "for error, made in found:", "    assert error is None, error",
        "    for k, (a, b) in enumerate(zip(found[0][1], made)):",
        f"        assert same_bits(a, b), (f'result {{k}}, {one} and {more} threads:', a, b)",
    ]  # fmt: skip


def _again(p: Program, call: Call, place: Place | None) -> list[str]:
    return [
        *TWICE, "between = held()", "error, got = called(f, args)", "after = held()", "restore(between)",
        "wanted, want = called(g, args)",
        "if error is not None or wanted is not None:",
        "    print('compiled:', error, 'interpreted:', wanted, sep='\\n')",
        "    assert None not in (error, wanted) and told(wanted, error)",
        "    assert all(map(same_bits, after, between)), 'it fails, and changes a shared variable'",
        *(["else:", *(f"    {line}" for line in compared(place, f"want[{place.result}]"))] if place else []),
    ]  # fmt: skip


def _after_an_error(p: Program, call: Call, place: Place | None) -> list[str]:
    end = compared(place, f"want[{place.result}]" if place else "")
    return [*TWICE, "called(f, args)  # fails", "restore(first)", *BOTH, *end]


def _fails(p: Program, call: Call, place: Place | None) -> list[str]:
    _, own, threads = call.more
    others = sorted({(type(e).__name__, headline(e)) for e in broken(p, own)})
    return [
        f"f.threads, args = {threads}, {arguments(p, call.args)}",
        "error, _ = called(f, args)", "after = held()", "restore(first)", "wanted, _ = called(g, args)",
        "print('compiled:', error, 'interpreted:', wanted, sep='\\n')",
        f"others = {others}  # what else does not hold",
        "assert all(map(same_bits, after, first)), 'it fails, and changes a shared variable'",
        "if error is None:", f"    assert {may_pass(p, own)}, 'it does not fail'",
        "elif not (f.threads > 1 and isinstance(error, BoundsError) and isinstance(wanted, BoundsError)):",
        "    alike = wanted is not None and told(wanted, error)",
        "    assert alike or (type(error).__name__, headline(error)) in others",
    ]  # fmt: skip


def _rewritten(p: Program, call: Call, place: Place | None) -> list[str]:
    """The reference is the interpreter on the program after its rewriting."""
    lines = [
        "from weft.compiler.ir.interp import evaluate",
        f"f.threads, args = {max(THREADS)}, {arguments(p, call.args)}",
        "error, got = called(f, args)", "restore(first)",
        "want = evaluate(f.stages.simplified, [*g._bind(tuple(args), {})[0], *first])",
    ]  # fmt: skip
    if place is None:
        return [*lines, *compared(None)]
    k, count = place.result, len(p.outputs)
    there = k if k < count else count + p.lowered().updates[k - count]
    return [*lines, *compared(place._replace(result=there), f"want[{k}]")]


def _elsewhere(p: Program, call: Call, place: Place | None) -> list[str]:
    return [
        f"f.threads, layouts = {max(THREADS)}, {call.more}",
        f"found = lying_elsewhere(f, storages, args, {p.lent}, layouts)", "assert found is None, found",
    ]  # fmt: skip


def _in_turn(p: Program, call: Call, place: Place | None) -> list[str]:
    return [
        f"f.threads = {max(THREADS)}",
        f"found = with_another(f, storages, [{', '.join(p.states())}], args)", "assert found is None, found",
    ]  # fmt: skip


def _arena(p: Program, call: Call, place: Place | None) -> list[str]:
    return [
        "from fuzz_memory import overlaps  # of weft's tests/, which has to be on the path",
        "found = overlaps('\\n'.join(text for _, text in f.stages.generated.units))", "assert not found, found",
    ]  # fmt: skip


SCENES: dict[str, Callable[[Program, Call, Place | None], list[str]]] = {
    "build": lambda p, call, place: ["restore(first)", "error, got = called(f, args)", *compared(None)],
    "called": _called, "untouched": _untouched, "threads": _threads, "again": _again,
    "after an error": _after_an_error, "fails": _fails, "rewritten": _rewritten, "elsewhere": _elsewhere,
    "in turn": _in_turn, "arena": _arena,
}  # fmt: skip


def _slopes(p: Program, place: Place | None) -> list[str]:
    """A derivative beside the difference that it was compared with."""
    if place is None:
        return p.text().splitlines()
    s = p.slopes[place.result]
    ins, given = ", ".join(p.inputs), ", ".join(f"({a}, {b})" for a, b in p.givens)
    d = p.direction(s)
    along = "" if s.direction is not None else "want = np.sum(want * d)"
    more = f"mode='interpret', givens=[{given}], on_unused_input='ignore'"
    step = STEP / 2.0 ** np.ceil(np.log2(max(float(np.abs(d).max()), 1.0)))
    return [
        "from weft.compiler.ir.interp import evaluate",
        "from fuzz_kinks import Kinks  # of weft's tests/, which has to be on the path",
        "np.seterr(all='ignore')",
        f"args, d = [{', '.join('w' + n[1:] for n in p.inputs)}], {literal(np.asarray(d))}",
        f"c = weft.function([{ins}], [{s.cost}], {more})",
        f"g = weft.function([{ins}], [{s.result}], {more})",
        f"kinks, h, place = Kinks(), float.fromhex({float(step).hex()!r}), {p.inputs.index(s.wrt)}",
        "def at(t, after):  # the cost along the direction; at a kink it goes on as its derivative says",
        "    moved = tuple(a + t * d if k == place else a for k, a in enumerate(args))",
        "    states = [s.array().copy() for s in c.storages]",
        "    return evaluate(c.executor.region, [*c._bind(moved, {})[0], *states], after=after)[0]",
        "at(0.0, kinks)", "central = (at(h, kinks.again()) - at(-h, kinks.again())) / (2 * h)",
        "want = np.asarray(g(*args)[0])", along,
        f"a, b = np.asarray(want)[{place.at}], np.asarray(central)[{place.at}]",
        f"print('derivative of {s.cost} by {s.wrt}:', a, 'difference:', b, sep='\\n')",
        f"allowed = float.fromhex({float(place.allowed or 0).hex()!r})  # {place.allowed:.3g}",
        "assert abs(a - b) <= allowed, (a, b, allowed)", "",
    ]  # fmt: skip


def literal(array: np.ndarray) -> str:
    """The text of an array: its bits (all NaNs being one) and its layout."""
    if array.size and array.ndim > 1 and not array.flags.c_contiguous and array.flags.f_contiguous:
        return f"np.asfortranarray({_values(array)})"
    if array.size and array.ndim and not array.flags.c_contiguous:
        low = sum(min(0, s * (n - 1)) for s, n in zip(array.strides, array.shape, strict=True))
        high = sum(max(0, s * (n - 1)) for s, n in zip(array.strides, array.shape, strict=True))
        if all(s % array.itemsize == 0 for s in array.strides):
            room = np.zeros((high - low) // array.itemsize + 1, array.dtype)
            np.ndarray(array.shape, array.dtype, room, -low, array.strides)[...] = array
            return (
                f"np.ndarray({array.shape}, {_dtype(array.dtype.name)}, {_values(room)}, {-low}, {array.strides})"
            )
    return _values(array)


def _values(array: np.ndarray) -> str:
    name = array.dtype.name
    if 0 in array.shape:
        return f"np.zeros({array.shape}, {_dtype(name)})"
    if name == "bfloat16":
        return f"{_values(array.astype(np.float64))}.astype({_dtype(name)})"
    if array.dtype.kind == "c":  # a sum of its parts would lose the signs of zeros
        parts = np.stack([array.real, array.imag], axis=-1)
        return f"{_values(parts)}.view({name!r})[..., 0]"
    if array.size > 8:
        bits, places = np.unique(np.ascontiguousarray(array).view(f"u{array.itemsize}"), return_inverse=True)
        some = bits.view(array.dtype)
        if len(some) == 1:
            return f"np.full({array.shape}, {some[0].item()!r}, {name!r})"
        if array.size > 500 and len(some) < 40:
            return f"{_values(some)}[np.array({places.reshape(array.shape).tolist()})]"
    return f"np.array({array.tolist()}, {name!r})"


def _dtype(name: str) -> str:
    return "weft.compiler.ir.dtypes.numpy_dtype('bfloat16')" if name == "bfloat16" else repr(name)


__all__ = ["alone", "literal", "problem", "shown", "shows", "text"]

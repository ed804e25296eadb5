"""Mutants that no test is to find: nothing can tell them from what they are made of, or only time and memory do.

Kind and name as `python tests/mutate.py --list` gives them; why. tests/test_mutate.py looks that each is there."""

from __future__ import annotations

REAL = "the condition is that numbers are real; others have no such operation"
ROUNDED = "what else would be folded is right too, but for NumPy's rounding"
STRETCHED = "lengths agree by an obligation, and replacements are stretched"

CONDITIONS = {
    "div-by-product": "for complex numbers too it is right but for rounding and infinities",
    "div-power-of-two": "for complex numbers too a power of two divides exactly",
    "expm1-log1p": REAL,
    "log1p-expm1": REAL,
    "merge maximum(maximum(x, a), b)": REAL,
    "merge minimum(minimum(x, a), b)": REAL,
    "one-plus-tanh": REAL,
    "one-minus-tanh": REAL,
    "lt-self": "false of NaN as well",
    "gt-self": "false of NaN as well",
    "fold-elementwise": ROUNDED,
    "fold-view": ROUNDED,
    "fold-reduction": ROUNDED,
    "set-slice-whole": STRETCHED,
    "inc-slice-whole": STRETCHED,
}

TIME = "time is counted in steps of two"
LONGER = "a buffer lives longer, which costs memory at most"
GUARD = "a second guard: what a loop's body reads is among the loop's arguments, which live as long"
SCALARS = "no result of a branch or a loop is known that the host computes and that is no length"
COMMIT = "a second guard: what a kernel behind the commit reads lives until its check, and nothing is made after that"

LIFETIMES = {
    "Builder.use: if n.op != 'const': never": "an internal check",
    "Builder.result: if target is None: never": "the size of a number is known, so that it always has a target",
    "Builder.result: o.ndim == 0: Eq is NotEq": SCALARS,
    "Builder.result: o.ndim == 0: 0 is 1": SCALARS,
    "Builder.result: o.family == 'elementwise': Eq is NotEq": SCALARS,
    "Builder.result: o not in self.value: NotIn is In": SCALARS,
    "Builder.result: self.time += 1: 1 is 2": TIME,
    "Builder.result: self.time += 1: 1 is 2 (2)": TIME,
    "Builder.control: self.time += 1: 1 is 2": TIME,
    "Builder.scan: self.time += 1: 1 is 2": TIME,
    "Builder.outputs: item is not None: IsNot is Is": "results are made elsewhere, and copied to where they are wanted",
    "Builder.control: if n.op == 'scan': never": GUARD,
    "Builder.control: n.op == 'scan': Eq is NotEq (2)": GUARD,
    "Builder.control: if used.end > outputs[0].start if outputs else False: never": GUARD,
    "Builder.control: used.end > outputs[0].start: Gt is GtE": LONGER,
    "Builder.control: used.end > outputs[0].start if outputs else False: False is True": LONGER,
    "Builder.scan: 1 - min(offsets): 1 is 2": "a ring has a row more",
    "Builder.scan: step.params[0]: 0 is 1": "rows are no memory of their own, and other arguments live on by `control`",
    "Builder.scan: t is not None: IsNot is Is (2)": "rows are no memory of their own; whether to stop is asked last",
    "build_program: len(source.params) - inputs: Sub is Add": "the number of states is printed only",
    "build_program: b.time + 1: Add is Sub": COMMIT,
    "build_program: b.time + 1: 1 is 2": LONGER,
    "build_program: if m in block.value: never": COMMIT,
    "build_program: m in block.value: In is NotIn": COMMIT,
    "build_program: b.time + 1: Add is Sub (2)": COMMIT,
    "build_program: b.time + 1: 1 is 2 (2)": LONGER,
    "plan_memory: segments = 2: 2 is 3": "a segment more, which nothing lies in",
    "plan_memory: segments += 1: 1 is 2": "segments more, which nothing lies in",
    "plan_memory: if free.get(size): never": "buffers share no memory",
    "plan_memory: now = -1: 1 is 2": "a time more, at which nothing ends",
    "plan_memory: now += 1: 1 is 2": "what ends at every other time is not used again, which costs memory",
}

KNOWN: dict[tuple[str, str], str] = {
    **{("lifetime", f"program.{name}"): why for name, why in LIFETIMES.items()},
    **{("rule", f"{rule}: without its condition"): why for rule, why in CONDITIONS.items()},
}

__all__ = ["KNOWN"]

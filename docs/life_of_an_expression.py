"""Writes docs/life_of_an_expression.md: one expression and its gradient, as every stage of the compiler prints it.

    python docs/life_of_an_expression.py            compares, and says whether the page is up to date
    python docs/life_of_an_expression.py --write    writes the page anew
"""

from __future__ import annotations

import linecache
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".md")

PROGRAM = """\
import weft
import weft.tensor as T

x, w, b = T.dvectors("x", "w", "b")
cost = T.tanh(x * w + b).sum()
gradient = weft.grad(cost, w)
f = weft.function([x, w, b], [cost, gradient], name="f")
"""

TEXT = """\
# The life of one expression

What follows is printed by the compiler, not written by hand: `python docs/life_of_an_expression.py --write` makes this
page, and a test compares it. The folders that the stages stand in are on [the map](architecture.md).

The program:

```python
{program}```

## 1. What the user declared: `weft.printing.debugprint([cost, gradient])`

Variables, one for each expression that was written (`compiler/graph/`) and for each that the rules of the gradient
wrote (`compiler/grad/`). `[id B]` met again is the same Variable.

```text
{declared}```

## 2. The region: `f.stages.source`

`function` lowers Variables to Nodes once (`compiler/graph/lowering.py`). Equal subexpressions are one Node. Lengths are
expressions over the inputs' dimensions: `d1.0` is axis 0 of parameter 1. What an operation asks of its arguments has
become a `check`, which knows the user's line.

```text
{source}```

## 3. Simplified: `f.graph`

The rules of `compiler/simplify/` have run until none applies. Assuming the checks, all lengths are one.

```text
{graph}```

## 4. Kernels: `f.kernels`

`compiler/schedule/fuse.py` has decided what runs together. A kernel's body is a region of its own, over its own
parameters (`n0` is the length that it is called with).

```text
{kernels}```

## 5. Steps: `f.steps`

`compiler/schedule/program.py` has put kernels and routines in order and planned where each value lies: `b5` is stored
between two kernels, `b6` holds the partial sums of the parallel loop. What is checked stands before what rests on it.

```text
{steps}```

## 6. Loops: `f.loops`

`compiler/lower/` makes each kernel a loop nest with loads and stores; `p0`, `p1`, ... are the kernel's arrays.

```text
{loops}```

## 7. C: `f.source`

`compiler/codegen/` prints it. A sum runs in blocks of 1024 elements with 8 lanes each, whatever the machine, so that
its bits do not depend on the number of threads or on the vector width. Of the whole text here are the functions that
compute:

```c
{c}```

## 8. The report: `f.report()`

Without its last line, the seconds that each stage took.

```text
{report}```
"""


def run(text: str, filename: str) -> dict[str, Any]:
    """What a program defines; messages can quote its lines as if it stood in that file."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    names: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), names)
    return names


def function_of(source: str, name: str) -> str:
    """The definition of one C function."""
    found = re.search(rf"^static [^\n]* {name}\([^\n]*\{{\n.*?^\}}\n", source, re.MULTILINE | re.DOTALL)
    assert found, f"no function {name} in the source"
    return found[0]


def page() -> str:
    names = run(PROGRAM, "life.py")
    import weft
    from weft.compiler.ir import text

    f = names["f"]
    functions = re.findall(r"^static \w+ (\w+)\(", f.source, re.MULTILINE)
    wanted = [n for n in functions if re.search(r"stage|body|^run$", n)]
    return TEXT.format(
        program=PROGRAM,
        declared=weft.printing.debugprint([names["cost"], names["gradient"]], file="str"),
        source=line(text.dump(f.stages.source)),
        graph=line(f.graph),
        kernels="\n".join(line(k) for k in f.kernels),
        steps=line(f.steps),
        loops="\n".join(line(n) for n in f.loops),
        c="\n".join(function_of(f.source, n) for n in wanted),
        report=line("\n".join(str(f.report()).splitlines()[:-1])),
    )


def line(shown: str) -> str:
    return str(shown).rstrip() + "\n"


def main() -> None:
    new = page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(new)
    elif not PAGE.exists() or PAGE.read_text() != new:
        sys.exit(f"{PAGE.name} is out of date: python docs/{PAGE.stem}.py --write")


if __name__ == "__main__":
    main()

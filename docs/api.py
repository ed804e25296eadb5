"""Prints docs/api.md, the reference of all public names, from their docstrings.

    python docs/api.py --write
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "api.md"
MODULES = {
    "weft": "functions, shared variables, gradients, loops, settings, errors",
    "weft.tensor": "tensors and what is done with them (`import weft.tensor as T`)",
    "weft.tensor.nnet": "functions of neural networks",
    "weft.tensor.signal": "windows and pooling",
    "weft.tensor.slinalg": "factorisations and triangular systems",
    "weft.tensor.shared_randomstreams": "random numbers",
    "weft.gradient": "derivatives",
    "weft.ifelse": "branches",
    "weft.scan_module": "loops",
    "weft.sparse": "sparse matrices",
    "weft.compile": "modes, Python operations, functions of graphs",
    "weft.printing": "graphs as text",
    "weft.optimizers": "updates of training steps",
    "weft.init": "first values of parameters",
    "weft.training": "minibatches, the loop, checkpoints",
    "weft.estimators": "networks for scikit-learn",
}
CONSTRUCTOR = re.compile(r"[bwiulfdcz]?(scalar|vector|row|col|matrix|matrice|tensor\d)s?")


def public() -> dict[str, dict[str, Any]]:
    """Module -> name -> object, each object where it is listed first."""
    seen: set[int] = set()
    found: dict[str, dict[str, Any]] = {}
    for module in MODULES:
        loaded = importlib.import_module(module)
        names = {n: getattr(loaded, n) for n in sorted(loaded.__all__, key=str.lower)}
        names = {n: o for n, o in names.items() if not inspect.ismodule(o) and not n.startswith("__")}
        found[module] = {n: o for n, o in names.items() if id(o) not in seen}
        seen |= {id(o) for o in found[module].values()}
    return found


def signature(o: Any) -> str:
    """Parameters with their defaults, without annotations."""
    try:
        s = inspect.signature(o)
    except (TypeError, ValueError):
        return ""
    plain = [p.replace(annotation=p.empty) for p in s.parameters.values()]
    text = str(s.replace(parameters=plain, return_annotation=s.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def entry(name: str, o: Any, same: list[str]) -> list[str]:
    """The lines of one name; `same` are others of the same object."""
    said = inspect.getdoc(o) if callable(o) else None
    head = f"`{name}{signature(o) if callable(o) and not (isinstance(o, type) and issubclass(o, Exception)) else ''}`"
    also = f" (also {', '.join(f'`{n}`' for n in same)})" if same else ""
    lines = [f"**{head}**{also}", ""]
    if not callable(o):
        return [*lines, f"{type(o).__name__}: {inspect.getdoc(type(o)) or ''}".rstrip(": "), ""]
    # What is indented in a docstring is a program or a formula.
    return [*lines, *(f"    {line}" if line.startswith("    ") else line for line in (said or "").splitlines()), ""]


def page() -> str:
    out = [
        "# Reference", "",
        "All public names, from their docstrings: printed by `python docs/api.py --write`. What operations mean to the",
        "bit is in [semantics.md](semantics.md); a name stands in the first module that lists it.", "",
    ]  # fmt: skip
    found = public()
    out += [f"- [{m}](#{m.replace('.', '')}): {what}" for m, what in MODULES.items()]
    for module, names in found.items():
        out += ["", f"## {module}", "", f"{MODULES[module][0].upper()}{MODULES[module][1:]}.", ""]
        by_object: dict[int, list[str]] = {}
        for n, o in names.items():
            by_object.setdefault(id(o), []).append(n)
        constructors = [n for n in names if CONSTRUCTOR.fullmatch(n)]
        if module == "weft.tensor":
            bases = {n: CONSTRUCTOR.fullmatch(n)[1] for n in constructors}  # type: ignore[index]
            plain = ", ".join(f"`{n}`" for n, base in bases.items() if base == n)
            letters = ", ".join(sorted({n[0] for n, base in bases.items() if base == n[1:]}))
            out += [
                f"Constructors of inputs of `config.floatX`: {plain}.",
                f"A letter in front gives another dtype ({letters}: `lvector` of int64, `fmatrix` of float32),",
                "with an s behind they make several (`dscalars`).", "",
            ]  # fmt: skip
        for n, o in names.items():
            first, *same = by_object[id(o)]
            if n == first and not (module == "weft.tensor" and n in constructors):
                out += entry(n, o, same)
    return "\n".join(out).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/api.md; else to standard output")
    text = page()
    if parser.parse_args().write:
        PAGE.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()

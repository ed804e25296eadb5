"""What the compiler made of a function of a script: its report, on standard output.

example:
  weft explain script.py:step
  weft explain 'script.py:T.tanh(x).sum()'
  weft explain script.py

The script is run as `python script.py` would run it; what it prints, then or
when the name is looked up, goes to standard error. Behind the colon stands
the name of a compiled function, or Python that gives one, or an expression,
which is then compiled with what it needs as inputs. Without it, the names
that can stand there are listed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..compiler.graph.function import function
from ..compiler.graph.modes import MODES
from ..compiler.graph.shared import SharedVariable
from ..compiler.graph.variable import Constant, Variable, ancestors
from ..compiler.inspect import Function
from ..runtime.errors import ArgumentError, InternalError, WeftError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="SCRIPT.py:NAME", help="a script, and a name or an expression of it")
    parser.add_argument("--json", action="store_true", help="the report's figures as JSON")


def run(options: argparse.Namespace) -> int:
    path, colon, name = options.what.partition(".py:")
    script = Path(path + ".py" if colon else path)
    if not script.is_file():
        raise ArgumentError(f"there is no script {script}; it is written weft explain script.py:name")
    names = executed(script)
    known = {k: v for k, v in names.items() if explainable(v) and not k.startswith("_")}
    if not name:
        if not known:
            raise ArgumentError(
                f"{script} leaves no compiled function and no expression behind. What a function of it gives can be "
                f"explained: {script}:'make()'"
            )
        print("\n".join(f"{k}  {describe(v)}" for k, v in known.items()))
        return 0
    found = value_of(name, names, script, known)
    f = found if isinstance(found, Function) else compiled(found)
    if options.json:
        s = f.stages
        figures: dict[str, Any] = {}
        if MODES[f.mode].compiled:
            figures = {"kernels": len(s.generated.kernels), "calls": len(s.generated.calls)}
            if not f.arguments:  # all lengths are known
                figures = f.summary()
        print(json.dumps({"name": str(f), **figures, "report": str(f.report())}))
        return 0
    print(f.report())
    return 0


@contextlib.contextmanager
def _to_standard_error() -> Iterator[None]:
    """What is printed goes there, by this process and by those that it starts."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def executed(script: Path) -> dict[str, Any]:
    """The names that a script leaves behind, also where it ends itself without an error, by sys.exit(main())."""
    argv, path, main = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv, sys.path = [str(script)], [str(script.resolve().parent), *sys.path]
    module = types.ModuleType("__main__")
    module.__file__ = file = os.path.abspath(script)
    sys.modules["__main__"] = module
    try:
        with _to_standard_error():
            exec(compile(script.read_bytes(), file, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as e:
        if e.code:
            raise WeftError(f"{script} ended itself (exit {e.code}) before its names could be looked at") from None
    except (InternalError, KeyboardInterrupt):
        raise
    except BaseException as e:
        raise WeftError(f"{script} failed:\n{own_traceback(e, script)}") from None
    finally:
        sys.argv, sys.path, sys.modules["__main__"] = argv, path, main
    return module.__dict__


def own_traceback(error: BaseException, script: Path) -> str:
    """From the first line of the script on."""
    frames = traceback.extract_tb(error.__traceback__)
    own = script.resolve()
    start = next((k for k, f in enumerate(frames) if Path(f.filename).resolve() == own), len(frames))
    text = "".join(traceback.format_list(frames[start:]))
    return text + "".join(traceback.format_exception_only(error)).rstrip()


def value_of(name: str, names: dict[str, Any], script: Path, known: dict[str, Any]) -> Any:
    try:
        with _to_standard_error():
            found = eval(compile(name, "<name>", "eval", dont_inherit=True), names)
    except SystemExit as e:
        raise WeftError(f"{name} ended itself (exit {e.code})") from None
    except Exception as e:
        there = f" It has {', '.join(known)}." if known else ""
        raise ArgumentError(f"{script} has no {name!r}: {type(e).__name__}: {e}.{there}") from None
    if not explainable(found):
        hint = f", such as {name}() may give" if callable(found) else ""
        raise ArgumentError(f"{name} is {_kind(found)}; a compiled function or an expression can be explained{hint}")
    return found


def _kind(v: Any) -> str:
    return "an input, of which nothing is computed" if isinstance(v, Variable) else f"of type {type(v).__name__}"


def explainable(v: Any) -> bool:
    if isinstance(v, (list, tuple)):
        return bool(v) and all(isinstance(i, Variable) for i in v)
    return isinstance(v, Function) or (isinstance(v, Variable) and v.owner is not None)


def describe(v: Any) -> str:
    return "a compiled function" if isinstance(v, Function) else "an expression"


def compiled(v: Any) -> Function:
    """A function of the leaves without a value that an expression, or several, depend on."""
    outputs = list(v) if isinstance(v, (list, tuple)) else [v]
    leaves = [a for a in ancestors(outputs) if a.owner is None and not isinstance(a, (Constant, SharedVariable))]
    return function(leaves, outputs, name="expression")

"""Arrows between the folders point one way. The tables say which may import which; the source is read, not run.

A function body or a TYPE_CHECKING block makes an import lazy: it closes no cycle at start-up, and only the LAZY
table allows it beyond the ALLOWED one. An entry stands for itself and what lies below it: "runtime" allows
`runtime.errors`, "runtime.errors" only that module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

COMPILER = (
    "ir", "graph", "grad", "simplify", "schedule", "lower", "codegen", "build", "messages", "inspect", "show",
    "executors",
    "pipeline",
)  # fmt: skip

# folder -> what its files may import of weft, beside the folder itself
ALLOWED: dict[str, tuple[str, ...]] = {
    "kernels": (),
    "runtime": (),
    "ir": ("runtime.errors", "kernels.philox_reference"),
    "graph": ("ir", "runtime"),
    "grad": ("ir", "graph", "runtime.errors"),
    "simplify": ("ir", "runtime.errors"),
    "schedule": ("ir", "runtime.errors"),
    "lower": ("ir", "schedule", "runtime.errors"),
    "codegen": ("ir", "lower", "schedule", "runtime.errors"),
    "build": ("ir", "runtime"),
    "messages": ("ir", "graph"),
    "executors": ("ir", "graph", "messages", "runtime"),
    "inspect": ("ir", "graph", "schedule", "codegen", "runtime"),
    "show": ("ir", "graph", "schedule", "codegen", "build", "inspect", "runtime"),
    "pipeline": (*COMPILER, "runtime"),
    "compiler": (),  # compiler/__init__.py: a docstring
    "weft": (*COMPILER, "runtime"),
    "models": ("weft",),
}
LAZY: dict[str, tuple[str, ...]] = {
    "graph": ("grad", "pipeline", "show"),
    "messages": ("pipeline", "schedule.steps"),
    "inspect": ("pipeline", "schedule.steps", "codegen.cuda_kernel", "show"),
    "weft": ("models",),
}

# Folders of the root that are packages inside weft, and never top-level names.
INSIDE = ("compiler", "runtime", "kernels", "models")
PACKAGES = ("weft", *INSIDE)
READ = (*PACKAGES, "tests", "bench", "examples", "docs")

MAX_LINES = 600
# path -> why the file is one and not two
LONG: dict[str, str] = {}
COUNTED = (".py", ".c", ".h", ".cu", ".cuh")

Fault = tuple[str, int, str]


def layer(module: str) -> str:
    """As the tables write it: `weft.compiler.ir.node` -> `ir.node`, `weft.runtime.errors` -> `runtime.errors`."""
    parts = module.split(".")
    if parts[:2] == ["weft", "compiler"]:
        return ".".join(parts[2:]) if len(parts) > 2 and parts[2] in COMPILER else ".".join(parts[1:])
    return ".".join(parts[1:]) if len(parts) > 1 and parts[1] in INSIDE else module


def module_of(path: Path) -> str:
    """The dotted name of a file, from its path relative to the root; a package has its folder's."""
    parts = [*path.parent.parts, *([] if path.stem == "__init__" else [path.stem])]
    return ".".join(parts if parts[0] == "weft" else ["weft", *parts])


def files(root: Path, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """Files of these kinds, relative to the root."""
    return sorted(p.relative_to(root) for f in READ for p in (root / f).rglob("*") if p.suffix in suffixes)


def lazy_nodes(tree: ast.AST) -> set[ast.AST]:
    """Nodes that do not run when the module is imported."""

    def delays(n: ast.AST) -> list[ast.stmt]:
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef):
            return n.body
        return n.body if isinstance(n, ast.If) and ast.unparse(n.test).split(".")[-1] == "TYPE_CHECKING" else []

    return {m for n in ast.walk(tree) for s in delays(n) for m in ast.walk(s)}


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[ast.AST, str, bool]]:
    """Each imported name as (node, absolute dotted name, written relative?); `?` is a name known only at run time."""

    def absolute(level: int, name: str) -> str:
        parts = module.split(".")
        keep = len(parts) + is_package - level
        return ".".join([*parts[:keep], *([name] if name else [])]) if keep > 0 else f"?{'.' * level}{name}"

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, a.name, False) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.level, node.module or "") if node.level else node.module or ""
            yield from ((node, f"{base}.{a.name}", node.level > 0) for a in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "?"
            name = str(name)
            level = len(name) - len(name.lstrip("."))
            yield node, absolute(level, name[level:]) if level else name, level > 0


def may_import(source: str, target: str, lazy: bool) -> bool:
    allowed = (source, *ALLOWED[source], *(LAZY.get(source, ()) if lazy else ()))
    return any(target == a or target.startswith(a + ".") for a in allowed)


def import_faults(root: Path) -> list[Fault]:
    found = []
    for path in files(root):
        text = (root / path).read_text()
        tree = ast.parse(text)
        module, folder = module_of(path), path.parts[0]
        source = layer(module).split(".")[0]
        lazy = lazy_nodes(tree)
        for node, name, relative in imports(tree, module, path.stem == "__init__"):
            line = getattr(node, "lineno", 0)
            first = name.split(".")[0]
            if first in INSIDE:
                found.append((path.as_posix(), line, f"top-level {name}: say weft.{name} or import relatively"))
            elif folder not in PACKAGES:
                continue
            elif first.startswith("?"):
                if source not in ("weft", "models"):  # which nothing below imports
                    found.append((path.as_posix(), line, "an import that cannot be read off the source"))
            elif first != "weft":
                continue
            elif not relative and source != "models":
                found.append((path.as_posix(), line, f"absolute {name}: imports inside are relative"))
            elif source not in ALLOWED:
                found.append((path.as_posix(), line, f"{source} stands in no table"))
            elif not may_import(source, layer(name), node in lazy):
                how = "even lazily" if node in lazy else "at import time"
                found.append((path.as_posix(), line, f"{source} may not import {layer(name)} {how}"))
    return found


def recursion_faults(root: Path) -> list[Fault]:
    """Uses of what makes room for recursion over graphs: walks are loops here."""
    banned = {("sys", "setrecursionlimit"), ("threading", "stack_size"), ("_thread", "stack_size")}
    found = []
    for path in files(root):
        for node in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(node, ast.ImportFrom):
                uses = {(node.module or "", a.name) for a in node.names}
            elif isinstance(node, ast.Attribute):
                uses = {(ast.unparse(node.value), node.attr)}
            else:
                continue
            found += [(path.as_posix(), node.lineno, f"{'.'.join(u)}: walk with a loop") for u in uses & banned]
    return found


def length_faults(root: Path, listed: dict[str, str]) -> list[Fault]:
    found = []
    lines = {p.as_posix(): len((root / p).read_text().splitlines()) for p in files(root, COUNTED)}
    for path, n in lines.items():
        if n > MAX_LINES and path not in listed:
            found.append((path, n, f"above {MAX_LINES} lines: split it, or list it with a reason"))
    for path in listed:
        if lines.get(path, 0) <= MAX_LINES:
            found.append((path, lines.get(path, 0), "listed as long and is not: take it off the list"))
    return found


def report(faults: list[Fault]) -> str:
    return "\n".join(f"{path}:{line}: {what}" for path, line, what in faults)


needs_source = pytest.mark.skipif(not (ROOT / "compiler").is_dir(), reason="reads the source tree")


@needs_source
def test_imports_follow_the_arrows() -> None:
    faults = import_faults(ROOT)
    assert not faults, "\n" + report(faults)


@needs_source
def test_no_room_is_made_for_recursion() -> None:
    faults = recursion_faults(ROOT)
    assert not faults, "\n" + report(faults)


@needs_source
def test_no_file_is_too_long() -> None:
    faults = length_faults(ROOT, LONG)
    assert not faults, "\n" + report(faults)


@needs_source
def test_every_folder_stands_in_the_table() -> None:
    inside = {p.name for p in (ROOT / "compiler").iterdir() if (p / "__init__.py").is_file()}
    assert inside <= set(COMPILER)
    assert {*COMPILER, *PACKAGES} == set(ALLOWED)


def test_eager_arrows_form_no_cycle() -> None:
    done: set[str] = set()
    arrows = {f: {t.split(".")[0] for t in targets} - {f} for f, targets in ALLOWED.items()}
    while ready := {f for f in arrows if f not in done and arrows[f] <= done}:
        done |= ready
    assert done == set(ALLOWED)


def plant(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("runtime/load.py", "from ..compiler.ir import Node"),
        ("runtime/load.py", "def f():\n    from ..compiler import ir"),
        ("runtime/load.py", "from .. import tensor"),
        ("runtime/load.py", "from .. import __version__"),
        ("runtime/load.py", "import importlib\nimportlib.import_module('weft.compiler.ir')"),
        ("runtime/load.py", "import importlib\nimportlib.import_module('..compiler.ir', __package__)"),
        ("runtime/load.py", "import importlib\nimportlib.import_module('weft.' + 'compiler')"),
        ("runtime/__init__.py", "from ..compiler import build"),
        ("kernels/__init__.py", "from ..runtime import load"),
        ("compiler/__init__.py", "from . import ir"),
        ("compiler/ir/node.py", "from ..graph import Variable"),
        ("compiler/ir/node.py", "if True:\n    from ..graph.var import Variable"),
        ("compiler/ir/node.py", "import typing\nif typing.TYPE_CHECKING:\n    from ..graph import Variable"),
        ("compiler/ir/deep/node.py", "from ...graph import Variable"),
        ("compiler/ir/node.py", "from ... import runtime"),
        ("compiler/ir/node.py", "from ....weft import x"),
        ("compiler/ir/node.py", "from weft.compiler.ir.types import Type"),
        ("compiler/ir/node.py", "import compiler.ir.types"),
        ("compiler/graph/var.py", "from ..grad import pullback"),
        ("compiler/graph/var.py", "from .. import pipeline"),
        ("compiler/graph/var.py", "def f():\n    from ..schedule import fuse"),
        ("compiler/simplify/rules.py", "from ..graph import Variable"),
        ("compiler/schedule/fuse.py", "from ..lower import nest"),
        ("compiler/lower/nest.py", "from ..codegen import c"),
        ("compiler/codegen/c.py", "from ..build import cache"),
        ("compiler/build/cache.py", "from ..schedule import program"),
        ("compiler/extra/new.py", "from ..ir import Node"),
        ("weft/gradient.py", "from .models import digits"),
        ("weft/gradient.py", "from .kernels import path"),
        ("models/digits.py", "from weft.compiler.graph import Variable"),
        ("models/digits.py", "from ..runtime import load"),
        ("tests/test_x.py", "from compiler.ir import Node"),
        ("bench/run.py", "def f():\n    import runtime"),
        ("examples/x.py", "import kernels as k"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, path: str, text: str) -> None:
    plant(tmp_path, path, text)
    assert [f[0] for f in import_faults(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("runtime/load.py", "import numpy as np\nfrom . import buffers\nfrom .errors import WeftError"),
        ("compiler/ir/node.py", "from . import types\nfrom .. import ir\nfrom ..ir.types import Type"),
        ("compiler/graph/var.py", "from ..ir import Node\ndef f():\n    from .. import grad, pipeline"),
        ("compiler/grad/rules.py", "from .. import graph, ir"),
        ("compiler/build/cache.py", "from ...runtime.program import Program"),
        ("compiler/pipeline.py", "from . import build, codegen, ir, simplify\nfrom ..runtime import load"),
        ("weft/gradient.py", "from .compiler.grad import grad\nfrom . import tensor"),
        ("weft/tensor/__init__.py", "from ..compiler.graph import Variable"),
        ("weft/cli.py", "def train(name):\n    from .models import digits"),
        ("weft/cli.py", "import importlib\ndef train(name):\n    importlib.import_module(f'.models.{name}', 'weft')"),
        ("models/digits.py", "import weft\nimport weft.tensor as T\nfrom weft import function\nfrom . import mlp"),
        ("tests/test_x.py", "from weft.compiler.ir import Node"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, path: str, text: str) -> None:
    plant(tmp_path, path, text)
    assert report(import_faults(tmp_path)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.setrecursionlimit(10**6)",
        "from sys import setrecursionlimit as more",
        "import threading\ndef f():\n    threading.stack_size(2**28)",
        "from threading import stack_size",
        "import _thread\n_thread.stack_size(0)",
    ],
)
def test_room_for_recursion_is_found(tmp_path: Path, text: str) -> None:
    plant(tmp_path, "tests/test_deep.py", text)
    plant(tmp_path, "runtime/buffers.py", "arena.stack_size = 3")
    assert len(recursion_faults(tmp_path)) == 1


def test_a_long_file_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "kernels/gemm.h", "\n" * 601)
    plant(tmp_path, "weft/short.py", "\n" * 600)
    assert [f[0] for f in length_faults(tmp_path, {})] == ["kernels/gemm.h"]
    assert length_faults(tmp_path, {"kernels/gemm.h": "one table"}) == []
    assert len(length_faults(tmp_path, {"kernels/gemm.h": "one table", "weft/short.py": "?", "gone.py": "?"})) == 2

"""compiler/build/toolchain.py: which compiler is taken, what it is asked, and what its errors become."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from weft.compiler.build import toolchain
from weft.compiler.build.library import compile_library, included, key_of
from weft.compiler.graph.config import config
from weft.runtime.errors import ArgumentError, CompileError

ROOT = Path(__file__).resolve().parents[1]
ONE = [("one.c", "int one(void) { return 1; }\n")]


@pytest.fixture
def script(tmp_path):
    """A compiler of our own: the system's behind a shell script."""

    def script(text, name="mycc"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return script


def call(path, name):
    return getattr(ctypes.CDLL(str(path)), name)()


def test_the_found_compiler_takes_the_flags():
    chain = toolchain.find()
    assert set(toolchain.REQUIRED) <= set(chain.flags) <= {*toolchain.REQUIRED, *toolchain.OPTIONAL}
    assert "-march=native" in chain.flags
    assert chain.version and chain.cpu and chain is toolchain.find()


def test_a_named_compiler_with_arguments(script, tmp_path):
    chain = toolchain.find(script('exec cc "$@"') + " -DNAMED=7")
    assert chain.command[1:] == ("-DNAMED=7",)
    path = compile_library([("a.c", "int f(void) { return NAMED; }")], cc=" ".join(chain.command), cache_dir=tmp_path)
    assert call(path, "f") == 7


def test_settings_that_are_paths(script, tmp_path, monkeypatch):
    (tmp_path / "of mine").mkdir()
    cc = script('exec cc "$@"', "of mine/gcc")
    monkeypatch.setattr(config, "cc", Path(cc))
    assert toolchain.find(config.cc).command == (cc,)
    monkeypatch.setattr(config, "cc", None)
    monkeypatch.setattr(config, "cache_dir", tmp_path)
    assert config.cc == "" and config.cache_dir == str(tmp_path)
    for name, value in (("cc", 5), ("cc", ["gcc"]), ("cache_dir", b"bytes"), ("cache_dir", "nul\0")):
        with pytest.raises(ArgumentError, match=rf"weft\.config\.{name} is a string or a path, not "):
            setattr(config, name, value)


def test_a_name_that_is_not_utf8(script, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xffcc")
    os.rename(script('exec cc "$@"'), name)
    path = compile_library(ONE, cc=name, cache_dir=tmp_path)
    assert call(path, "one") == 1 and compile_library(ONE, cc=name, cache_dir=tmp_path) == path


def test_optional_flags_that_are_refused_are_left_out(script):
    refuses = 'for a in "$@"; do case $a in *vector-width*) echo "error: $a?" >&2; exit 1;; esac; done; exec cc "$@"'
    chain = toolchain.find(script(refuses))
    assert chain.flags == tuple(f for f in (*toolchain.REQUIRED, *toolchain.OPTIONAL) if "vector-width" not in f)


def test_a_compiler_that_breaks_down_tries_again_without_vectors(script, tmp_path):
    breaks = (
        'case "$*" in *weft-probe-*|*--version*|*-fno-tree-vectorize*) exec cc "$@";; esac\n'
        'echo "one.c:1:1: internal compiler error: in extract_insn" >&2; exit 1'
    )
    assert call(compile_library(ONE, cc=script(breaks), cache_dir=tmp_path / "cache"), "one") == 1


def test_a_compiler_without_a_required_flag(script):
    refuses = 'for a in "$@"; do case $a in -fwrapv) echo "error: $a?" >&2; exit 1;; esac; done; exec cc "$@"'
    with pytest.raises(CompileError, match=r"mycc cannot compile weft's C:\n  error: -fwrapv\?"):
        toolchain.find(script(refuses))


def test_a_compiler_that_writes_nothing(script):
    with pytest.raises(CompileError, match=r"mycc cannot compile weft's C:\n  no error, but it wrote no file"):
        toolchain.find(script("exit 0"))


def test_a_compiler_that_writes_something_else(script, tmp_path):
    writes = 'while [ "$1" != -o ]; do shift; done; echo rubbish > "$2"'
    with pytest.raises(CompileError, match=r"weft's C:\n  no error, but what it wrote is no machine code"):
        toolchain.find(script(f'case "$*" in *--version*) exit 0;; esac; {writes}'))
    links = script(f'case "$*" in *-shared*) ;; *) exec cc "$@";; esac; {writes}')
    with pytest.raises(CompileError, match="what it wrote is no machine code"):
        compile_library(ONE, cc=links, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_compiler_that_is_killed_at_the_first_look(script):
    with pytest.raises(CompileError, match=r"cannot compile weft's C:\n  it was killed by signal 9"):
        toolchain.find(script('case "$*" in *--version*) exit 0;; esac; kill -9 $$'))


def test_no_compiler(monkeypatch, tmp_path, script):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match=r"Tried cc: not on PATH; gcc: not on PATH; clang: not.*apt install gcc"):
        toolchain.find()
    with pytest.raises(CompileError, match=r"the C compiler 'nocc' \(WEFT_CC or weft.config.cc\) was not found"):
        toolchain.find("nocc -x")
    script("exit 3", "gcc")
    monkeypatch.setenv("PATH", f"{tmp_path}:")
    with pytest.raises(CompileError, match=r"cc: not on PATH; .*gcc: `.* --version` failed"):
        toolchain.find()


def test_several_units_are_linked(tmp_path):
    units = [(f"u{k}.c", f"int f{k}(void) {{ return {k}; }}") for k in range(3)]
    units.append(("sum.c", "int f0(void), f1(void), f2(void); int total(void) { return f0() + f1() + f2(); }"))
    path = compile_library(units, cache_dir=tmp_path, warnings=True)
    assert call(path, "total") == 3
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_units_where_no_thread_can_be_started(tmp_path):
    """At the end of a process, in what `atexit` calls."""
    code = """
import atexit, sys
from weft.compiler.build import library

def late():
    units = [(f"{n}.c", f"int {n}(void) {{ return 1; }}") for n in "abc"]
    print(library.compile_library(units, cache_dir=sys.argv[1]).exists(), flush=True)
    library.static_object = lambda part, **_: library.compile_library([("o.c", part)], cache_dir=sys.argv[1])
    try:
        library.compile_program([("p.c", "weft_lib_sort_f64(")], cache_dir=sys.argv[1])
    except library.CompileError:
        print("refused")

atexit.register(late)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "refused"], done.stderr


def test_an_interrupt_does_not_wait_for_what_runs_side_by_side(monkeypatch):
    """Where it comes to the process alone, not to the compilers too."""
    monkeypatch.setattr(toolchain, "processors", lambda: 2)
    ready, go, begun = threading.Event(), threading.Event(), []

    def work(k):
        begun.append(k)
        ready.set()
        go.wait(60)

    other = threading.Thread(target=lambda: (ready.wait(60), os.kill(os.getpid(), signal.SIGINT)))
    other.start()
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            toolchain.side_by_side(work, range(5))
        assert time.monotonic() - start < 30
    finally:
        go.set()
        other.join()
    assert len(begun) <= 2


@pytest.mark.parametrize("other", [[], ONE])
def test_the_text_of_an_error(tmp_path, other):
    bad = ("bad.c", "int f(void) {\n  return missing;\n}\n" + "int g(void) { return missing; }\n" * 9)
    with pytest.raises(CompileError) as caught:
        compile_library([*other, bad], cache_dir=tmp_path)
    text = str(caught.value)
    (source,) = [line for line in text.splitlines() if line.startswith("source: ")]
    kept = Path(source.removeprefix("source: "))
    assert "error" in text and "missing" in text and "more lines" in text and "bad.c:2" in text
    assert kept.read_text() == bad[1] and kept.is_relative_to(tmp_path)
    command = next(line for line in text.splitlines() if line.startswith("command: "))
    assert "-fwrapv" in command and str(kept) in command
    assert len(text.splitlines()) < 20
    compile_library(ONE, cache_dir=tmp_path)


def test_an_error_of_the_linker(tmp_path):
    twice = [("a.c", "int f(void) { return 1; }"), ("b.c", "int f(void) { return 2; }")]
    with pytest.raises(CompileError, match=r"multiple definition|duplicate symbol"):
        compile_library(twice, cache_dir=tmp_path)


def test_a_compiler_that_is_killed(tmp_path, script):
    kills = 'for a in "$@"; do case $a in -shared) kill -9 $$;; esac; done; exec cc "$@"'
    with pytest.raises(CompileError, match="was killed by signal 9"):
        compile_library(ONE, cc=script(kills), cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('case "$*" in *--version*) exit 0;; *one.c*) echo "error: no"; exit 1;; esac; exec cc "$@"', "error: no"),
        ('case "$*" in *one.c*) exit 0;; esac; exec cc "$@"', "no error, but it wrote no file"),
    ],
)
def test_a_compiler_that_says_too_little(tmp_path, script, text, told):
    """Nothing of its version, or nothing of what it did not do."""
    with pytest.raises(CompileError, match=told):
        compile_library(ONE, cc=script(text), cache_dir=tmp_path / "cache")


def test_warnings_are_errors_where_asked(tmp_path):
    unused = [("w.c", "int f(void) { int unused; return 1; }")]
    compile_library(unused, cache_dir=tmp_path)
    with pytest.raises(CompileError, match="unused"):
        compile_library(unused, cache_dir=tmp_path, warnings=True)


def test_what_the_key_depends_on(monkeypatch, tmp_path):
    from dataclasses import replace

    from weft.compiler.build import library

    chain = toolchain.find()
    (tmp_path / "a.h").write_text('  #  include "b.h"\n')
    (tmp_path / "b.h").write_text("int b;\n")
    (tmp_path / "c.h").write_text("int c;\n")
    monkeypatch.setattr(library, "HEADERS", tmp_path)
    sources = [("x.c", '#include <stdint.h>\n#include "a.h"\n')]
    assert included(t for _, t in sources) == {"a.h", "b.h"}
    keys = [key_of(chain, sources)]
    assert keys[0] == key_of(chain, sources)
    (tmp_path / "c.h").write_text("int d;\n")
    assert keys[0] == key_of(chain, sources)
    keys += [key_of(replace(chain, **{field: ("x",) if field in ("command", "flags") else "x"}), sources)
             for field in ("command", "version", "cpu", "flags")]  # fmt: skip
    text = sources[0][1]
    keys += [key_of(chain, sources, ["-g"]), key_of(chain, [("y.c", text)]), key_of(chain, [("x.c", text + " ")])]
    keys += [key_of(chain, [("x.c", "ab"), ("y.c", "c")]), key_of(chain, [("x.c", "a"), ("y.c", "bc")])]
    monkeypatch.setitem(library.CONSTANTS, "WEFT_ABI", 99)
    keys.append(key_of(chain, sources))
    (tmp_path / "b.h").write_text("int bb;\n")
    keys.append(key_of(chain, sources))
    monkeypatch.setattr(toolchain, "c_library", lambda: "another")
    keys.append(key_of(chain, sources))
    assert len(set(keys)) == len(keys)

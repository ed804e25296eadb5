"""The command line: what goes where, exit statuses, errors that say what to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.cli import COMMANDS, main
from weft.commands import bench, doctor
from weft.compiler.build import toolchain
from weft.compiler.build.cache import NOTE, Cache
from weft.models.common import options

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    try:
        status = main(arguments)
    except SystemExit as e:
        status = int(e.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = said([command, "--help"], capsys)
    assert status == 0 and f"weft {command}" in out.split("example:")[1]
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_list_of_commands(capsys: Capture) -> None:
    status, out, _ = said(["--help"], capsys)
    assert status == 0 and all(f"  {c} " in out for c in COMMANDS) and "example: weft train relu" in out
    assert said(["--version"], capsys) == (0, f"weft {weft.__version__}\n", "")


@pytest.mark.parametrize("arguments, text", [
    ([], "required: COMMAND"),
    (["dance"], "invalid choice: 'dance'"),
    (["models", "--loud"], "unrecognized arguments: --loud"),
    (["train"], "required: MODEL"),
    (["train", "relu", "--eposh", "3"], "usage: weft train "),
    (["train", "relu", "--epochs", "many"], "invalid int value: 'many'"),
    (["train", "relo"], "there is no model 'relo': did you mean relu?"),
    (["train", "transformer"], "The models are"),
    (["train", "gone/mine.py"], "there is no file gone/mine.py"),
    (["train", "relu", "--epochs", "0"], "--epochs 0: at least 1"),
    (["train", "relu", "--batch-size", "-3"], "--batch-size -3: at least 1"),
    (["train", "relu", "--learning-rate", "nan"], "--learning-rate nan: a number above zero"),
    (["train", "relu", "--seed", "-1"], "--seed -1"),
    (["train", "relu", "--threads", "0"], "--threads 0: at least 1"),
    (["train", "relu", "--optimizer", "adan"], "--optimizer adan: it is one of sgd, momentum"),
    (["train", "relu", "--schedule", "linear"], "--schedule linear: it is one of constant, cosine"),
    (["train", "relu", "--set", "noise"], "it is written --set key=value"),
    (["train", "relu", "--set", "hiden=3"], "no setting 'hiden' (did you mean hidden?); its settings are hidden=225"),
    (["train", "relu", "--set", "hidden=a"], "hidden=a: whole numbers and commas are needed, as in hidden=225,144"),
    (["train", "relu", "--set", "noise=loud"], "--set noise=loud: a number is needed, as in noise=0.15"),
    (["train", "maxout", "--set", "pieces=2.5"], "--set pieces=2.5: a whole number is needed, as in pieces=3"),
    (["train", "deep", "--set", "drop=1"], "--set drop=1: 0 to 0.99 is possible"),
    (["train", "relu", "--set", "hidden=9,0"], "--set hidden=9,0: at least 1 is possible"),
    (["train", "softmax", "--data", "diabetes"], "softmax regression tells classes apart, and the targets of diabetes"),
    (["train", "relu", "--resume"], "there is no run runs/relu to go on with"),
    (["train", "relu", "--resume", "--out", "none"], "there is no run in none to go on with"),
    (["explain", "gone.py:f"], "there is no script gone.py"),
    (["cache", "drop"], "invalid choice: 'drop'"),
    (["bench", "--small", "--rounds", "3"], "these are of bench/run.py"),
])  # fmt: skip
def test_wrong_use(arguments: list[str], text: str, capsys: Capture) -> None:
    if "train" in arguments:
        for package in ("sklearn", "rich", "safetensors", "matplotlib"):
            pytest.importorskip(package)
    status, out, err = said(arguments, capsys)
    assert status == 2 and text in err and not out and "Traceback" not in err
    assert not list(Path("runs").glob("*/*")), "nothing is left of it"


@pytest.mark.parametrize("package, name", [
    ("rich", "rich"), ("safetensors", "safetensors"), ("matplotlib", "matplotlib"),
    ("sklearn.datasets", "scikit-learn"),
])  # fmt: skip
def test_a_missing_package_names_the_extra(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for other in {"rich", "safetensors", "matplotlib", "sklearn"} - {package.split(".")[0]}:
        pytest.importorskip(other)
    monkeypatch.setitem(sys.modules, package, None)
    status, _, err = said(["train", "softmax"], capsys)
    assert status == 1 and err == f"weft: {name} is missing here: pip install 'weft[demo]'\n"


def test_what_needs_more_memory_than_there_is(capsys: Capture) -> None:
    for package in ("sklearn", "rich", "safetensors", "matplotlib"):
        pytest.importorskip(package)
    status, _, err = said(["train", "relu", "--set", "hidden=100000000,100000000"], capsys)
    assert status == 1 and err.startswith("weft: out of memory: ") and len(err.splitlines()) == 1


def test_models_one_a_line(capsys: Capture) -> None:
    status, out, _ = said(["models"], capsys)
    lines = out.splitlines()
    assert status == 0 and [line.split()[0] for line in lines] == [
        "softmax", "relu", "maxout", "deep", "tied", "denoising",
    ]  # fmt: skip
    assert all(len(line) <= 80 and line.endswith(" %") and " digits " in line for line in lines)
    _, out, _ = said(["models", "--json"], capsys)
    found = json.loads(out)
    assert found[1]["name"] == "relu" and found[1]["settings"]["hidden"] == [225, 144]


# A run's folder.


def test_nothing_in_a_folder_is_lost(capsys: Capture) -> None:
    assert options.place("relu", None, False) == Path("runs/relu")
    assert options.place("relu", None, False) == Path("runs/relu-2")
    assert options.place("relu", None, True) == Path("runs/relu-2")
    Path("mine").mkdir()
    assert options.place("relu", "mine", False) == Path("mine"), "an empty folder is as good as none"
    Path("mine/notes").touch()
    with pytest.raises(weft.ArgumentError, match="mine holds files; name another folder"):
        options.place("relu", "mine", False)
    Path("mine", options.SETTINGS).touch()
    with pytest.raises(weft.ArgumentError, match="mine holds a run: --resume goes on with it"):
        options.place("relu", "mine", False)
    with pytest.raises(weft.ArgumentError, match="it is a file"):
        options.place("relu", "mine/notes", False)


@pytest.mark.parametrize("given, sets, text", [
    ({"seed": 3}, [], "the run in there has seed 0, not 3"),
    ({"optimizer": "adam", "seed": 0}, [], "has optimizer momentum, not adam"),
    ({}, ["noise=0.5", "hidden=225,144"], "has noise=0.15, not 0.5. Another run needs"),
    ({"epochs": 50}, [], "is of 40 epochs, not 50: more are possible with the schedules constant and plateau"),
])  # fmt: skip
def test_a_run_is_gone_on_with_as_it_was(given: dict[str, Any], sets: list[str], text: str) -> None:
    model = weft.models.find("relu")
    Path("there").mkdir()
    run = options.new_run(model, {})
    run.write(Path("there"))
    assert options.resumed(Path("there"), model, {"epochs": 40}, ["hidden=225,144"]) == run
    with pytest.raises(weft.ArgumentError, match=text):
        options.resumed(Path("there"), model, given, sets)
    with pytest.raises(weft.ArgumentError, match="holds a run of the model relu, not of softmax"):
        options.resumed(Path("there"), weft.models.find("softmax"), {})
    Path("there", options.SETTINGS).write_text('{"weft": "1", "model": ')
    with pytest.raises(weft.WeftError, match="is damaged"):
        options.resumed(Path("there"), model, {})


def test_a_folder_with_the_name_of_a_data_set_does_not_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("digits").mkdir()
    Path("mine").mkdir()
    relu = weft.models.find("relu")
    assert options.new_run(relu, {}).data == "digits"
    assert options.new_run(relu, {"data": "./digits"}).data == str(Path("digits").resolve())
    monkeypatch.setenv("HOME", str(Path.cwd()))
    run = options.new_run(relu, {"data": "~/mine"})
    assert run.data == str(Path("mine").resolve())
    run.write(Path())
    assert options.resumed(Path(), relu, {"data": "mine"}) == run


def test_an_optimizer_that_is_asked_for_has_a_rate_of_its_own() -> None:
    """That of the model's own optimizer would be fifty times too large for some, too small for others."""

    def rate(model: str, **given: Any) -> float:
        return options.new_run(weft.models.find(model), given).learning_rate

    assert rate("relu") == rate("relu", optimizer="momentum") == rate("relu", optimizer="sgd") == 0.05
    assert rate("relu", optimizer="adam") == 0.001 and rate("relu", optimizer="lion") == 0.0001
    assert rate("relu", optimizer="adadelta") == 1.0 and rate("tied", optimizer="sgd") == 0.05
    assert rate("tied", optimizer="adam") == 0.03 and rate("relu", optimizer="adam", learning_rate=0.2) == 0.2
    for name in options.OPTIMIZERS:
        assert 0 < rate("relu", optimizer=name) <= 1


def test_every_setting_of_a_number_has_a_range() -> None:
    for m in weft.models.every():
        assert set(m.ranges) == set(m.settings)
        for key, (low, high) in m.ranges.items():
            values = m.settings[key] if isinstance(m.settings[key], tuple) else [m.settings[key]]
            assert all(low <= v <= high for v in values)


def test_settings_have_the_types_of_the_defaults() -> None:
    assert options.parsed("a", "7", 3) == 7 and options.parsed("a", "7", 3.0) == 7.0
    assert options.parsed("a", "(4, 5,)", (1,)) == (4, 5) and options.parsed("a", "4", (1,)) == (4,)
    assert options.parsed("a", "no", True) is False and options.parsed("a", "text", "x") == "text"


# Terminal or not.


def of_process(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(weft.__file__).parents[1])
    variables = {**os.environ, "PYTHONPATH": root, **env}
    return subprocess.run(
        [sys.executable, "-m", "weft", *arguments], capture_output=True, text=True, env=variables, check=False
    )


def test_no_bar_and_no_colour_where_there_is_no_terminal() -> None:
    for package in ("sklearn", "rich", "safetensors", "matplotlib"):
        pytest.importorskip(package)
    done = of_process("train", "softmax", "--epochs", "2", "--data", "iris")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr and "\r" not in done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    done = of_process("train", "softmax", "--epochs", "2", "--data", "iris", "--json")
    result = json.loads(done.stdout)
    assert result["folder"] == "runs/softmax-2" and result["compiled"]["step"]["kernels"] > 0


def terminal(arguments: list[str], **env: str) -> str:
    """What a terminal of 80 columns gets of a command."""
    pty = pytest.importorskip("pty")
    root = str(Path(weft.__file__).parents[1])
    ours, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": root, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **env}
    process = subprocess.Popen([sys.executable, "-m", "weft", *arguments], stdout=theirs, stderr=theirs, env=variables)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode()


def test_a_terminal_has_a_bar_and_colours_unless_it_says_no() -> None:
    for package in ("sklearn", "rich", "safetensors", "matplotlib"):
        pytest.importorskip(package)
    arguments = ["train", "softmax", "--epochs", "40", "--data", "wine"]
    colour = re.compile(r"\x1b\[(3[0-8]|9[0-7])[;m]")
    shown, plain = terminal(arguments, NO_COLOR=""), terminal(arguments, NO_COLOR="1")
    for text in (shown, plain):
        assert "━" in text and "validation error" in text and "test error: " in text
    assert colour.search(shown) and not colour.search(plain)


# explain, doctor, cache, bench


SCRIPT = """
import sys
import numpy as np, weft, weft.tensor as T
print("noise of the script", sys.argv)
x = T.dmatrix("x")
w = weft.shared(np.ones((3, 2)), name="w")
y = T.tanh(T.dot(x, w)).sum()
step = weft.function([x], y, name="step")
free = weft.function([], (w * 2).sum(), name="free")
number = 3
"""


def test_explain(capsys: Capture) -> None:
    Path("script.py").write_text(SCRIPT)
    status, out, err = said(["explain", "script.py:step"], capsys)
    assert status == 0 and out.startswith("function step: ") and "noise" not in out and "noise of the script" in err
    assert "['script.py']" in err and "script.py:7: y = T.tanh" in out
    status, out, _ = said(["explain", "script.py:y * 2"], capsys)
    assert status == 0 and out.startswith("function expression: ")
    status, out, _ = said(["explain", "script.py:weft.grad(y, [w])"], capsys)
    assert status == 0 and "in the gradient of" in out
    status, out, _ = said(["explain", "script.py:free", "--json"], capsys)
    assert status == 0 and {"kernels", "saved", "report", "declared"} <= set(json.loads(out))
    status, out, _ = said(["explain", "script.py:step", "--json"], capsys)
    assert json.loads(out)["kernels"] >= 1
    status, out, _ = said(["explain", "script.py"], capsys)
    assert [line.split()[0] for line in out.splitlines()] == ["y", "step", "free"]


@pytest.mark.parametrize("text, name, status, expected", [
    (SCRIPT, "stop", 2, "has no 'stop': NameError: name 'stop' is not defined. It has y, step, free"),
    (SCRIPT, "number", 2, "number is of type int; a compiled function or an expression"),
    (SCRIPT, "x", 2, "x is an input, of which nothing is computed"),
    (SCRIPT, "T.tanh", 2, "can be explained, such as T.tanh() may give"),
    (SCRIPT, "sys.exit(3)", 1, "sys.exit(3) ended itself (exit 3)"),
    ("a = 1 / 0", "a", 1, "ZeroDivisionError: division by zero"),
    ("import sys; sys.exit(4)", "a", 1, "ended itself (exit 4)"),
    ("a = (", "a", 1, "SyntaxError"),
    ("a = 1", "", 2, "leaves no compiled function and no expression behind"),
])  # fmt: skip
def test_explain_says_what_is_wrong(text: str, name: str, status: int, expected: str, capsys: Capture) -> None:
    Path("script.py").write_text(text)
    got, out, err = said(["explain", f"script.py:{name}"], capsys)
    assert got == status and expected in err and not out and "runpy" not in err


def test_explain_json_is_alone_on_standard_output(capsys: Capture) -> None:
    """Whatever a function of the script prints, and where nothing is compiled."""
    Path("script.py").write_text("""
import weft, weft.tensor as T
def make():
    print("noise")
    return weft.function([], T.zeros(3))
plain = weft.function([], T.zeros(3), mode="interpret")
""")
    for name, keys in (("make()", {"name", "report", "kernels", "saved"}), ("plain", {"name", "report"})):
        status, out, err = said(["explain", f"script.py:{name}", "--json"], capsys)
        assert status == 0 and keys <= set(json.loads(out)), err


def test_explain_runs_a_script_as_python_does(capfd: pytest.CaptureFixture[str]) -> None:
    """Without what explain's file asks of the compiler, by its whole path; other processes print beside the JSON."""
    Path("script.py").write_text("""
import os, subprocess, sys
def f(x: int): return x
assert f.__annotations__["x"] is int and os.path.isabs(__file__)
subprocess.run([sys.executable, "-c", "print('noise')"], check=True)
import weft.tensor as T
y = T.exp(T.dvector("x")) * 2
""")
    assert main(["explain", "script.py:y", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["name"] and "noise" in err


def test_explain_a_script_that_works_in_functions_and_ends_itself(capsys: Capture) -> None:
    """As programs are written: what is compiled lies in functions, and sys.exit(main()) is the last line."""
    text = """
import sys
import weft, weft.tensor as T

def make():
    x = T.dvector("x")
    return {"train": weft.function([x], T.exp(x).sum(), name="train")}

def main():
    print("nothing to see")
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""
    Path("script.py").write_text(text)
    status, out, _ = said(["explain", 'script.py:make()["train"]'], capsys)
    assert status == 0 and out.startswith("function train: ") and "script.py:7" in out
    status, out, err = said(["explain", "script.py"], capsys)
    assert status == 2 and "What a function of it gives can be explained: script.py:'make()'" in err
    assert sys.modules["__main__"].__dict__.get("make") is None


def test_doctor(capsys: Capture) -> None:
    status, out, _ = said(["doctor"], capsys)
    assert status == 0 and out.splitlines()[-1] == "ready: functions compile and run here"
    status, out, _ = said(["doctor", "--json"], capsys)
    found = {(f["group"], f["name"]): f for f in json.loads(out)}
    assert found["Trial", "function"]["ok"] and found["C compiler", "chosen"]["ok"]
    assert {g for g, _ in found} == {g for g, _ in doctor.CHECKS}


def test_doctor_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture) -> None:
    monkeypatch.setattr(toolchain, "CANDIDATES", ("no-such-cc",))
    monkeypatch.setattr(toolchain, "_found", {})
    monkeypatch.setattr(weft.config, "cc", "")
    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path / "cache"))
    status, out, _ = said(["doctor"], capsys)
    assert status == 1 and out.splitlines()[-1] == "not ready: chosen, function"
    chosen = next(k for k, line in enumerate(out.splitlines()) if "chosen" in line)
    assert "MISSING  no C compiler was found" in out.splitlines()[chosen]
    assert "install gcc" in out.splitlines()[chosen + 1] or "xcode-select" in out.splitlines()[chosen + 1]


def test_doctor_without_packages(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def missing(name: str) -> str:
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", missing)
    status, out, _ = said(["doctor"], capsys)
    assert status == 1 and "pip install " in out and "[demo]" in out and "not ready: numpy, cffi, networkx" in out


def test_doctor_names_the_pip_of_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`.venv/bin/weft doctor` without the environment activated: pip on PATH is another Python's."""
    monkeypatch.setattr(doctor.sys, "executable", "/venv of mine/bin/python")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.pip("numpy") == "'/venv of mine/bin/python' -m pip install numpy"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/venv of mine/bin/{name}")
    assert doctor.pip("numpy") == "pip install numpy"
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda name: [name])
    assert doctor.pip("weft[demo]") == "pip install 'weft[demo]'"
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda name: [])
    assert doctor.pip("weft[demo]") == f"pip install '{Path(doctor.__file__).resolve().parents[2]}[demo]'"


def test_doctor_with_a_wrong_name_of_a_compiler(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(weft.config, "cc", "/no/such/cc")
    status, out, _ = said(["doctor"], capsys)
    assert status == 1 and "unset WEFT_CC   (" in out


def test_doctor_looks_at_the_cache_as_functions_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(weft.config, "cache_dir", "~/mine")
    (tmp_path / "mine").mkdir()
    for mode, ok, text in ((0o755, True, f"{tmp_path}/mine: 0.0 MB"), (0o777, False, "others may write to")):
        (tmp_path / "mine").chmod(mode)
        (found,) = doctor.cache()
        assert found.ok is ok and text in found.value and bool(found.fix) is not ok
    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path / "mine" / "file" / "cache"))
    (tmp_path / "mine" / "file").touch()
    (found,) = doctor.cache()
    assert not found.ok and "Not a directory" in found.value


def test_doctor_fails_on_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Whatever breaks under it is told."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("broken\nin two lines")

    for module, name in (
        (doctor.shutil, "which"),
        (doctor.platform, "release"),
        (doctor.importlib.metadata, "version"),
        (doctor.shutil, "disk_usage"),
        (doctor.ctypes, "CDLL"),
        (doctor.subprocess, "run"),
    ):
        with monkeypatch.context() as m:
            m.setattr(module, name, broken)
            status, out, _ = said(["doctor"], capsys)
            assert status in (0, 1) and "RuntimeError: broken" in out + "RuntimeError: broken" * (name == "run")


def test_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setattr(weft.config, "cache_dir", str(folder))
    cache = Cache(folder)
    folder.mkdir()
    for k in range(3):
        cache.fetch(f"{k:064x}", lambda p: p.write_bytes(b"x" * 1000))
    cache.fetch("f" * 64, lambda p: p.write_text("{}"), ".json")
    (folder / "weft-failed-1234").mkdir()
    (folder / "weft-failed-1234" / "program.c").write_text("int x")
    strangers = [folder / "notes.txt", folder / "ab" / "mine.so", folder / "data" / f"{1:064x}.so"]
    for p in strangers:
        p.parent.mkdir(exist_ok=True)
        p.touch()
    status, out, _ = said(["cache", "info", "--json"], capsys)
    found = json.loads(out)
    assert status == 0 and found["folder"] == str(folder) and found["bytes"] == 3007
    assert found["kinds"] == {".so": {"files": 3, "bytes": 3000}, ".json": {"files": 1, "bytes": 2},
                              "failed": {"files": 1, "bytes": 5}}  # fmt: skip
    _, out, _ = said(["cache", "info"], capsys)
    assert str(folder) in out and "3  compiled libraries" in out
    _, out, _ = said(["cache", "clear"], capsys)
    assert out == f"5 files, 0.0 MB removed from {folder}\n"
    assert all(p.exists() for p in strangers) and cache.contents() == {}
    assert not (folder / "weft-failed-1234").exists() and not (folder / NOTE).exists()


@pytest.mark.parametrize("what", ["info", "clear"])
def test_a_cache_that_cannot_be_used_is_no_other_one(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path / "file"))
    status, out, err = said(["cache", what], capsys)
    assert status == 1 and not out and f"the cache's folder {tmp_path}/file cannot be used" in err


@pytest.mark.parametrize("case", bench.CASES)
def test_bench_refuses_answers_as_exact_as_half_precision(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = bench.CASES[case]()
    want = other()
    assert bench.agree(own(), want)
    monkeypatch.setattr(bench, "REST", 0.0)
    with pytest.raises(ArithmeticError, match="the answers differ"):
        bench.measured(case, lambda: (lambda: want.astype(np.float16).astype(np.float32), other))


def test_bench(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(bench, "TURNS", 1)
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    monkeypatch.setattr(bench, "REST", 0.0)
    status, out, _ = said(["bench", "--small", "--json", "-"], capsys)
    assert status == 0 and len(json.loads(out)) == 3
    status, out, _ = said(["bench", "--small"], capsys)
    assert status == 0 and "softmax 1024x1024" in out
    monkeypatch.setattr(bench, "SCRIPT", Path("none.py"))
    status, out, _ = said(["bench"], capsys)
    assert status == 0 and "comes with the source tree" in out


def test_bench_hands_arguments_on(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    called = []
    monkeypatch.setattr(bench, "SCRIPT", Path(__file__))
    monkeypatch.setattr(bench.subprocess, "run", lambda c, check: called.append(c) or subprocess.CompletedProcess(c, 5))
    assert said(["bench", "--rounds", "4", "--cases", "softmax"], capsys)[0] == 5
    assert called == [[sys.executable, __file__, "--rounds", "4", "--cases", "softmax"]]


def test_summary_is_the_report_in_figures() -> None:
    import weft.tensor as T

    x = T.dmatrix("x")
    f = weft.function([x], T.tanh(x).sum() + T.exp(x).sum(), name="f")
    value = np.ones((30, 40))
    s, report = f.summary(value), f.report(value)
    assert f"function f: {s['declared']} operations declared, {s['rewritten']} after rewriting" in report
    assert f"{s['moved']:,} bytes a call" in report and f"fusion saves {s['saved']:,}" in report
    with pytest.raises(weft.ArgumentError, match="interpret"):
        weft.function([x], x + 1, mode="interpret").summary(value)


def test_the_doctor_names_the_package_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    from weft.commands import doctor

    for there, gcc, clang in (
        ("apt", "apt install gcc", "apt install clang"), ("apk", "apk add gcc musl-dev", "apk add clang"),
        ("none", "install gcc or clang", ""),
    ):  # fmt: skip
        monkeypatch.setattr(doctor.shutil, "which", lambda name, there=there: "/bin/it" if name == there else None)
        assert doctor.package("clang") == clang
        if sys.platform != "darwin":
            assert doctor.install_command().startswith(gcc + "   (or name a compiler")

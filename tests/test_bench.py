"""The benchmark: every case runs in every contestant that is installed, and a wrong answer is refused.

Nothing here looks at a time."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from benchmarks import BENCH, bench, run

FUSED = "chain_1e4 chain_1e6 chain_2e7 black_scholes softmax layernorm_gelu distances adam"
TRAINING = "logistic mlp_256 mlp_1024 deep lstm"
ALL = f"{FUSED} {TRAINING} recurrence overhead"
# contestant -> module, variant, what must be installed, cases it has
CONTESTANTS = {
    "weft": ("weft", "", "numpy", ALL),
    "numpy": ("numpy", "", "scipy", ALL),
    "limit": ("limit", "", "cffi", FUSED),
    "products by numpy": ("products", "numpy", "numpy", TRAINING),
    "products by torch": ("products", "torch", "torch", TRAINING),
    "numexpr": ("numexpr", "", "numexpr", "chain_1e4 chain_1e6 chain_2e7 distances adam overhead"),
    "pytensor": ("pytensor", "", "pytensor", ALL),
    "jax": ("jax", "", "jax", ALL),
    "torch": ("pytorch", "eager", "torch", ALL),
    "torch.compile": ("pytorch", "compile", "torch", ALL),
}
SLOW = ("pytensor", "torch.compile")
# Prepares cases as a worker does and times each in every way: on arrays used before, on fresh ones, by parts.
EACH = """
import json, sys
import worker
module, variant, names = sys.argv[1], sys.argv[2], sys.argv[3].split()
contestant, found = worker.load(module), {}
for name in names:
    case = worker.case(name, True)
    run, told = worker.prepare(contestant, variant, 2, case)
    if run is not None:
        assert min(worker.measure_parts(run, 0.0) if run.parts else worker.measure(run, 0.0)) > 0
        assert case.outputs == 0 or min(worker.measure_fresh(run, worker.KEPT, 0.0)) > 0
    found[name] = told
print("\\n" + json.dumps(found))
"""
WRONG = """
from cases import Run
from cases_training import parameters
def setup(variant, threads): return "1"
def chain(data): return Run(lambda: data["x"])
def softmax(data): # right in new arrays, wrong in given ones
    from contestants.numpy import softmax
    return Run(softmax(data).call, into=lambda: data["x"])
def adam(data): return Run(lambda: None, lambda: [data["p"], 0 * data["p"], 0 * data["p"]])
def deep(data): return Run(lambda: data["b0"][0], lambda: parameters(data))
"""

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="reads the source tree")


def each(contestant: str, names: str) -> dict[str, dict]:
    module, variant, _, _ = CONTESTANTS[contestant]
    done = bench("-c", EACH, module, variant, names)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("contestant", [pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in CONTESTANTS])
def test_contestants_compute_their_cases(contestant: str) -> None:
    _, _, needed, has = CONTESTANTS[contestant]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if contestant == "limit" and shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("there is no C compiler")
    told = each(contestant, ALL)
    assert {name for name, r in told.items() if "error" not in r} == set(has.split()), told
    assert all(r["error"] == "not written for it" for r in told.values() if "error" in r)


def test_relatives_of_the_cases_agree() -> None:
    sys.path.insert(0, str(BENCH))
    try:
        from relatives import FAMILIES
    finally:
        sys.path.remove(str(BENCH))
    names = [f"relative:{family}:{seed}" for family in FAMILIES for seed in (-1, 0, 1, 2)]
    names += [f"relative:{family}:3:4" for family in FAMILIES]
    for contestant in ("weft", "numpy", "jax", "torch"):
        if importlib.util.find_spec(CONTESTANTS[contestant][2]) is not None:
            told = each(contestant, " ".join(names))
            assert not [r for r in told.values() if "error" in r], told


def test_the_driver_runs_cases(tmp_path: Path) -> None:
    pictures = ("--png", tmp_path / "png")
    out, report = run(tmp_path, "--cases", "chain_1e4,recurrence,import", "--contestants",
                      "numpy,weft,nothing.py", *pictures)  # fmt: skip
    assert out.returncode == 0, out.stdout + out.stderr
    results = {name: one["results"] for name, one in report["cases"].items()}
    assert {c for c, r in results["chain_1e4"].items() if "fastest" in r} == {"numpy", "weft"}
    assert "error" in results["chain_1e4"]["nothing.py"] and "Not timed: nothing.py" in out.stdout
    assert results["chain_1e4"]["weft"]["fresh"]["fastest"] > 0
    assert results["recurrence"]["weft"].keys() >= {"cold_seconds", "seconds", "once", "fastest", "spread"}
    assert results["import"]["weft"]["fastest"] > 0
    assert "| chain of 12 operations, 10^3 |" in out.stdout
    if importlib.util.find_spec("matplotlib") is None:
        assert "no pictures: not installed (matplotlib)" in out.stdout
    else:
        assert (tmp_path / "png" / "ratios.png").stat().st_size > 10_000


def test_products_of_both_libraries_are_joined(tmp_path: Path) -> None:
    _, report = run(tmp_path, "--cases", "deep", "--contestants", "products")
    found = report["cases"]["deep"]["results"]
    assert found.keys() == {"products"}  # by whichever library is there
    assert found["products"]["fastest"] > 0 and found["products"]["samples"] == 3 + 3 + 2


def test_relatives_and_curves_are_timed(tmp_path: Path) -> None:
    pictures = ("--curves", "--png", tmp_path / "png")
    only = ("--cases", "", "--contestants", "weft,limit", "--relatives", 2, "--families", "chain")
    out, report = run(tmp_path, *only, *pictures)
    assert out.returncode == 0, out.stdout + out.stderr
    assert [one["seed"] for one in report["relatives"]["chain"]] == [-1, 0, 1]
    assert [n for n, *_ in report["curves"]["size"]["weft"]] == [100, 1000, 10_000]
    assert report["curves"]["threads"].keys() == {"chain", "softmax", "mlp"}
    if importlib.util.find_spec("matplotlib") is not None:
        assert (tmp_path / "png" / "curves.png").stat().st_size > 10_000


HALF = """
import numpy as np
from cases import Run
from contestants import numpy
def setup(variant, threads): return "1"
def half(a): return np.asarray(a).astype(np.float16).astype(np.float32)
def kept(family):  # outputs and moments rounded to half precision
    def build(data):
        made = getattr(numpy, family)(data)
        def state():
            p, *moments = made.state() or [None]
            return [] if p is None else [p, *map(half, moments)]
        return Run(made.call if family == "adam" else lambda: half(made.call()), state)
    return build
def read(family):  # inputs rounded
    return lambda data: getattr(numpy, family)({**data, "x": half(data["x"])})
chain, softmax, layernorm_gelu, distances, adam, overhead = map(
    kept, ("chain", "softmax", "layernorm_gelu", "distances", "adam", "overhead"))
logistic, deep, lstm = map(read, ("logistic", "deep", "lstm"))
"""


@pytest.mark.slow
def test_answers_as_exact_as_half_precision_are_refused(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(HALF)
    names = "chain_1e4 softmax layernorm_gelu distances adam overhead logistic deep lstm"
    done = bench("-c", REFUSED, tmp_path / "half.py", names)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all("refused" in told[name] for name in names.split()), told


# Of full size: how far rounding goes depends on that.
REFUSED = """
import json, sys, worker
half = worker.load(sys.argv[1])
sizes = {name: name in ("overhead", "adam", "softmax", "layernorm_gelu", "distances") for name in sys.argv[2].split()}
print(json.dumps({name: worker.prepare(half, "", 2, worker.case(name, tiny))[1].get("error", "")
                  for name, tiny in sizes.items()}))
"""


@pytest.mark.parametrize("case", ["chain_1e4", "softmax", "adam", "deep"])
def test_a_wrong_answer_is_refused(tmp_path: Path, case: str) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    out, report = run(tmp_path, "--cases", case, "--contestants", f"numpy,{wrong}")
    results = report["cases"][case]["results"]
    assert out.returncode == 1
    assert "fastest" in results["numpy"]
    assert "refused" in results[str(wrong)]["error"] and "fastest" not in results[str(wrong)]


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    dies = tmp_path / "dies.py"
    dies.write_text("import os\ndef setup(variant, threads): os._exit(3)\n")
    out, report = run(tmp_path, "--cases", "overhead", "--contestants", f"numpy,{dies}")
    assert "ended with 3" in report["cases"]["overhead"]["results"][str(dies)]["error"]
    assert "fastest" in report["cases"]["overhead"]["results"]["numpy"] and out.returncode == 0


FAILS = """
import os, signal, threading, time
from cases import Run
from contestants import numpy
def setup(variant, threads): return "1"
def chain(data):
    made, count = numpy.chain(data), 0
    def fresh():
        nonlocal count; count += 1
        if count > 1: raise MemoryError("none left")
        return made.call()
    return Run(fresh, into=made.into)
def overhead(data):  # dies while others have their turn
    made, count = numpy.overhead(data), 0
    def call():
        nonlocal count; count += 1
        if count == 2: threading.Timer(0.05, os._exit, [3]).start()
        return made.call()
    return Run(call)
def softmax(data):  # does not end by itself
    threading.Thread(target=time.sleep, args=(100,)).start()
    return numpy.softmax(data)
def adam(data):  # neither on an interrupt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(2, str(os.getpid()).encode())
    time.sleep(100)
"""


def test_what_fails_between_turns_is_reported(tmp_path: Path) -> None:
    fails = tmp_path / "fails.py"
    fails.write_text(FAILS)
    given = ("--cases", "overhead,chain_1e4", "--contestants", f"numpy,{fails}", "--rounds", 3)
    done = bench(BENCH / "run.py", *given, "--tiny", "--seconds", 0.01, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert "ended with 3" in cases["overhead"]["results"][str(fails)]["error"]
    own = cases["chain_1e4"]["results"][str(fails)]
    assert own["fastest"] > 0 and "none left" in own["fresh"]["error"]
    assert all(one["results"]["numpy"]["fastest"] > 0 for one in cases.values())
    assert f"Not timed on fresh arrays: {fails}: its process ended with 1: MemoryError: none left" in done.stdout


def test_processes_that_do_not_end_are_ended(tmp_path: Path) -> None:
    fails = tmp_path / "fails.py"
    fails.write_text(FAILS)
    found = json.loads(bench("-c", ENDED, fails).stdout)
    assert found["softmax"] == "timed" and found["seconds"] < 30
    assert found["adam"] == "KeyboardInterrupt" and not found["left"]


# The second case is interrupted as soon as its process runs: neither that nor its folder is left.
ENDED = """
import argparse, json, os, signal, sys, tempfile, threading, time, pathlib, run
run.GRACE, fails, start, pids = 1, sys.argv[1], time.monotonic(), []
tempfile.tempdir = tempfile.mkdtemp()
args = argparse.Namespace(tiny=True, rounds=1, seconds=0.01)
found = {"softmax": "timed" if "fastest" in run.run_case("softmax", [fails], 1, args)["results"][fails] else "?"}
def interrupt():
    while not pids:
        logs = [p.read_text() for p in pathlib.Path(tempfile.tempdir).glob("*/*/log")]
        pids.extend(int(t) for t in logs if t)
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    run.run_case("adam", [fails], 1, args)
except KeyboardInterrupt as e:
    found["adam"] = type(e).__name__
left = [p for p in pids if os.path.exists(f"/proc/{p}")] + os.listdir(tempfile.tempdir)
os.rmdir(tempfile.tempdir)
print(json.dumps({**found, "seconds": time.monotonic() - start, "left": left}))
"""


def test_a_wrong_answer_in_a_curve_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    out, report = run(tmp_path, "--cases", "", "--contestants", wrong, "--curves", "--png", tmp_path)
    assert out.returncode == 1 and f"chain of 12 operations, 100: not timed: {wrong}: refused" in out.stdout, out.stderr
    assert report["curves"]["size"] == {} and len(report["curves"]["not timed"]) >= 3


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--cases", "chain_1e5"), "chain_1e5"),
        (("--cases", "relative:chain"), "relative:chain"),
        (("--contestants", "weft,jaxx"), "jaxx"),
        (("--families", "chains"), "chains"),
        (("--rounds", 0), "--rounds"),
        (("--threads", 0), "--threads"),
        (("--json", "no/folder.json"), "no"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple, names: str) -> None:
    done = bench(BENCH / "run.py", *arguments)
    assert done.returncode == 2 and names in done.stderr.splitlines()[-1], done.stderr


KINDS = """
import worker
from contestants import limit
limit.setup("", 2)
for name in ("chain_1e4", "softmax", "black_scholes"):
    case = worker.case(name, True)
    run = getattr(limit, case.family)(case.data)
    wrong = [case.disagreement(worker.flat(run.call())) for _ in range(2)]
    assert wrong == ["", ""], wrong
"""


def test_bounds_hold_on_fresh_arrays_too() -> None:
    """Their loops write to small pages and to huge ones in turns; that tables say where they are beaten is tested
    with the tables."""
    if shutil.which(os.environ.get("CC", "cc")) is not None and importlib.util.find_spec("cffi"):
        done = bench("-c", KINDS)
        assert done.returncode == 0, done.stderr


INTO = """
import sys, worker
contestant, variant, names = sys.argv[1:]
contestant = worker.load(contestant)
contestant.setup(variant, 2)
made = {name: getattr(contestant, (case := worker.case(name, True)).family)(case.data)
        for name in names.split()}
print(*(name for name, run in made.items() if run.into is None))
"""


@pytest.mark.parametrize("contestant", ["numpy", "numexpr", "torch", "torch.compile", "jax"])
def test_peers_that_take_arrays_to_compute_into_are_given_them(contestant: str) -> None:
    module, variant, needed, has = CONTESTANTS[contestant]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    without = {"adam", "distances"} if contestant == "torch" else {"adam"}  # cdist has no such form
    large = [name for name in has.split() if name in FUSED.split() and name not in without]
    done = bench("-c", INTO, module, variant, " ".join(large))
    assert done.returncode == 0 and done.stdout == "\n", done.stderr


DECLARED = """
import weft, weft.tensor as T, workloads, numpy as np
m, rng = workloads.of_weft(), np.random.default_rng(0)
for name, (program, given) in workloads.WORKLOADS.items():
    kinds = ["int32" if of and isinstance(of[-1], tuple) else "float32" for of in given]
    ranks = [len(of[-1] if isinstance(of[-1], tuple) else of) for of in given]
    inputs = [T.TensorType(kind, (None,) * rank)() for kind, rank in zip(kinds, ranks)]
    weft.function(inputs, program(m, *inputs), mode="interpret")
print(workloads.disagreement([np.ones(3)], [np.ones(3)]), workloads.disagreement(np.ones(3), np.zeros(3)) > 1)
"""


def test_workloads_are_programs() -> None:
    """Each is declared; beside JAX they run where that is installed, and say what differs."""
    done = bench("-c", DECLARED)
    assert done.returncode == 0 and done.stdout.split() == ["0.0", "True"], done.stderr[-2000:]
    if importlib.util.find_spec("jax"):
        done = bench(BENCH / "workloads.py", "bags", "heat", "hessian_times_vector", "--seconds", "0.01")
        assert done.returncode == 0 and done.stdout.count("JAX") == 3, done.stdout + done.stderr

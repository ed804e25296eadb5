"""The benchmark: weft beside its peers and beside limits, answers compared. README.md says how to read it."""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from cases import NAMES, case
from machine import describe
from report import pictures, relatives_table, table, tables
from worker import KEPT, NOT_WRITTEN

HERE = Path(__file__).parent
# name -> module of contestants/, variant
CONTESTANTS = {
    "weft": ("weft", ""),
    "numpy": ("numpy", ""),
    "numexpr": ("numexpr", ""),
    "pytensor": ("pytensor", ""),
    "jax": ("jax", ""),
    "torch": ("pytorch", "eager"),
    "torch.compile": ("pytorch", "compile"),
    "limit": ("limit", ""),
    "products by numpy": ("products", "numpy"),
    "products by torch": ("products", "torch"),
}
RELATED = ("weft", "jax", "torch.compile")  # those that relatives of the cases are timed in
IMPORTS = {
    "weft": "import weft",
    "weft, all of it": "import weft, weft.tensor; weft.function, weft.scan, weft.grad; import weft.compiler.pipeline",
    "numpy": "import numpy",
    "numexpr": "import numexpr",
    "pytensor": "import pytensor, pytensor.tensor",
    "jax": "import jax, jax.numpy",
    "torch": "import torch",
}
THREAD_VARIABLES = ("WEFT_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PAUSE = 0.15  # seconds between contestants: thread pools go on spinning after a call
LARGE = 1 << 18  # bytes of results, from which on fresh arrays are timed too
PATIENCE = 600  # seconds that a contestant may take for an answer
GRACE = 10  # and to end, once it is told to


class Worker:
    """A contestant's process, for one case."""

    def __init__(self, name: str, case: str, threads: int, tiny: bool, scratch: Path, private: bool):
        module, variant = CONTESTANTS.get(name, (name, ""))
        command = [sys.executable, str(HERE / "worker.py"), module, variant, str(threads), case]
        self.log = open(scratch / "log", "w+")  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            command + ["tiny"] * tiny, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment(threads, scratch if private else None),
        )  # fmt: skip
        try:
            self.told = self.read()
        except BaseException:  # as an interrupt: nobody else knows of the process yet
            self.end()
            raise

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            return {"error": f"no answer in {PATIENCE} seconds"}
        line = self.process.stdout.readline()
        if line.endswith("\n"):  # else it ended before its answer did
            return json.loads(line)
        status = self.wait()
        self.log.seek(0)
        last = (self.log.read().strip().splitlines() or ["nothing printed"])[-1]
        return {"error": f"its process ended with {status}: {last[:300]}"}

    def time(self, seconds: float, fresh: bool = False) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"seconds": seconds, "fresh": fresh}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.read()

    def wait(self) -> int:
        """Its exit status; threads of its own may keep it from ending."""
        try:
            return self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):  # what it was told last, if it was dead by then
            self.process.stdin.close()
        self.process.stdout.close()
        self.wait()
        self.log.close()

    def end(self) -> None:
        """At once. Nothing is left to do where it is closed."""
        self.process.kill()
        self.close()


def environment(threads: int, cache: Path | None) -> dict[str, str]:
    """Equal threads for all; where a folder is given, caches of compiled code in it."""
    common = {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}
    if cache is None:
        return common
    flags = f"{os.environ.get('PYTENSOR_FLAGS', '')},base_compiledir={cache / 'pytensor'}"
    return {
        **common,
        "WEFT_CACHE_DIR": str(cache / "weft"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"),
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "NUMBA_CACHE_DIR": str(cache / "numba"),
        "PYTENSOR_FLAGS": flags.lstrip(","),
    }


def touch_memory() -> None:
    """Another process takes and leaves as much memory as a fresh turn does: on a virtual machine some of it may have
    gone back to the host, and who needs it first waits for that, not for what is timed."""
    command = [sys.executable, "-c", f"b'1' * {KEPT + (KEPT >> 2)}"]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=False)  # there may be less: then nobody gets it


def run_case(
    name: str, contestants: list[str], threads: int, args: argparse.Namespace, building: bool = True
) -> dict[str, Any]:
    """Starts the contestants, then lets them take turns; on arrays used before, then on fresh ones.

    Without `building` the seconds to compile do not count, and what was compiled before may be used."""
    about = case(name, args.tiny)
    about.compiles &= building
    large = about.bytes >= LARGE or (args.tiny and about.bytes > 0)
    about.data, about.reference = {}, []  # they may be gigabytes
    results: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    folders = tempfile.TemporaryDirectory(prefix="weft-bench-", ignore_cleanup_errors=True)
    with folders as scratch, ExitStack() as started:
        for contestant in contestants:
            folder = Path(scratch) / contestant.replace(os.sep, "_")
            folder.mkdir()
            worker = Worker(contestant, name, threads, args.tiny, folder, about.compiles)
            started.callback(worker.end)
            told = worker.told
            # A bound compiles nothing; else a second process finds what the first one built.
            if about.compiles and "error" not in told and not contestant.startswith("products"):
                worker.close()
                worker = Worker(contestant, name, threads, args.tiny, folder, about.compiles)
                started.callback(worker.end)
                told = {**worker.told, "cold_seconds": told["seconds"], "once": told["once"]}
            results[contestant] = told
            if "error" in told:
                worker.close()
            else:
                workers[contestant] = worker
        rounds = range(args.rounds)
        turns: dict[str, list[list[float]]] = {c: [] for c in workers}
        parts: dict[str, list[list[float]]] = {c: [] for c in workers}
        for _ in rounds:
            for contestant, worker in list(workers.items()):
                time.sleep(PAUSE)
                told = worker.time(args.seconds)
                if "error" in told:
                    results[contestant] = told
                    workers.pop(contestant).close()
                else:
                    turns[contestant].append(told.get("samples", []))
                    parts[contestant].append(told.get("parts", []))
        fresh: dict[str, list[list[float]]] = {c: [] for c in workers}
        if building and large and about.group == "fused":
            for _ in rounds[:: 1 if args.tiny else 3]:
                for contestant, worker in list(workers.items()):
                    time.sleep(PAUSE)
                    if not args.tiny:
                        touch_memory()
                    told = worker.time(args.seconds, fresh=True)
                    if "error" in told:
                        results[contestant]["fresh"] = told
                        workers.pop(contestant).close()
                    else:
                        fresh[contestant].append(told["samples"])
        for worker in workers.values():
            worker.close()
    for contestant, told in results.items():
        if "error" in told:
            continue
        if parts[contestant][0]:
            told["parts"] = [min(times) for times in zip(*parts[contestant], strict=True)]
        else:
            told |= summary(turns[contestant])
            if fresh.get(contestant) and "fresh" not in told:
                told["fresh"] = summary(fresh[contestant])
    join_products(results)
    return {"title": about.title, "group": about.group, "compiles": about.compiles, "results": results}


def summary(turns: list[list[float]]) -> dict[str, Any]:
    """`spread`: the fastest call of the slowest turn over that of the fastest."""
    times, best = [t for turn in turns for t in turn], [min(turn) for turn in turns if turn]
    if not times:
        return {}
    found = {"fastest": min(times), "median": statistics.median(times), "samples": len(times)}
    return {**found, "spread": max(best) / min(best)}


def join_products(results: dict[str, dict[str, Any]]) -> None:
    """One result "products" of both libraries': of each product the faster."""
    told = {c: results.pop(c) for c in list(results) if c.startswith("products by")}
    timed = [r["parts"] for r in told.values() if "parts" in r]
    if timed:
        best = [min(times) for times in zip(*timed, strict=True)]
        version = ", ".join(f"{c.split()[-1]} {r['version']}" for c, r in told.items() if "parts" in r)
        results["products"] = {"version": version, "fastest": sum(best), "median": sum(best), "samples": len(best)}
    elif told:
        results["products"] = next(iter(told.values()))


def run_imports(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to import each framework, in a new process each time."""
    turns: dict[str, list[list[float]]] = {name: [] for name in IMPORTS}
    results: dict[str, dict[str, Any]] = {}
    for _ in range(3 if args.tiny else args.rounds):
        for name, statement in IMPORTS.items():
            if "error" in results.get(name, {}) or name.split(",")[0] not in args.contestants:
                continue
            text = f"import time; s = time.perf_counter(); {statement}; print(time.perf_counter() - s)"
            command = [sys.executable, "-c", text]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment(args.threads, None)
            )
            if done.returncode:
                results[name] = {"error": (done.stderr.strip().splitlines() or ["?"])[-1]}
            else:
                turns[name].append([float(done.stdout.split()[-1])])
    results |= {name: summary(found) for name, found in turns.items() if found}
    return {"title": "import", "group": "import", "compiles": False, "results": results}


def memory() -> int:
    """Bytes that are free, or can be made free."""
    try:
        found = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found[1]) << 10 if found else 1 << 34


def run_curves(args: argparse.Namespace) -> dict[str, Any]:
    """The chain's fastest call over its size; that of some cases over the threads."""
    sizes = [10**k for k in range(2, 5 if args.tiny else 9)]
    wanted = [c for c in args.contestants if not c.startswith("products")]
    short = argparse.Namespace(**{**vars(args), "rounds": min(args.rounds, 4)})
    curves: dict[str, Any] = {"size": {}, "threads": {}, "not timed": []}

    def add(curve: dict[str, list[list[float]]], at: int, found: dict[str, Any]) -> None:
        for contestant, r in found["results"].items():
            if "fastest" in r:
                curve.setdefault(contestant, []).append([at, r["fastest"]])
            elif r.get("error", NOT_WRITTEN) != NOT_WRITTEN:
                curves["not timed"].append([found["title"], contestant, r["error"]])
                print(f"{found['title']}: not timed: {contestant}: {r['error']}", flush=True)

    for n in sizes:
        short.tiny = False
        needed = 4 * n * (5 * len(wanted) + 6)  # arrays of all contestants, and of one that is being checked
        if needed > (there := memory()):
            print(
                f"chain, {n:,}: not timed: needs about {needed >> 30} GB of memory, {there >> 30} are free", flush=True
            )
            break
        add(curves["size"], n, run_case(f"chain:{n}", wanted, args.threads, short, building=False))
        print(f"chain, {n:,}: done", flush=True)
    short.tiny = args.tiny
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("chain_1e6", "softmax", "mlp_256"):
        curve = curves["threads"].setdefault(case(name, True).family, {})
        for threads in range(1, cores + 1):
            add(curve, threads, run_case(name, wanted, threads, short, building=False))
            print(f"{name}, {threads} threads: done", flush=True)
    return curves


def run_relatives(args: argparse.Namespace) -> dict[str, Any]:
    """weft's ratio to the best of the compiling peers on each case as it stands and on its relatives."""
    from relatives import FAMILIES

    found: dict[str, Any] = {}
    for family in args.families or FAMILIES:
        found[family] = []
        for seed in (-1, *range(args.seed, args.seed + args.relatives)):
            name = f"relative:{family}:{seed}"
            one = run_case(name, [c for c in RELATED if c in args.contestants], args.threads, args, building=False)
            found[family].append({"seed": seed, **one})
            print(relatives_table({family: found[family][-1:]}), flush=True)
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cases", default=",".join((*NAMES, "import")), help="of %(default)s; may be empty")
    p.add_argument("--contestants", default=",".join(CONTESTANTS), help="of %(default)s; or a file of your own, x.py")
    p.add_argument("--threads", type=int, default=2, help="for each contestant (%(default)s)")
    p.add_argument("--rounds", type=int, default=12, help="turns that each contestant gets (%(default)s)")
    p.add_argument("--seconds", type=float, default=0.2, help="of one turn (%(default)s)")
    p.add_argument("--tiny", action="store_true", help="small data: whether all runs, not how fast")
    p.add_argument("--curves", action="store_true", help="also time against size and against threads")
    p.add_argument("--relatives", type=int, default=0, metavar="N", help="also N random relatives of each fused case")
    p.add_argument("--families", type=lambda s: s.split(","), help="whose relatives; by default all")
    p.add_argument("--seed", type=int, default=0, help="of the first relative (%(default)s)")
    p.add_argument("--json", type=Path, help="write the measurements here")
    p.add_argument("--png", type=Path, help="draw the pictures in this folder")
    args = p.parse_args()
    args.contestants, args.cases = args.contestants.split(","), [c for c in args.cases.split(",") if c]
    if "products" in args.contestants:
        args.contestants.remove("products")
        args.contestants += [c for c in CONTESTANTS if c.startswith("products")]
    check(p, args)
    report: dict[str, Any] = {"machine": describe(args.threads), "command": " ".join(["bench/run.py", *sys.argv[1:]])}
    report["cases"] = {}

    def save() -> None:
        versions = [(c, r) for one in report["cases"].values() for c, r in one["results"].items()]
        report["machine"]["versions"] = {c: r["version"] for c, r in versions if "version" in r}
        if args.json:  # after each case: a run takes long
            args.json.write_text(json.dumps(report, indent=1) + "\n")

    for name in args.cases:
        one = run_imports(args) if name == "import" else run_case(name, args.contestants, args.threads, args)
        report["cases"][name] = one
        print(table(one), flush=True)
        save()
    if args.curves:
        report["curves"] = run_curves(args)
        save()
    if args.relatives:
        report["relatives"] = run_relatives(args)
        save()
    print("\n".join(f"{k}: {v}" for k, v in report["machine"].items()), "\n")
    print(tables(report))
    if args.png:
        for line in pictures(report, args.png):
            print(line)
    results = [r for one in report["cases"].values() for r in one["results"].values()]
    results += [r for found in report.get("relatives", {}).values() for one in found for r in one["results"].values()]
    errors = [r.get("error", "") for r in results]
    errors += [error for *_, error in report.get("curves", {}).get("not timed", [])]
    return 1 if any("refused" in error for error in errors) else 0


def check(p: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What would show after the first cases only, or as a contestant that is not installed."""
    from relatives import FAMILIES

    families = "|".join(FAMILIES)
    for name in args.cases:
        if name not in (*NAMES, "import") and not re.fullmatch(rf"chain:\d+(e\d)?|relative:({families}):-?\d+", name):
            p.error(f"--cases: there is no {name!r}, but {', '.join((*NAMES, 'import'))}")
    for name in args.contestants:
        if name not in CONTESTANTS and not name.endswith(".py"):
            p.error(f"--contestants: there is no {name!r}, but {', '.join(CONTESTANTS)}, and files x.py")
    for name in args.families or ():
        if name not in FAMILIES:
            p.error(f"--families: there is no {name!r}, but {', '.join(FAMILIES)}")
    for name in ("rounds", "threads"):
        if getattr(args, name) < 1:
            p.error(f"--{name}: at least 1")
    if args.json and not args.json.absolute().parent.is_dir():
        p.error(f"--json: there is no folder {args.json.absolute().parent}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; what was timed before stands in the JSON", file=sys.stderr)
        sys.exit(130)

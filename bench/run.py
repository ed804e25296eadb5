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

from arguments import CONTESTANTS, cores, parse
from cases import case
from compare import read
from machine import command, describe, write
from relatives import FAMILIES
from report import BOUNDS, ROUGH, best_peer, parts, pictures, provenance, relatives_table, table, tables
from worker import KEPT, NOT_WRITTEN

HERE = Path(__file__).parent
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
        started = [sys.executable, str(HERE / "worker.py"), module, variant, str(threads), case]
        self.log = open(scratch / "log", "w+")  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            started + ["tiny"] * tiny, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
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
    taking = [sys.executable, "-c", f"b'1' * {KEPT + (KEPT >> 2)}"]
    subprocess.run(taking, stderr=subprocess.DEVNULL, check=False)  # there may be less: then nobody gets it


def run_case(
    name: str, contestants: list[str], threads: int, args: argparse.Namespace, building: bool = True, more: int = 0
) -> dict[str, Any]:
    """Starts the contestants, then lets them take turns; on arrays used before, then on fresh ones.

    All get up to `more` turns beyond the given rounds, while those whose times are compared are `unsteady`.
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
        turns: dict[str, list[list[float]]] = {c: [] for c in workers}
        parts: dict[str, list[list[float]]] = {c: [] for c in workers}
        rounds = range(args.rounds)
        for k in range(args.rounds + more):
            if k >= args.rounds and not unsteady(turns):
                break
            for contestant, worker in list(workers.items()):
                time.sleep(PAUSE)
                told = worker.time(args.seconds)
                if "error" in told:
                    results[contestant] = told
                    workers.pop(contestant).close()
                    del turns[contestant]
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
            told["parts"] = [list(times) for times in zip(*parts[contestant], strict=True)]
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


def unsteady(turns: dict[str, list[list[float]]]) -> bool:
    """Whether the median call of weft, its best peer or a bound takes much longer than the fastest."""
    found = {c: summary(of) for c, of in turns.items() if any(of)}
    concerned = {"weft", *BOUNDS, best_peer({c: r["fastest"] for c, r in found.items()})}
    return any(r["median"] > ROUGH * r["fastest"] for c, r in found.items() if c in concerned)


def join_products(results: dict[str, dict[str, Any]]) -> None:
    """One result "products" of both libraries': of each product the faster. `parts` holds its fastest time a turn."""
    told = {c: results.pop(c) for c in list(results) if c.startswith("products by")}
    timed = [r["parts"] for r in told.values() if "parts" in r]
    if timed:
        best = [min(times, key=min) for times in zip(*timed, strict=True)]
        version = ", ".join(f"{c.split()[-1]} {r['version']}" for c, r in told.items() if "parts" in r)
        fastest, median, slowest = (sum(map(f, best)) for f in (min, statistics.median, max))
        results["products"] = {"version": version, "fastest": fastest, "median": median, "samples": len(best),
                               "spread": slowest / fastest}  # fmt: skip
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
            done = subprocess.run(
                [sys.executable, "-c", text],
                capture_output=True, text=True, check=False, env=environment(args.threads, None),
            )  # fmt: skip
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


def run_curves(args: argparse.Namespace, record: Record) -> None:
    """The chain's fastest call over its size; that of some cases over the threads."""
    sizes = [10**k for k in range(2, 5 if args.tiny else 9)]
    wanted = [c for c in args.contestants if not c.startswith("products")]
    short = argparse.Namespace(**{**vars(args), "rounds": min(args.rounds, 4)})
    curves: dict[str, Any] = {"size": {}, "threads": {}, "not timed": []}
    record.put("curves", curves)

    def add(curve: dict[str, list[list[float]]], at: int, found: dict[str, Any]) -> None:
        for contestant, r in found["results"].items():
            if "fastest" in r:
                curve.setdefault(contestant, []).append([at, r["fastest"], r["spread"]])
            elif r.get("error", NOT_WRITTEN) != NOT_WRITTEN:
                curves["not timed"].append([found["title"], contestant, r["error"]])
                print(f"{found['title']}: not timed: {contestant}: {r['error']}", flush=True)
        record.save(found)

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
    for name in ("chain_1e6", "softmax", "mlp_256"):
        curve = curves["threads"].setdefault(case(name, True).family, {})
        for threads in range(1, cores() + 1):
            add(curve, threads, run_case(name, wanted, threads, short, building=False))
            print(f"{name}, {threads} threads: done", flush=True)


def run_relatives(args: argparse.Namespace, record: Record) -> None:
    """weft and the peers that lead in a family's case, on the case as it stands and on its relatives."""
    short = argparse.Namespace(**{**vars(args), "rounds": min(args.rounds, 4)})
    for family in args.families or FAMILIES:
        peers = ("weft", *FAMILIES[family].peers)
        wanted = [c for c in args.contestants if c in peers or c.endswith(".py")]
        found: list[dict[str, Any]] = []
        for seed in (-1, *range(args.seed, args.seed + args.relatives)):
            name = f"relative:{family}:{seed}" + f":{args.relatives}" * (seed >= 0)
            one = run_case(name, wanted, args.threads, short, building=False, more=min(args.more, 2))
            found.append({"seed": seed, **one})
            record.put("relatives", found[-1], family, len(found) == 1)
            record.save(one)
            print(relatives_table({family: found[-1:]}), flush=True)


class Record:
    """What was measured: each part says by which run, as files may be put together from several (--add)."""

    def __init__(self, args: argparse.Namespace):
        self.to: Path | None = args.json
        self.saved = False
        self.report: dict[str, Any] = {"runs": [], "cases": {}}
        if args.add and self.to and self.to.exists():
            self.report |= read(self.to)
            if "machine" in self.report:  # of the time before there were runs
                old = {"machine": self.report.pop("machine"), "command": self.report.pop("command", "?")}
                self.report["runs"] = [old]
                for _, part in parts(self.report):
                    part["run"] = 0
        self.own = {"machine": {**describe(args.threads), "versions": {}}, "command": command()}
        self.report["runs"].append(self.own)

    def put(self, section: str, part: dict[str, Any], name: str = "", first: bool = False) -> None:
        part["run"] = self.report["runs"].index(self.own)
        if section == "curves":
            self.report[section] = part
        elif section == "cases":
            self.report[section][name] = part
        else:
            found = self.report.setdefault(section, {})
            found[name] = [*([] if first else found[name]), part]

    def save(self, timed: dict[str, Any]) -> None:
        """After each thing that was timed: a run takes long."""
        versions = self.own["machine"]["versions"]
        versions |= {c: r["version"] for c, r in timed["results"].items() if "version" in r}
        runs = self.report["runs"]
        used = [k for k, run in enumerate(runs) if run is self.own or any(p["run"] == k for _, p in parts(self.report))]
        for _, part in parts(self.report):
            part["run"] = used.index(part["run"])
        self.report["runs"] = [runs[k] for k in used]
        if self.to:
            write(self.to, self.report)
            self.saved = True


def failures(report: dict[str, Any], run: int) -> list[str]:
    """Why the driver ends with 1: an answer was refused, or weft was asked for and not timed."""
    own = [(part["title"], part["results"]) for _, part in parts(report) if part["run"] == run and "results" in part]
    told = [(t, c, e) for t, results in own for c, r in results.items()
            for e in (r.get("error"), r.get("fresh", {}).get("error")) if e]  # fmt: skip
    if report.get("curves", {}).get("run") == run:
        told += report["curves"]["not timed"]
    return [f"{title}: {c}: {error}" for title, c, error in told
            if "refused" in error or (c == "weft" and error != NOT_WRITTEN)]  # fmt: skip


def main() -> int:
    args = parse(__doc__)
    record = Record(args)
    try:
        measure(args, record)
    except KeyboardInterrupt:
        print("interrupted" + f"; {args.json} holds what was timed before" * record.saved, file=sys.stderr)
        return 130
    report = record.report
    print("\n".join(f"{k}: {v}" for k, v in record.own["machine"].items()), "\n")
    print(tables(report))
    print(provenance(report))
    if args.png:
        for line in pictures(report, args.png):
            print(line)
    found = failures(report, report["runs"].index(record.own))
    for line in found:
        print(f"failed: {line}", file=sys.stderr)
    return int(bool(found))


def measure(args: argparse.Namespace, record: Record) -> None:
    for name in args.cases:
        if name == "import":
            one = run_imports(args)
        else:
            one = run_case(name, args.contestants, args.threads, args, more=args.more)
        record.put("cases", one, name)
        record.save(one)
        print(table(one), flush=True)
    if args.curves:
        run_curves(args, record)
    if args.relatives:
        run_relatives(args, record)


if __name__ == "__main__":
    sys.exit(main())

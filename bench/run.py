"""The benchmark table: weft beside its peers, answers compared. README.md says how to read it."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cases import CASES
from machine import describe

HERE = Path(__file__).parent
# name -> module of contestants/, variant
CONTESTANTS = {
    "weft": ("weft", ""),
    "numpy": ("numpy", ""),
    "numexpr": ("numexpr", ""),
    "torch": ("pytorch", "eager"),
    "torch.compile": ("pytorch", "compile"),
    "jax": ("jax", ""),
    "pytensor": ("pytensor", ""),
}
THREAD_VARIABLES = ("WEFT_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PAUSE = 0.15  # seconds between contestants: thread pools go on spinning after a call


class Worker:
    """A contestant's process, for one case."""

    def __init__(self, name: str, case: str, args: argparse.Namespace, scratch: Path, private: bool):
        module, variant = CONTESTANTS.get(name, (name, ""))
        command = [sys.executable, str(HERE / "worker.py"), module, variant, str(args.threads), case]
        self.log = open(scratch / "log", "w+")  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            command + ["tiny"] * args.tiny, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment(args.threads, scratch if private else None),
        )  # fmt: skip
        self.told = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.log.seek(0)
        last = (self.log.read().strip().splitlines() or ["nothing printed"])[-1]
        return {"error": f"its process ended with {self.process.wait()}: {last[:300]}"}

    def time(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"seconds": seconds}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.read()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()


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


def run_case(name: str, args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Starts the contestants, then lets them take turns."""
    case = CASES[name](args.tiny)
    results: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    for contestant in args.contestants:
        folder = scratch / f"{name}-{contestant.replace(os.sep, '_')}"
        folder.mkdir()
        worker = Worker(contestant, name, args, folder, case.compiles)
        told = worker.told
        if case.compiles and "error" not in told:
            worker.close()
            worker = Worker(contestant, name, args, folder, case.compiles)
            told = {**worker.told, "cold_seconds": told["seconds"]}
        results[contestant] = told
        if "error" in told:
            worker.close()
        else:
            workers[contestant] = worker
    samples: dict[str, list[float]] = {c: [] for c in workers}
    for _ in range(args.rounds):
        for contestant, worker in list(workers.items()):
            time.sleep(PAUSE)
            told = worker.time(args.seconds)
            if "error" in told:
                results[contestant] = told
                workers.pop(contestant).close()
            else:
                samples[contestant] += told["samples"]
    for contestant, worker in workers.items():
        worker.close()
        times = samples[contestant]
        results[contestant] |= {"fastest": min(times), "median": statistics.median(times), "samples": len(times)}
    return {"title": case.title, "compiles": case.compiles, "results": results}


def table(report: dict[str, Any]) -> str:
    """The report as Markdown; ratios are to the best contestant other than weft."""
    out = []
    for case in report["cases"].values():
        timed = {c: r for c, r in case["results"].items() if "fastest" in r}
        best = min((r["fastest"] for c, r in timed.items() if c != "weft"), default=None)
        head = ["contestant", "fastest", "median", "to best peer"] + ["built cold", "built cached"] * case["compiles"]
        out += [f"### {case['title']}", "", f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
        for c, r in sorted(timed.items(), key=lambda item: item[1]["fastest"]):
            row = [c, unit(r["fastest"]), unit(r["median"]), f"{r['fastest'] / best:.2f}" if best else ""]
            if case["compiles"]:
                row += [f"{r['cold_seconds']:.2f} s", f"{r['seconds']:.2f} s"]
            out.append(f"| {' | '.join(row)} |")
        out += ["", *(f"Not timed: {c}: {r['error']}" for c, r in case["results"].items() if "error" in r), ""]
    return "\n".join(out)


def unit(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} us"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cases", default=",".join(CASES), help="of %(default)s")
    p.add_argument("--contestants", default=",".join(CONTESTANTS), help="of %(default)s; or a file of your own, x.py")
    p.add_argument("--threads", type=int, default=2, help="for each contestant (%(default)s)")
    p.add_argument("--rounds", type=int, default=12, help="turns that each contestant gets (%(default)s)")
    p.add_argument("--seconds", type=float, default=0.2, help="of one turn (%(default)s)")
    p.add_argument("--tiny", action="store_true", help="small data: whether all runs, not how fast")
    p.add_argument("--json", type=Path, help="write the measurements here")
    args = p.parse_args()
    args.contestants, args.cases = args.contestants.split(","), args.cases.split(",")
    report: dict[str, Any] = {"machine": describe(args.threads), "command": " ".join(["bench/run.py", *sys.argv[1:]])}
    report["cases"] = {}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch:
        for name in args.cases:
            one = run_case(name, args, Path(scratch))
            report["cases"][name] = one
            print(table({"cases": {name: one}}), flush=True)
    results = [(c, r) for one in report["cases"].values() for c, r in one["results"].items()]
    report["machine"]["versions"] = {c: r["version"] for c, r in results if "version" in r}
    print("\n".join(f"{k}: {v}" for k, v in report["machine"].items()))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any("refused" in r.get("error", "") for _, r in results) else 0


if __name__ == "__main__":
    sys.exit(main())

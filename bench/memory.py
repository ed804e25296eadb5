"""Growth of resident memory over training steps: weft beside PyTorch eager, each in a process of its own.

`python bench/memory.py [--quick] [--json FILE]`. A process imports its framework, makes data and parameters in the
framework's own form, and notes what is resident (/proc/self/status). Then it trains: weft's growth has two parts, what
is resident once the function is compiled (the compiler is Python, and lives in the process), and what the steps add.
The peak is the highest that was resident in between. Both do plain gradient descent; the losses have to agree. Compiled
code comes from the cache: the C compiler runs in processes of its own in any case.

A framework also loads parts of itself when it first trains. So each is measured twice: as it comes, and after it has
trained a tiny model, which leaves the memory of the training itself.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

import numpy as np
from machine import command, describe, write

CASES = {
    "tiny": ("a model of two layers", (4, 3, 2), 5),
    "mlp": ("MLP step 784-1024-1024-10, batch 128", (784, 1024, 1024, 10), 128),
    "narrow": ("20 layers 128 wide, batch 64", (128,) * 21, 64),
    "wide": ("20 layers 1024 wide, batch 128", (1024,) * 21, 128),
}
STEPS = 5
RATE = np.float32(0.01)


def data(name: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    _, sizes, batch = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0]), np.float32)
    t = rng.integers(0, sizes[-1], batch)
    parameters = []
    for m, n in pairwise(sizes):
        parameters += [rng.standard_normal((m, n), np.float32) * np.float32((2 / m) ** 0.5), np.zeros(n, np.float32)]
    return x, t, parameters


def status(*names: str) -> list[int]:
    """Bytes by their names in /proc/self/status."""
    with open("/proc/self/status") as f:
        found = dict(line.split(":", 1) for line in f)
    return [int(found[n].split()[0]) * 1024 for n in names]


def settle() -> int:
    """What is resident from here on: what was freed goes back to the system, and the peak is forgotten."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return status("VmRSS")[0]


def grown(start: int, compiled: int, losses: list[float]) -> dict[str, Any]:
    """The figures of a contestant, whose parameters and results are still there."""
    resident, peak = status("VmRSS", "VmHWM")
    return {"compiled": compiled - start, "grown": resident - start, "peak": peak - start, "losses": losses}


def with_weft(name: str) -> dict[str, Any]:
    import weft
    import weft.tensor as T

    x, t, values = data(name)
    parameters = [weft.shared(v) for v in values]
    del values
    start = settle()
    a, y = T.fmatrix("a"), T.lvector("y")
    h = a
    for k in range(0, len(parameters), 2):
        h = T.dot(h, parameters[k]) + parameters[k + 1]
        h = T.maximum(h, 0) if k < len(parameters) - 2 else h
    cost = -T.nnet.logsoftmax(h)[T.arange(y.shape[0]), y].mean()
    updates = [(p, p - RATE * g) for p, g in zip(parameters, weft.grad(cost, parameters), strict=True)]
    f = weft.function([a, y], cost, updates=updates)
    (compiled,) = status("VmRSS")
    losses = [float(f(x, t)) for _ in range(STEPS)]
    return grown(start, compiled, losses)


def with_torch(name: str) -> dict[str, Any]:
    import torch

    torch.set_num_threads(int(os.environ.get("WEFT_THREADS", "2")))
    x, t, values = data(name)
    a, y = torch.from_numpy(x), torch.from_numpy(t)
    parameters = [torch.nn.Parameter(torch.from_numpy(v)) for v in values]
    del values
    start = settle()
    descent = torch.optim.SGD(parameters, lr=float(RATE))
    losses = []
    for _ in range(STEPS):
        h = a
        for k in range(0, len(parameters), 2):
            h = torch.addmm(parameters[k + 1], h, parameters[k])
            h = torch.relu(h) if k < len(parameters) - 2 else h
        loss = torch.nn.functional.cross_entropy(h, y)
        descent.zero_grad()
        loss.backward()
        descent.step()
        losses.append(float(loss.detach()))
    return grown(start, start, losses)


CONTESTANTS = {"weft": with_weft, "torch": with_torch}


def work(name: str, case: str, warm: bool) -> None:
    if warm:
        CONTESTANTS[name]("tiny")
    print(json.dumps(CONTESTANTS[name](case)))


def measure(name: str, case: str, warm: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--work", name, case, "warm" * warm]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json")
    parser.add_argument("--quick", action="store_true", help="one process a measurement, not three")
    parser.add_argument("--work", nargs=3, metavar=("CONTESTANT", "CASE", "WARM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, case, warm = options.work
        work(name, case, warm == "warm")
        return 0
    if not os.path.exists("/proc/self/clear_refs"):
        print("memory: needs Linux's /proc")
        return 0
    results: dict[str, Any] = {}
    failed = False
    mega = 1 << 20
    for case, (title, _, _) in list(CASES.items())[1:]:
        print(f"\n{title}: MB resident beyond import, data and parameters")
        print(f"{'':24}{'after steps':>14}{'peak':>10}{'of it compiled':>18}")
        results[case] = {}
        for warm in (False, True):
            how = "after a tiny model" if warm else "as it comes"
            rows: dict[str, Any] = results[case].setdefault(how, {})
            for name in CONTESTANTS:
                measure(name, case, warm)  # fills the cache
                runs = [measure(name, case, warm) for _ in range(1 if options.quick else 3)]
                errors = [r["error"] for r in runs if "error" in r]
                r = rows[name] = {"error": errors[0]} if errors else min(runs, key=lambda r: r["peak"])
                said = (
                    errors[0]
                    if errors
                    else "".join(f"{r[k] / mega:{w}.1f}" for k, w in (("grown", 14), ("peak", 10), ("compiled", 18)))
                )
                print(f"{name + (', ' + how) * warm:24}{said}")
            if any("error" in r for r in rows.values()):
                continue
            a, b = (rows[n]["losses"] for n in CONTESTANTS)
            if not np.allclose(a, b, rtol=1e-2):
                print(f"  refused: the losses disagree: {a} and {b}")
                failed = True
            ratios = [rows["weft"][k] / rows["torch"][k] for k in ("grown", "peak")]
            print(f"  weft to torch: {ratios[0]:.2f} after the steps, {ratios[1]:.2f} at the peak")
    if options.json:
        versions = {}
        for name in CONTESTANTS:
            with suppress(PackageNotFoundError):
                versions[name] = version(name)
        machine = {**describe(int(os.environ.get("WEFT_THREADS", "2"))), "versions": versions}
        write(options.json, {"machine": machine, "command": command(), "steps": STEPS, "bytes": results})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

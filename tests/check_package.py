"""Builds wheel and source distribution, and tries each alone in a fresh environment of every Python that is at hand.

    python tests/check_package.py [--pythons python3.11 python3.12]

In each: the wheel with its dependencies only, away from the source tree; a program that trains runs, interpreted
and compiled; the names of the face load; what needs an extra says which. The source distribution is built and installed
in the first of them. Ends with status 1 where anything fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
PROGRAM = """
import numpy as np
import weft
import weft.tensor as T

assert not weft.__file__.startswith(ROOT), weft.__file__
x, t = T.dmatrix("x"), T.lvector("t")
w = weft.shared(np.zeros((4, 3)), name="w")
cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, w)), t).mean()
points = np.random.default_rng(0).normal(size=(150, 4))
labels = points[:, :3].argmax(axis=1)
ends = []
for mode in (None, "interpret"):
    w.set_value(np.zeros((4, 3)))
    step = weft.function([x, t], cost, updates=weft.optimizers.adam(cost, [w], 0.1), mode=mode)
    costs = [float(step(points, labels)) for _ in range(20)]
    assert costs[-1] < costs[0] / 2, costs
    ends.append(costs[-1])
np.testing.assert_allclose(*ends, rtol=1e-10)
for name in weft.__all__:
    getattr(weft, name)
try:
    weft.training.Trainer(step, [points, labels], callbacks=[weft.training.Checkpoints("run")]).fit(1)
except weft.ArgumentError as e:
    assert "pip install 'weft[demo]'" in str(e), e
else:
    raise AssertionError("checkpoints were written without safetensors")
print("weft", weft.__version__, "works")
"""


def run(*command: str | Path, **kwargs: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:200]}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


def try_out(python: str, package: Path, folder: Path) -> str:
    """Installs the package in a fresh environment and runs the program there; what it printed."""
    place = folder / f"{Path(python).name} {package.suffix[1:]}"
    run(python, "-m", "venv", place)
    inside = place / "bin" / "python"
    run(inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["WEFT_CACHE_DIR"] = str(place / "cache")
    return run(inside, "-c", f"ROOT = {str(ROOT)!r}\n{PROGRAM}", cwd=folder, env=environment)


def runs(python: str) -> bool:
    """Whether it is there and more than the shim of a version manager that has no such version chosen."""
    found = shutil.which(python)
    return found is not None and not subprocess.run([found, "-c", ""], capture_output=True).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="*", default=[p for p in PYTHONS if runs(p)])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-package-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT)
        (wheel,), (source,) = ((folder / "dist").glob(f"*.{kind}") for kind in ("whl", "tar.gz"))
        for python in options.pythons:
            print(f"{python}, {wheel.name}: {try_out(python, wheel, folder)}", flush=True)
        if options.pythons:
            print(f"{options.pythons[0]}, {source.name}: {try_out(options.pythons[0], source, folder)}")
    for python in PYTHONS:
        if python not in {Path(p).name for p in options.pythons}:
            print(f"{python}: not tried")


if __name__ == "__main__":
    main()

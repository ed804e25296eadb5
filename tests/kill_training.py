"""Kills training runs at random moments and goes on with them: each has to end with the bits of a run never killed.

    python tests/kill_training.py --kills 200 --seed 1

The run is a small network with dropout, momentum, a schedule that reacts to a metric, early stopping, and a checkpoint
after every step, so that most moments lie in or near the writing of one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 6


def train(folder: Path) -> None:
    """In a process of its own: begins, or goes on from the checkpoint there is, and leaves the parameters."""
    import numpy as np

    import weft
    import weft.tensor as T
    from weft.tensor.shared_randomstreams import RandomStreams
    from weft.training import Batches, Checkpoints, EarlyStopping, Evaluation, Trainer, schedules

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((96, 6)).astype("float32")
    targets = np.tanh(inputs @ rng.standard_normal((6, 1)).astype("float32"))
    x, y = T.fmatrices("x", "y")
    values = [(0.5 * rng.standard_normal(s)).astype("float32") for s in ((6, 8), (8, 1))]
    params = [weft.shared(v, name=f"W{k}") for k, v in enumerate(values, 1)]
    rate = weft.shared(np.float32(0.1), name="rate")

    def network(x: weft.Variable, keep: weft.Variable | float) -> weft.Variable:
        return T.dot(T.tanh(T.dot(x, params[0])) * keep, params[1])

    mask = RandomStreams(7).binomial((x.shape[0], 8), p=0.8, dtype="float32")
    loss = T.sqr(network(x, mask / np.float32(0.8)) - y).mean()
    updates = []
    for p, g in zip(params, weft.grad(loss, params), strict=True):
        speed = weft.shared(np.zeros_like(p.get_value()), name=f"speed of {p.name}")
        new = np.float32(0.9) * speed - rate * g
        updates += [(speed, new), (p, p + new)]
    step = weft.function([x, y], loss, updates=updates, name="step")
    error = weft.function([x, y], T.sqr(network(x, np.float32(1)) - y).mean())
    path = folder / "run.safetensors"
    trainer = Trainer(
        step, Batches([inputs, targets], 8, seed=3), rates={rate: schedules.Plateau(0.1, "squares", patience=1)},
        validate=Evaluation(error, [inputs, targets], ["squares"]),
        callbacks=[EarlyStopping("squares", 4), Checkpoints(path, steps=1)],
    )  # fmt: skip
    if path.exists():
        trainer.load(path)
    (folder / "begun").touch()
    trainer.fit(EPOCHS)
    np.savez(folder / "end.npz", **{k: v.copy() for k, v in trainer.variables.items()})


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, __file__, "--train", str(folder)], env=os.environ)


def result(folder: Path) -> dict[str, bytes]:
    import numpy as np

    with np.load(folder / "end.npz") as f:
        return {k: f[k].tobytes() for k in f.files}


def whole(folder: Path) -> tuple[dict[str, bytes], float]:
    """What a run that nobody kills ends with, and the seconds from its first step to its end."""
    process = start(folder)
    while not (folder / "begun").exists() and process.poll() is None:
        time.sleep(0.001)
    began = time.monotonic()
    if process.wait():
        raise SystemExit("the run that nobody kills failed")
    return result(folder), time.monotonic() - began


def killed_runs(kills: int, seed: int, folder: Path) -> tuple[int, int]:
    """Kills until so many processes were killed; the numbers of kills and of runs that came to their end.

    Raises SystemExit where a run fails, or ends with other bits."""
    rng = random.Random(seed)
    (folder / "whole").mkdir()
    want, seconds = whole(folder / "whole")
    done = runs = 0
    while done < kills:
        place = folder / f"run {runs}"
        place.mkdir()
        while True:
            (place / "begun").unlink(missing_ok=True)
            process = start(place)
            while done < kills and not (place / "begun").exists() and process.poll() is None:
                time.sleep(0.001)
            if done < kills:
                time.sleep(rng.random() * seconds * 0.7)
                process.send_signal(signal.SIGKILL)
            code = process.wait()
            if code == -signal.SIGKILL:
                done += 1
            elif code:
                raise SystemExit(f"a run that was killed {done} times could not go on ({place})")
            else:
                break
        runs += 1
        if result(place) != want:
            raise SystemExit(f"a run that was killed and gone on with ended with other bits ({place})")
    return done, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train)
        return
    with tempfile.TemporaryDirectory(prefix="weft-kills-") as folder:
        done, runs = killed_runs(options.kills, options.seed, Path(folder))
    print(f"{done} processes killed, {runs} runs came to their end, all with the bits of one that nobody killed")


if __name__ == "__main__":
    main()

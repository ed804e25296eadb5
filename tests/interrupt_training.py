"""Interrupts training at random moments and goes on in the same Trainer: each run has to end with the bits of one that
was never interrupted, after as many steps.

    python tests/interrupt_training.py --runs 500 --seed 1

The interrupts are signals, so they come where Python lets them: in a step, before and after it has committed, in an
update, in a validation, while the thread of a source starts or is waited for, and while an interrupt is dealt with.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from test_training_loop import SOURCES, Accumulating, Model, X, Y

from weft.training import Evaluation, Trainer

EPOCHS = 4
INTERRUPTS = 8  # of a run, at most: the rest of it is left in peace


class Signals:
    """Sends SIGINT again and again while `on`, from a thread of its own; `ended` waits until none is on its way."""

    def __init__(self, rng: random.Random):
        self.rng, self.on, self.lock, self.sent = rng, threading.Event(), threading.Lock(), 0
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while self.on.wait():
            time.sleep(self.rng.random() * 0.004)
            with self.lock:
                if self.on.is_set():
                    self.sent += 1
                    os.kill(os.getpid(), signal.SIGINT)

    def ended(self) -> None:
        while True:
            try:
                self.on.clear()
                with self.lock:
                    pass
                return
            except KeyboardInterrupt:
                pass


def train(t: Trainer, signals: Signals) -> None:
    """To the end, in spite of all interrupts."""
    for count in itertools.count():
        try:
            try:
                if count < INTERRUPTS:
                    signals.on.set()
                t.fit(EPOCHS)
                return
            finally:
                signals.ended()
        except KeyboardInterrupt:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    signals = Signals(rng)
    kinds = [(m, m.trainer().snapshot(), source) for m in (Model(), Accumulating()) for source in SOURCES]

    def end(m: Model, first: dict[str, np.ndarray], source: str, train: Callable[[Trainer], Any]) -> tuple:
        t = m.trainer(data=SOURCES[source](), validate=Evaluation(m.error, [X, Y], size=10))
        t.put_back(first)
        m.rate.set_value(1.0)
        train(t)
        bits = {name: value.tobytes() for name, value in t.snapshot().items()}
        return bits, t.steps, [(r["epoch"], r["steps"], r["rate"], r["error"]) for r in t.history]

    whole = [end(*kind, lambda t: t.fit(EPOCHS)) for kind in kinds]
    for _ in range(options.runs):
        k = rng.randrange(len(kinds))
        if end(*kinds[k], lambda t: train(t, signals)) != whole[k]:
            raise SystemExit(f"a run that was interrupted ended otherwise: {type(kinds[k][0]).__name__}, {kinds[k][2]}")
    print(f"{options.runs} runs, interrupted {signals.sent} times, all with the bits of one that was never interrupted")


if __name__ == "__main__":
    main()

"""What happens after steps and epochs. A callback is called by the Trainer and may stop it: `trainer.stop(reason)`."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, CheckpointError
from . import checkpoint

if TYPE_CHECKING:
    from .loop import Record, Trainer


class Callback:
    """Base of callbacks: each method does nothing. `name` is what its state is saved under in checkpoints; one that is
    `last` is called after the others."""

    last = False

    @property
    def name(self) -> str:
        return type(self).__name__

    def start(self, trainer: Trainer) -> None:
        """Before the first step of `fit`."""

    def step(self, trainer: Trainer) -> None:
        """After each step."""

    def epoch(self, trainer: Trainer, record: Record) -> None:
        """After each epoch, with its record (which it may add to)."""

    def end(self, trainer: Trainer) -> None:
        """When `fit` ends, by an error too."""

    def state(self) -> dict[str, Any]:
        """What it has to remember, as plain data."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays among it."""
        return {}

    def restore(self, state: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Takes back what `state` and `arrays` gave."""


class EarlyStopping(Callback):
    """Stops after `patience` epochs in which a metric was not better than the best so far by more than `least`.

    Smaller is better unless `mode` is "max". With `restore_best` all variables of the run get the values of the best
    epoch when the run ends; a `fit` of more epochs goes on from those of the last one.
    """

    def __init__(
        self, metric: str = "error", patience: int = 10, *, mode: str = "min", least: float = 0.0,
        restore_best: bool = True,
    ):  # fmt: skip
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode={mode!r}: a metric is better when smaller, 'min', or when larger, 'max'")
        if patience < 1:
            raise ArgumentError(f"patience={patience}: at least one epoch is waited")
        self.metric, self.patience, self.mode, self.least = metric, patience, mode, least
        self.restore_best = restore_best
        self.best, self.best_epoch, self.waited = math.inf if mode == "min" else -math.inf, 0, 0
        self.kept: dict[str, np.ndarray] = {}
        self.before: dict[str, np.ndarray] = {}  # what the variables were when they were given those

    def start(self, trainer: Trainer) -> None:
        if not trainer.epoch:  # another run
            self.before = {}
        if not self.before or trainer.stopped is not None or trainer.epoch >= trainer.epochs:
            return
        now = trainer.snapshot()  # what somebody has set since stays
        trainer.put_back({n: a for n, a in self.before.items() if n in self.kept and _same(now[n], self.kept[n])})
        self.before = {}

    def epoch(self, trainer: Trainer, record: Record) -> None:
        if self.metric not in record:
            raise ArgumentError(f"EarlyStopping watches {self.metric!r}; an epoch's record has {', '.join(record)}")
        value = record[self.metric]
        better = value < self.best - self.least if self.mode == "min" else value > self.best + self.least
        if better:
            self.best, self.best_epoch, self.waited = value, record["epoch"], 0
            self.kept = trainer.snapshot() if self.restore_best else {}
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop(f"{self.metric} was best in epoch {self.best_epoch}: {self.best:g}")

    def end(self, trainer: Trainer) -> None:
        over = trainer.stopped is not None or trainer.epoch >= trainer.epochs
        if over and self.kept and not self.before:
            self.before = trainer.snapshot()
            trainer.put_back(self.kept)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best epoch": self.best_epoch, "waited": self.waited, "last": bool(self.before)}

    def arrays(self) -> dict[str, np.ndarray]:
        if not self.before:
            return self.kept
        both = (("best", self.kept), ("last", self.before))
        return {f"{which}/{name}": a for which, values in both for name, a in values.items()}

    def restore(self, state: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self.best, self.best_epoch, self.waited = state["best"], state["best epoch"], state["waited"]
        self.kept, self.before = dict(arrays), {}
        if state.get("last"):  # the checkpoint is of a run that had ended
            self.kept, self.before = (
                {n.removeprefix(which): a for n, a in arrays.items() if n.startswith(which)}
                for which in ("best/", "last/")
            )


class Checkpoints(Callback):
    """Writes a checkpoint after every so many epochs, steps or seconds (each None: not by that measure)."""

    last = True  # what the others remember of an epoch is in it

    def __init__(
        self, path: str | os.PathLike, *, epochs: int | None = 1, steps: int | None = None,
        seconds: float | None = None, settings: Mapping[str, Any] | None = None,
    ):  # fmt: skip
        for what, n in (("epochs", epochs), ("steps", steps)):
            if n is not None and n < 1:
                raise ArgumentError(f"{what}={n}: a checkpoint after every so many, at least 1, or None")
        if not Path(path).name:
            raise ArgumentError(f"a checkpoint is a file, and {os.fspath(path)!r} names a folder")
        self.path, self.epochs, self.steps, self.seconds = Path(path), epochs, steps, seconds
        self.settings = dict(settings or {})
        try:
            json.dumps(self.settings, default=checkpoint.plain)
        except (TypeError, ValueError) as e:
            raise ArgumentError(
                f"settings={self.settings!r:.200}: a checkpoint keeps plain data, as JSON does: {e}"
            ) from e
        self._last = time.monotonic()

    def start(self, trainer: Trainer) -> None:
        self._last = time.monotonic()

    def step(self, trainer: Trainer) -> None:
        due = self.steps is not None and trainer.steps % self.steps == 0
        if due or (self.seconds is not None and time.monotonic() - self._last >= self.seconds):
            self.write(trainer)

    def epoch(self, trainer: Trainer, record: Record) -> None:
        if self.epochs is not None and trainer.epoch % self.epochs == 0:
            self.write(trainer)

    def write(self, trainer: Trainer) -> None:
        trainer.save(self.path, self.settings)
        self._last = time.monotonic()


class JsonLines(Callback):
    """Appends the record of each epoch to a file, as a line of JSON; null stands for numbers that are not finite.

    Raises CheckpointError where the file cannot be written."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def start(self, trainer: Trainer) -> None:
        """Lines of epochs that the run has not come to (it goes on from a checkpoint) are taken away."""
        self._write("w", "".join(map(as_line, trainer.history)))

    def epoch(self, trainer: Trainer, record: Record) -> None:
        self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """A line of one's own, such as the result of the run."""
        self._write("a", as_line(record))

    def _write(self, how: str, text: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open(how) as f:
                f.write(text)
        except OSError as e:
            raise CheckpointError(f"{self.path} could not be written: {e.strerror or e}") from e


class Log(Callback):
    """Says a line after each epoch: "epoch 3/10: loss 0.1234, error 0.02, rate 0.1".

    to: a logger of `logging`, which gets it as INFO, or a function of the text; by default the logger "weft.training".
    """

    def __init__(self, to: logging.Logger | Callable[[str], Any] | None = None):
        to = logging.getLogger("weft.training") if to is None else to
        if not callable(to) and not isinstance(to, logging.Logger):
            raise ArgumentError(f"Log takes a logger or a function of a text, not {type(to).__name__}")
        self._to = to

    def epoch(self, trainer: Trainer, record: Record) -> None:
        rest = {k: v for k, v in record.items() if k not in ("epoch", "steps", "seconds")}
        found = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rest.items())
        text = f"epoch {record['epoch']}/{trainer.epochs}: {found}"
        if isinstance(self._to, logging.Logger):
            self._to.info("%s", text)
        else:
            self._to(text)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """To the bit."""
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def as_line(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON, which has no numbers that are not finite: null stands for them."""
    return json.dumps(checkpoint.finite(record), default=checkpoint.plain) + "\n"

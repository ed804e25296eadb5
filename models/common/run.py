"""A run: the network of a model compiled and trained, the epoch best by validation tested, its files written.

The data set lies in shared variables, and the step takes the number of a minibatch: one call of one compiled function
is a step of training. The test examples are touched once, at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import weft
import weft.tensor as T
from weft.models.common import datasets
from weft.models.common.model import Model, Network, needed
from weft.models.common.options import SCHEDULES, Run
from weft.training import Callback, Checkpoints, EarlyStopping, Evaluation, JsonLines, Numbers, Trainer

ERROR = "validation error"
CHECKPOINT, METRICS, PARAMETERS, REPORT = "run.safetensors", "metrics.jsonl", "parameters.safetensors", "report.txt"
BLOCK = 1024  # examples that are evaluated at once


class Session:
    """A run, step by step: made (data and network), `keep_in` a folder, `compile`, `train`, `finish`."""

    def __init__(self, model: Model, run: Run):
        self.model, self.run = model, run
        with FloatX("float32"):
            self.data = datasets.load(run.data, run.seed)
            self.network = model.build(self.data, SimpleNamespace(seed=run.seed, **run.settings))
        if not isinstance(self.network, Network):
            raise weft.WeftError(f"build of the model {model.name} gives {type(self.network).__name__}, not a Network")
        names = [p.name for p in (*self.network.params, *self.network.running)]
        if None in names or len(set(names)) < len(names):
            raise weft.WeftError(f"parameters of the model {model.name} need names, each its own: {names}")
        # Of epochs with equal errors the later one is taken, where the rate is lower: hence the negative `least`.
        self.best = EarlyStopping(ERROR, patience=run.epochs + 1, least=-1e-12)

    def keep_in(self, folder: Path) -> None:
        self.folder = folder
        self.run.write(folder)

    def compile(self) -> None:
        start = time.perf_counter()
        run, net, training = self.run, self.network, self.data.training
        with FloatX("float32"):
            self.rate = weft.shared(np.float32(run.learning_rate), name="learning rate")
            self.order = weft.shared(np.arange(len(training)), name="order")
            i = T.lscalar("i")
            rows = self.order[i * run.batch_size : (i + 1) * run.batch_size]
            self.step = weft.function(
                [i],
                net.cost if net.loss is None else net.loss,
                updates=updates(net, run.optimizer, self.rate),
                givens=[(v, weft.shared(a, name=v.name, borrow=True)[rows]) for v, a in self._pairs(training)],
                name="step",
            )
            inputs = [v for v, _ in self._pairs(training)]
            self.error = weft.function(inputs, net.error, name="error")
            seen = net.x if net.seen is None else net.seen
            self.output = weft.function([net.x], [net.output, seen], name="output")
        self.compile_seconds = time.perf_counter() - start

    def _pairs(self, part: datasets.Part) -> list[tuple[Any, np.ndarray]]:
        """The input variables of the network, and what they are on these examples."""
        return [(self.network.x, part.x)] + ([] if self.network.t is None else [(self.network.t, part.t)])

    def trainer(self, callbacks: Sequence[Callback] = ()) -> Trainer:
        run = self.run
        log = JsonLines(self.folder / METRICS)
        keep = Kept(self.folder / CHECKPOINT, settings=vars(run))
        return Trainer(
            self.step,
            Numbers(len(self.data.training), run.batch_size, order=self.order, seed=run.seed),
            rates={self.rate: SCHEDULES[run.schedule](run.learning_rate, run.epochs)},
            validate=Evaluation(self.error, [a for _, a in self._pairs(self.data.validation)], [ERROR], BLOCK),
            callbacks=[self.best, log, *callbacks, keep],
        )

    def begun(self) -> bool:
        """Whether there is a checkpoint; also where only the one before it is left: loading then says so."""
        return any((self.folder / name).exists() for name in (CHECKPOINT, f"previous-{CHECKPOINT}"))

    def train(self, callbacks: Sequence[Callback] = ()) -> list[dict[str, Any]]:
        """The records of the epochs. Goes on from the checkpoint in the folder, if there is one."""
        needed("safetensors.numpy")
        trainer = self.trainer(callbacks)
        if self.begun():
            trainer.load(self.folder / CHECKPOINT)
        self.history = trainer.fit(self.run.epochs)
        return self.history

    def finish(self) -> dict[str, Any]:
        """Tests the parameters of the best epoch, writes parameters, report and result; the result."""
        arrays = [a for _, a in self._pairs(self.data.test)]
        test = Evaluation(self.error, arrays, ["test error"], BLOCK)()["test error"]
        # Where no error was finite the parameters are the last ones.
        best = next((r for r in self.history if r["epoch"] == self.best.best_epoch), self.history[-1])
        result = {
            "model": self.model.name, "data": self.data.name, "seed": self.run.seed, "epochs": len(self.history),
            "steps": self.history[-1]["steps"], "seconds": sum(r["seconds"] for r in self.history),
            "best epoch": best["epoch"], ERROR: best[ERROR], "test error": test,
            "parameters": sum(p.get_value().size for p in self.network.params),
        }  # fmt: skip
        weft.save_parameters(self.folder / PARAMETERS, [*self.network.params, *self.network.running])
        report = (self.step.report(0), self.error.report(*arrays))
        (self.folder / REPORT).write_text("\n\n".join(report) + "\n")
        JsonLines(self.folder / METRICS).add(result)
        return result

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network gives, and what it sees, of examples."""
        parts = [self.output(x[k : k + BLOCK]) for k in range(0, len(x), BLOCK)]
        given, seen = (np.concatenate(p) for p in zip(*parts, strict=True))
        return given, seen

    def compiled(self) -> dict[str, dict[str, Any]]:
        """What the compiler made of the functions, in figures; bytes saved are those of a call on a minibatch, and on
        the validation examples."""
        arrays = [a for _, a in self._pairs(self.data.validation)]
        return {"step": figures(self.step, 0), "error": figures(self.error, *arrays)}


def figures(f: Any, *arguments: Any) -> dict[str, Any]:
    """Of a call with these arguments. Where they do not fit, the call itself says which line is wrong."""
    try:
        return f.summary(*arguments)
    except weft.ShapeError:
        f(*arguments)
        raise


def updates(net: Network, optimizer: str, rate: Any) -> dict[Any, Any]:
    """Those of a step of training: of the optimizer, within the limit of norms, and of the network."""
    found = dict(getattr(weft.optimizers, optimizer)(net.cost, list(net.params), rate))
    if net.max_norm is not None:
        limit = np.float32(net.max_norm)
        for p in net.params:
            if p.ndim == 2:
                norm = T.sqrt(T.sqr(found[p]).sum(axis=0))
                found[p] = found[p] * T.minimum(1, limit / T.maximum(norm, np.float32(1e-12)))
    return {**found, **dict(net.updates)}


class Kept(Checkpoints):
    """Every few seconds, and after the last epoch: after each, writing to the disk would take longer than training."""

    SECONDS = 2.0

    def __init__(self, path: Path, settings: dict[str, Any]):
        super().__init__(path, epochs=None, seconds=self.SECONDS, settings=settings)

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if trainer.epoch >= trainer.epochs:
            self.write(trainer)


class FloatX:
    """weft.config.floatX within a block."""

    def __init__(self, dtype: str):
        self.dtype = dtype

    def __enter__(self) -> None:
        self.before, weft.config.floatX = weft.config.floatX, self.dtype

    def __exit__(self, *error: Any) -> None:
        weft.config.floatX = self.before


class Lines(Callback):
    """A line an epoch, where no bar can be drawn."""

    def __init__(self, say: Callable[[str], None]):
        self.say = say

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        width = len(str(trainer.epochs))
        where = f"epoch {record['epoch']:{width}}/{trainer.epochs}"
        self.say(f"{where}: loss {record['loss']:.4g}, {ERROR} {100 * record[ERROR]:.2f} %")

"""The loop: epochs of minibatches, one call of the compiled step each; validation; what a run has to remember."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..callable import CompiledFunction
from ..errors import ArgumentError, CheckpointError, NumericalError
from ..state import Storage
from . import checkpoint
from .callbacks import Callback
from .data import as_source, whole
from .schedules import Schedule, as_schedule

Record = dict[str, Any]  # of an epoch: "epoch", "steps", "seconds", metrics and rates by name


class Means:
    """Metrics of minibatches as means over their examples, summed in double precision."""

    def __init__(self, names: Sequence[str]):
        self.names = list(names)
        self.sums, self.examples = [0.0] * len(self.names), 0

    def plus(self, values: Sequence[float], examples: int) -> Means:
        found = Means(self.names)
        found.sums = [s + v * examples for s, v in zip(self.sums, values, strict=True)]
        found.examples = self.examples + examples
        return found

    def values(self) -> dict[str, float]:
        return {n: s / self.examples if self.examples else math.nan for n, s in zip(self.names, self.sums, strict=True)}


class Evaluation:
    """Metrics of a data set: a compiled function called on minibatches of it, its results averaged over the examples.

    data: arrays (taken in batches of `size`, in order) or a source of weft.training.
    """

    def __init__(self, function: Callable[..., Any], data: Any, metrics: Sequence[str] = ("error",), size: int = 1024):
        self.function, self.source, self.metrics = function, as_source(data, size), list(metrics)
        self._began: dict[str, Any] | None = None  # where an evaluation did that has not ended

    def __call__(self) -> dict[str, float]:
        means = Means(self.metrics)
        if self._began is not None:  # and was interrupted: all of the data are measured, not what it left
            self.source.restore(self._began)
        self._began = self.source.state()
        for batch in self.source:
            values = _numbers(self.function(*batch), self.metrics, self.function)
            means = means.plus(values, self.source.examples(batch))
        self._began = None
        return means.values()


class Trainer:
    """Trains by calling a compiled step on minibatch after minibatch.

    step: a compiled function of a minibatch, whose updates train; its results are the metrics named.
    data: a source of minibatches (weft.training.Batches, Numbers, Iterated, Prefetched), or arrays, which are then
        shuffled into minibatches of 128.
    rates: for each shared variable of a rate, a schedule (weft.training.schedules) or a number.
    validate: called after each epoch, gives metrics by name, a number each; an Evaluation, say.
    apply, every: gradient accumulation. The step only adds up gradients; `apply` is called after `every` steps, and at
        the end of an epoch, and updates the parameters (weft.optimizers.accumulate makes both sets of updates).
    callbacks: see callbacks.py; they are called in their order, checkpoints last.
    state: further shared variables that belong to the run. Those that step and apply update are known, where these
        are compiled functions; of another callable they have to be named here for checkpoints.

    `history` holds a record for each epoch that is over; `stop(reason)` ends the run after the present epoch.
    Raises NumericalError at the first step with a metric that is NaN or infinite: parameters have been updated by
    then, and the last checkpoint is from before. ArgumentError where an epoch has no minibatch.

    After any error, and Ctrl-C, `fit` goes on with the step, the update or the validation that was stopped. A compiled
    step that was stopped once it had committed has been, and its minibatch is missing in the epoch's metrics only; a
    step of one's own that was stopped is called again.
    """

    def __init__(
        self,
        step: CompiledFunction,
        data: Any,
        *,
        metrics: Sequence[str] = ("loss",),
        rates: Mapping[Any, Schedule | float] | None = None,
        validate: Callable[[], Mapping[str, float]] | None = None,
        apply: CompiledFunction | None = None,
        every: int = 1,
        callbacks: Sequence[Callback] = (),
        state: Sequence[Any] = (),
    ):
        if every < 1 or (every > 1 and apply is None):
            raise ArgumentError(f"every={every} steps an update: at least 1, and above 1 with `apply`, which updates")
        self.step, self.source, self.metrics = step, as_source(data, shuffle=True), list(metrics)
        self.rates = _schedules(rates or {})
        if validate is not None and not callable(validate):
            raise ArgumentError(
                f"validate={type(validate).__name__}: a function without arguments is needed, such as Evaluation"
            )
        self.validate, self.apply, self.every = validate, apply, every
        self.callbacks = sorted(_callbacks(callbacks), key=lambda c: c.last)
        self._named = _unique((c.name, c) for c in self.callbacks)
        functions = (step, apply, getattr(validate, "function", None))
        self.variables = by_name([f for f in functions if isinstance(f, CompiledFunction)], state)
        if not self.variables and isinstance(step, CompiledFunction) and apply is None:
            raise ArgumentError(
                f"{step} updates no shared variable, so nothing would be trained: weft.function(updates=)"
            )
        self.history: list[Record] = []
        self.epoch = self.steps = 0  # epochs that are over, steps in all
        self.epochs = 0  # that `fit` was asked for
        self.stopped: str | None = None
        self.in_epoch = 0  # steps of the present epoch
        self._place: dict[str, Any] | None = None  # where the source is to go on; None: where it is
        self._drained = False  # these are all: what is left of the epoch is its last update and validation
        self._waiting = 0  # steps whose gradients have not been applied
        self._means = Means(self.metrics)
        self._seconds = 0.0  # of the present epoch
        self._set: dict[Any, float] = {}  # rates as they were set last

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def fit(self, epochs: int) -> list[Record]:
        """Trains until `epochs` epochs are over, those of a run that is gone on with among them; the history."""
        epochs = self.epochs = whole("epochs", epochs)
        started: list[Callback] = []
        try:
            for c in self.callbacks:
                started.append(c)
                c.start(self)
            while self.epoch < epochs and self.stopped is None:
                self._run_epoch()
        finally:
            for c in reversed(started):
                c.end(self)
        return self.history

    def _run_epoch(self) -> None:
        began = time.perf_counter() - self._seconds
        if not self._drained:
            self._train(began)
        if self._waiting:
            self._update()
        metrics = {**self._means.values(), **self._validated()}
        rates = {v.name or f"rate {k}": self._set.get(v, math.nan) for k, v in enumerate(self.rates)}
        record = {
            "epoch": self.epoch + 1, "steps": self.steps, "seconds": time.perf_counter() - began, **metrics, **rates,
        }  # fmt: skip
        means = Means(self.metrics)
        self.epoch += 1
        self.in_epoch, self._seconds, self._means, self._drained = 0, 0.0, means, False
        self.history.append(record)
        for s in self.rates.values():
            watched: Any = s
            if hasattr(s, "observe"):
                if watched.metric not in record:
                    raise ArgumentError(f"a schedule watches {watched.metric!r}; the metrics are {', '.join(metrics)}")
                watched.observe(record[watched.metric])
        for c in self.callbacks:
            c.epoch(self, record)

    def _train(self, began: float) -> None:
        """The minibatches that are left of the epoch."""
        if self._place is not None:  # a step was stopped: its minibatch comes again
            self.source.restore(self._place)
        self._place = self.source.state()
        if self._waiting >= self.every:  # the last step has been, its update has not
            self._update()
        count = len(self.source)
        for batch in self.source:
            after, means = self.source.state(), self._means
            self._set_rates(self.epoch + (self.in_epoch / count if count else 0.0))
            examples, ran = self.source.examples(batch), False
            _clear(self.step)
            try:
                results = self.step(*batch)
                ran = True
                values = _numbers(results, self.metrics, self.step)
                finite = all(map(math.isfinite, values))
                means = means.plus(values, examples) if finite else means
            finally:
                # As one: Python raises interrupts after calls of C and where functions begin, which are not in here.
                if ran or _committed(self.step):  # of a step that was interrupted the metrics may be missing
                    self._place, self._means = after, means
                    self.steps, self.in_epoch, self._waiting = self.steps + 1, self.in_epoch + 1, self._waiting + 1
            if not finite:
                raise NumericalError(self._not_finite(values))
            if self._waiting >= self.every:
                self._update()
            self._seconds = time.perf_counter() - began
            for c in self.callbacks:
                c.step(self)
        if not self.in_epoch:
            raise ArgumentError(
                f"the data gave no minibatch in epoch {self.epoch + 1}; an iterator that has been used up gives none: "
                "make a new one for each epoch (weft.training.Iterated)"
            )
        self._drained, self._place = True, None

    def _validated(self) -> dict[str, float]:
        if self.validate is None:
            return {}
        found = self.validate()
        if not isinstance(found, Mapping):
            raise ArgumentError(f'validate gives {type(found).__name__}: metrics by name are needed, {{"error": 0.1}}')
        return {name: _number(name, v) for name, v in found.items()}

    def _set_rates(self, t: float) -> None:
        for variable, schedule in self.rates.items():
            self._set_rate(variable, schedule(t))

    def _set_rate(self, variable: Any, rate: float) -> None:
        if self._set.get(variable) != rate:
            variable.set_value(np.asarray(rate, variable.dtype))
            self._set[variable] = rate

    def _update(self) -> None:
        if self.apply is not None:
            _clear(self.apply)
            try:
                self.apply()
            except BaseException:
                if _committed(self.apply):
                    self._waiting = 0
                raise
        self._waiting = 0

    def _not_finite(self, values: Sequence[float]) -> str:
        said = ", ".join(f"{n} = {v}" for n, v in zip(self.metrics, values, strict=True))
        rates = "".join(f", {v.name or 'rate'} = {r:g}" for v, r in self._set.items())
        return (
            f"step {self.steps} (epoch {self.epoch + 1}, minibatch {self.in_epoch}) gave {said}{rates}: "
            'lower the rate, clip the gradients, or compile the step with mode="nanguard", which names the operation'
        )

    # What a run has to remember

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all shared variables of the run, by name. Raises ArgumentError where none is known."""
        if not self.variables:
            raise ArgumentError(
                "it is not known what the step of this run updates, so there is nothing to keep of it: give a compiled "
                "function as step, or name the shared variables, state=[...]"
            )
        return {name: s.copy() for name, s in self.variables.items()}

    def put_back(self, values: Mapping[str, np.ndarray]) -> None:
        """Gives the variables of a snapshot their values again."""
        for name, value in values.items():
            self.variables[name].replace(np.array(value, order="C"))

    def save(self, path: str | os.PathLike, settings: Mapping[str, Any] | None = None) -> None:
        """Writes a checkpoint: variables, the position in the data, schedules, callbacks, the history; `settings` as
        well (plain data of the caller's). Raises CheckpointError, and leaves the file that was there."""
        arrays = self.snapshot()
        for name, c in self._named.items():
            arrays.update({f"{name}/{k}": a for k, a in c.arrays().items()})
        checkpoint.write(path, arrays, {
            "epoch": self.epoch, "steps": self.steps, "in epoch": self.in_epoch, "waiting": self._waiting,
            "drained": self._drained, "sums": self._means.sums, "examples": self._means.examples,
            "seconds": self._seconds, "metrics": self.metrics, "stopped": self.stopped, "history": self.history,
            "source": self.source.state() if self._place is None else self._place,
            "rates": [s.state() if hasattr(s, "state") else None for s in self.rates.values()],
            "rates set": [self._set.get(v) for v in self.rates],
            "callbacks": {name: c.state() for name, c in self._named.items()}, "settings": dict(settings or {}),
        })  # fmt: skip

    def load(self, path: str | os.PathLike) -> dict[str, Any]:
        """Goes on from a checkpoint: `fit` then ends with the bits of a run that was never stopped. Its settings.

        Raises CheckpointError where the file is damaged or of another model; nothing is changed then.
        """
        arrays, saved = checkpoint.read(path)
        self._same_model(path, arrays, saved)
        self.source.restore(saved["source"])
        self.put_back({name: arrays[name] for name in self.variables})
        for s, state in zip(self.rates.values(), saved["rates"], strict=True):
            if state is not None and hasattr(s, "restore"):
                s.restore(state)
        for name, c in self._named.items():
            if name in saved["callbacks"]:
                own = {k.removeprefix(f"{name}/"): a for k, a in arrays.items() if k.startswith(f"{name}/")}
                c.restore(saved["callbacks"][name], own)
        self.epoch, self.steps, self.in_epoch = saved["epoch"], saved["steps"], saved["in epoch"]
        self.history, self.stopped = saved["history"], saved["stopped"]
        self._drained, self._place = saved.get("drained", False), None
        self._waiting, self._seconds, self._set = saved["waiting"], saved["seconds"], {}
        # After the last step of an epoch there is no other that sets them before the gradients that wait are applied.
        for variable, rate in zip(self.rates, saved.get("rates set", ()), strict=False):
            if rate is not None:
                self._set_rate(variable, rate)
        self._means = Means(self.metrics)
        self._means.sums, self._means.examples = saved["sums"], saved["examples"]
        return saved["settings"]

    def _same_model(self, path: str | os.PathLike, arrays: Mapping[str, np.ndarray], saved: Record) -> None:
        """Raises CheckpointError where variables, metrics or rates are not those of the checkpoint."""
        wrong = []
        for name, storage in self.variables.items():
            have, saved_value = storage.array(), arrays.get(name)
            if saved_value is None:
                wrong.append(f"it has no {name}")
            elif (saved_value.shape, saved_value.dtype) != (have.shape, have.dtype):
                wrong.append(
                    f"its {name} is {saved_value.dtype} of shape {saved_value.shape}, here {have.dtype} of {have.shape}"
                )
        theirs = tuple(f"{c}/" for c in saved["callbacks"])
        wrong += [f"there is no {n} here" for n in arrays if n not in self.variables and not n.startswith(theirs)]
        if saved["metrics"] != self.metrics:
            wrong.append(f"its metrics are {', '.join(saved['metrics'])}, here {', '.join(self.metrics)}")
        if len(saved["rates"]) != len(self.rates):
            wrong.append(f"it has {len(saved['rates'])} schedules, here are {len(self.rates)}")
        if wrong:
            more = f"; and {len(wrong) - 4} further differences" if len(wrong) > 4 else ""
            raise CheckpointError(f"{path} is a checkpoint of another model: {'; '.join(wrong[:4])}{more}")


def by_name(functions: Iterable[CompiledFunction], further: Iterable[Any] = ()) -> dict[str, Storage]:
    """The shared variables that functions update, and further ones, by name: "W", "W (2)" where two have one name,
    "state 1" where they have none."""
    pairs = [pair for f in functions for pair in f.state] + [(v.name, v.container) for v in further]
    found: list[tuple[str, Storage]] = []
    for name, storage in pairs:
        if not any(storage is s for _, s in found):
            found.append((name or f"state {len(found) + 1}", storage))
    return _unique(found)


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Things by name; the second "W" is "W (2)"."""
    found: dict[str, Any] = {}
    for base, thing in pairs:
        unique, n = base, 1
        while unique in found:
            n += 1
            unique = f"{base} ({n})"
        found[unique] = thing
    return found


def _schedules(rates: Any) -> dict[Any, Schedule]:
    if not isinstance(rates, Mapping) or not all(hasattr(v, "set_value") for v in rates):
        raise ArgumentError(
            "rates is a mapping {shared variable: schedule or number}, as in rates={rate: cosine(0.1, 30)}"
        )
    for v in rates:
        if str(v.dtype).startswith(("int", "uint", "bool")):  # 0.1 would be 0
            what = f"{v.name or 'a rate'} is {v.dtype}"
            raise ArgumentError(f"{what}: a shared variable of floats is needed, weft.shared(0.1)")
    return {variable: as_schedule(s) for variable, s in rates.items()}


def _callbacks(given: Any) -> list[Callback]:
    found = [given] if isinstance(given, Callback) else list(given)
    for c in found:
        if not isinstance(c, Callback):
            what = f"the class {c.__name__}" if isinstance(c, type) else type(c).__name__
            raise ArgumentError(f"callbacks are objects of classes derived from weft.training.Callback; this is {what}")
    return found


def _clear(function: Any) -> None:
    if isinstance(function, CompiledFunction):
        function.executor.committed = False


def _committed(function: Any) -> bool:
    """Whether a call since `_clear` has updated its variables; one that was interrupted may have. Of functions that are
    not compiled nothing is known: a call that failed counts as none."""
    return isinstance(function, CompiledFunction) and function.executor.committed


def _numbers(results: Any, metrics: Sequence[str], function: Any) -> list[float]:
    given = results if isinstance(results, (list, tuple)) else [results]
    if len(given) != len(metrics) or any(np.size(v) != 1 for v in given):
        shapes = ", ".join(str(np.shape(v)) for v in given) or "none"
        raise ArgumentError(
            f"{function} gives results of shapes {shapes} where the metrics are {', '.join(metrics) or 'none'}: one "
            "number each is needed"
        )
    return [float(np.asarray(v).reshape(())) for v in given]


def _number(name: str, value: Any) -> float:
    try:
        return float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        raise ArgumentError(f"validate gives {value!r:.80} as {name}: a number is needed") from None

"""The training loop: what it computes, when it stops, and that a run that was stopped goes on with the same bits."""

from __future__ import annotations

import copy
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime.callable import CompiledFunction
from weft.runtime.training import checkpoint
from weft.runtime.training.loop import Record
from weft.tensor.shared_randomstreams import RandomStreams
from weft.training import (
    Batches,
    Callback,
    Checkpoints,
    EarlyStopping,
    Evaluation,
    Iterated,
    JsonLines,
    Log,
    Numbers,
    Prefetched,
    Trainer,
    schedules,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4))
Y = X @ np.array([1.0, -2.0, 0.5, 3.0]) + 0.1


class Model:
    """Linear regression by gradient descent with momentum, and noise on the inputs."""

    def __init__(self, columns: int = 4, noise: float = 0.1, name: str = "w"):
        x, y = T.dmatrix("x"), T.dvector("y")
        self.w = weft.shared(np.zeros(columns), name=name)
        self.rate, speed = weft.shared(0.05, name="rate"), weft.shared(np.zeros(columns), name="speed")
        noisy = x + RandomStreams(1).normal(x.shape, std=noise) if noise else x
        loss = T.sqr(T.dot(noisy, self.w) - y).mean()
        new = 0.9 * speed - self.rate * weft.grad(loss, self.w)
        self.step = weft.function([x, y], loss, updates=[(speed, new), (self.w, self.w + new)], name="step")
        self.error = weft.function([x, y], T.sqr(T.dot(x, self.w) - y).mean())

    def trainer(self, **kwargs: Any) -> Trainer:
        kwargs.setdefault("rates", {self.rate: schedules.cosine(0.05, 6)})
        return Trainer(self.step, kwargs.pop("data", Batches([X, Y], 8, seed=5)), **kwargs)


def test_the_same_as_a_loop_by_hand() -> None:
    a, b = Model(), Model()
    history = a.trainer().fit(3)
    source = Batches([X, Y], 8, seed=5)
    for epoch, record in enumerate(history):
        total = 0.0
        for k, (x, y) in enumerate(source):
            b.rate.set_value(schedules.cosine(0.05, 6)(epoch + k / 7))
            total += float(b.step(x, y)) * len(x)
        assert record["loss"] == total / 50
    assert a.w.get_value().tobytes() == b.w.get_value().tobytes()
    assert [r["epoch"] for r in history] == [1, 2, 3] and history[-1]["steps"] == 21


def test_learning_and_validation() -> None:
    m = Model(noise=0)
    evaluation = Evaluation(m.error, [X, Y], ["squares"], size=7)
    history = m.trainer(validate=evaluation, rates={m.rate: 0.02}).fit(30)
    want = np.mean((X @ m.w.get_value() - Y) ** 2)
    assert history[-1]["squares"] == pytest.approx(want, rel=1e-12) and want < 0.05 < history[0]["squares"]


def test_gradient_accumulation_is_a_larger_minibatch() -> None:
    """Three minibatches of 6 are one of 18; what an epoch leaves over, a short one, is applied at its end."""

    def run(size: int, every: int) -> Any:
        x, y = T.dmatrix("x"), T.dvector("y")
        w = weft.shared(np.zeros(4), name="w")
        loss = T.sqr(T.dot(x, w) - y).mean()
        collect, grads, clear = weft.optimizers.accumulate(loss, [w], weight=x.shape[0])
        step = weft.function([x, y], loss, updates=collect)
        apply = weft.function([], [], updates=weft.optimizers.sgd(grads, [w], 0.05) | clear)
        Trainer(step, Batches([X[:40], Y[:40]], size, shuffle=False), apply=apply, every=every).fit(2)
        return w.get_value()

    w = np.zeros(4)
    for _ in range(2):
        for k, n in ((0, 18), (18, 18), (36, 4)):
            x, y = X[k : k + n], Y[k : k + n]
            w = w - 0.05 * 2 * x.T @ (x @ w - y) / n
    np.testing.assert_allclose(run(6, 3), w, rtol=1e-12)


def test_early_stopping_gives_back_the_best() -> None:
    m, values = Model(), iter([5.0, 3.0, 4.0, 3.5, 9.0])
    kept = []

    class Keep(Callback):
        def epoch(self, trainer: Trainer, record: dict) -> None:
            kept.append(m.w.get_value())

    t = m.trainer(validate=lambda: {"error": next(values)}, callbacks=[EarlyStopping(patience=2), Keep()])
    assert len(t.fit(10)) == 4
    assert t.stopped == "error was best in epoch 2: 3"
    assert m.w.get_value().tobytes() == kept[1].tobytes()


def test_a_plateau_halves_the_rate() -> None:
    m, values = Model(), iter([5.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0])
    plateau = schedules.Plateau(0.04, "error", patience=1)
    history = m.trainer(rates={m.rate: plateau}, validate=lambda: {"error": next(values)}).fit(7)
    assert [r["rate"] for r in history] == [0.04, 0.04, 0.04, 0.04, 0.02, 0.02, 0.02]
    assert plateau.rate == 0.01


class Stop(Exception):
    pass


class StopAfter(Callback):
    def __init__(self, steps: int):
        self.steps = steps

    def step(self, trainer: Trainer) -> None:
        if trainer.steps == self.steps:
            raise Stop


@pytest.mark.parametrize("stop", [1, 6, 7, 8, 20, 27])
def test_going_on_gives_the_same_bits(stop: int, tmp_path) -> None:
    """Stopped after any step and gone on with from the last checkpoint, a run ends as if it was never stopped."""
    path = tmp_path / "run.safetensors"

    def make(*more: Callback) -> tuple[Model, Trainer]:
        m = Model()
        rates = {m.rate: schedules.warm_up(schedules.Plateau(0.05, "error", patience=0, threshold=0.1), 1)}
        callbacks = [EarlyStopping("error", 50), Checkpoints(path, steps=2), *more]
        return m, m.trainer(rates=rates, validate=Evaluation(m.error, [X, Y]), callbacks=callbacks)

    whole, trainer = make()
    history = trainer.fit(4)
    path.unlink()
    _, first = make(StopAfter(stop))
    with pytest.raises(Stop):
        first.fit(4)
    second, going_on = make()
    if path.exists():
        going_on.load(path)
        assert going_on.steps in (stop - 2, stop - 1)
    again = going_on.fit(4)
    assert second.w.get_value().tobytes() == whole.w.get_value().tobytes()
    for a, b in zip(history, again, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


class Accumulating(Model):
    """Two steps an update; an epoch of 7 leaves one over, which is applied at its end."""

    def __init__(self) -> None:
        x, y = T.dmatrix("x"), T.dvector("y")
        self.w, self.rate = weft.shared(np.zeros(4), name="w"), weft.shared(1.0, name="rate")
        loss = T.sqr(T.dot(x, self.w) - y).mean()
        collect, grads, clear = weft.optimizers.accumulate(loss, [self.w], weight=x.shape[0])
        self.step = weft.function([x, y], loss, updates=collect)
        self.error = weft.function([x, y], loss)
        self.apply = weft.function([], [], updates=weft.optimizers.momentum(grads, [self.w], self.rate) | clear)

    def trainer(self, **kwargs: Any) -> Trainer:
        return super().trainer(apply=kwargs.pop("apply", self.apply), every=2, **kwargs)


def same_run(a: Trainer, b: Trainer) -> bool:
    """Whether all variables have the same bits and the epochs the same records, but for the time they took."""
    assert a.variables.keys() == b.variables.keys()
    records = [[{k: v for k, v in r.items() if k != "seconds"} for r in t.history] for t in (a, b)]
    same = all(a.variables[name].copy().tobytes() == b.variables[name].copy().tobytes() for name in a.variables)
    return same and records[0] == records[1] and (a.epoch, a.steps) == (b.epoch, b.steps)


@pytest.mark.parametrize("make", [Model, Accumulating])
def test_going_on_after_the_last_step_of_an_epoch(make: type[Model], tmp_path) -> None:
    """The gradients that wait are applied at the rate of that step, which the epoch's record has."""
    whole, killed, later = (make().trainer() for _ in range(3))
    whole.fit(2)
    killed.callbacks.append(StopAfter(7))
    with pytest.raises(Stop):
        killed.fit(2)
    killed.save(tmp_path / "run")
    later.load(tmp_path / "run")
    later.fit(2)
    assert same_run(whole, later)


SOURCES = {
    "arrays": lambda: Batches([X, Y], 8, seed=5),
    "iterator": lambda: Iterated(lambda epoch: [(X[k::7] + epoch, Y[k::7]) for k in range(7)]),
    "ahead": lambda: Prefetched(Batches([X, Y], 8, seed=5)),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("make", [Model, Accumulating])
def test_going_on_after_an_interrupt(make: type[Model], source: str, tmp_path, monkeypatch) -> None:
    """Of any call of a step, an update or a validation, before it runs or once it has committed: what has not been is
    done again, what has been is not, in the same Trainer and in one that loads what it saves."""
    m, run = make(), CompiledFunction.__call__
    first = m.trainer().snapshot()
    at, after, calls = -1, False, itertools.count()

    def interrupted(self: CompiledFunction, *args: Any) -> Any:
        now = next(calls) == at
        if now and not after:
            raise KeyboardInterrupt
        results = run(self, *args)
        if now:
            raise KeyboardInterrupt
        return results

    def begin() -> Trainer:
        t = m.trainer(data=SOURCES[source](), validate=Evaluation(m.error, [X, Y], size=30))
        t.put_back(first)
        m.rate.set_value(1.0)
        return t

    def records(t: Trainer, but: tuple[str, ...] = ("seconds",)) -> list[Record]:
        return [{k: v for k, v in r.items() if k not in but} for r in t.history]

    monkeypatch.setattr(CompiledFunction, "__call__", interrupted)
    whole = begin()
    whole.fit(2)
    want, count = whole.snapshot(), next(calls)
    assert count == 2 * (7 + 2 + (4 if make is Accumulating else 0))
    for at, after, loaded in itertools.product(range(count), (False, True), (False, True)):
        calls, t = itertools.count(), begin()
        with pytest.raises(KeyboardInterrupt):
            t.fit(2)
        if loaded:
            t.save(tmp_path / "run")
            t = begin()
            t.load(tmp_path / "run")
        t.fit(2)
        assert all(a.tobytes() == want[name].tobytes() for name, a in t.snapshot().items()), (at, after, loaded)
        but = ("seconds", "loss") if after else ("seconds",)  # of a step that gave no results the loss is not known
        assert records(t, but) == records(whole, but), (at, after, loaded)


def test_interrupts_at_any_moment() -> None:
    program = Path(__file__).with_name("interrupt_training.py")
    done = subprocess.run([sys.executable, str(program), "--runs", "60"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_error_in_the_middle_of_an_epoch_loses_no_minibatch() -> None:
    """Of a function of one's own, and of the source itself."""
    fails, seen = {3, 5}, []

    def failing(what: int) -> None:
        if what in fails:
            fails.remove(what)
            raise ZeroDivisionError

    def make(epoch: int):
        for k in range(7):
            failing(k if k == 5 else -1)
            yield (np.full(1, k),)

    def step(x: np.ndarray) -> float:
        failing(x[0] if x[0] == 3 else -1)
        seen.append(int(x[0]))
        return float(x[0])

    t = Trainer(step, Iterated(make))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            t.fit(1)
    assert t.fit(1)[0]["loss"] == 3 and seen == list(range(7)) and t.steps == 7


def test_validation_that_fails_is_all_that_is_done_again(tmp_path) -> None:
    def failing() -> dict[str, float]:
        raise ZeroDivisionError

    whole, t = (Model().trainer(validate=lambda: {"error": 0.5}) for _ in range(2))
    whole.fit(2)
    t.validate = failing
    with pytest.raises(ZeroDivisionError):
        t.fit(2)
    assert (t.epoch, t.steps, t.in_epoch) == (0, 7, 7)
    t.save(tmp_path / "run")
    later = Model().trainer(validate=lambda: {"error": 0.5})
    later.load(tmp_path / "run")
    later.fit(2)
    t.validate = whole.validate
    t.fit(2)
    assert same_run(whole, t) and same_run(whole, later)


def test_checkpoints_without_what_was_added_to_them_later(tmp_path, monkeypatch) -> None:
    write = checkpoint.write

    def old(path: Any, arrays: Any, document: dict[str, Any]) -> None:
        write(path, arrays, {k: v for k, v in document.items() if k not in ("drained", "rates set")})

    monkeypatch.setattr(checkpoint, "write", old)
    whole, killed, later = (Model().trainer() for _ in range(3))
    whole.fit(2)
    killed.callbacks.append(StopAfter(9))
    with pytest.raises(Stop):
        killed.fit(2)
    killed.save(tmp_path / "run")
    later.load(tmp_path / "run")
    later.fit(2)
    assert same_run(whole, later)


def early(*further: Callback) -> Trainer:
    """A run whose second epoch is the best of six."""
    m, errors = Model(), [5.0, 3.0, 4.0, 3.5, 9.0, 3.2]
    t: Trainer = m.trainer(validate=lambda: {"error": errors[t.epoch]}, callbacks=[EarlyStopping(patience=9), *further])
    return t


@pytest.mark.parametrize("further", [(), (EarlyStopping("loss", 9, mode="max"),)], ids=["one", "two"])
def test_more_epochs_go_on_from_the_last_not_from_the_best(further, tmp_path) -> None:
    whole, parts, saved = (early(*copy.deepcopy(further)) for _ in range(3))
    whole.fit(6)
    for epochs in (2, 4, 4, 5):
        parts.fit(epochs)
    best = parts.snapshot()
    parts.save(tmp_path / "run")
    saved.load(tmp_path / "run")
    for t in (parts, saved):
        assert all(a.tobytes() == best[n].tobytes() for n, a in t.snapshot().items())
        t.fit(6)
        assert same_run(whole, t)


def test_what_is_set_between_two_fits_stays() -> None:
    t, w = early(), np.array([1.0, 2.0, 3.0, 4.0])
    seen: list[np.ndarray] = []

    class Look(Callback):
        def start(self, trainer: Trainer) -> None:
            seen.append(trainer.snapshot())

    t.callbacks.append(Look())
    t.fit(4)
    best = t.snapshot()
    t.variables["w"].replace(w.copy())
    t.fit(5)
    assert seen[1]["w"].tolist() == w.tolist() and seen[1]["speed"].tolist() != best["speed"].tolist()


def test_another_run_begins_where_the_variables_are() -> None:
    """Also with the callback of one that has ended."""
    t = early()
    t.fit(4)
    best = t.variables["w"].copy()
    found: list[np.ndarray] = []

    class Look(Callback):
        def start(self, trainer: Trainer) -> None:
            found.append(trainer.variables["w"].copy())

    Trainer(t.step, Batches([X, Y], 8), validate=lambda: {"error": 9.0}, callbacks=[*t.callbacks, Look()]).fit(1)
    assert found[0].tobytes() == best.tobytes() == t.variables["w"].copy().tobytes()


def test_a_run_that_stopped_early_stays_stopped(tmp_path) -> None:
    path, m = tmp_path / "run.safetensors", Model()
    m.trainer(validate=lambda: {"error": 1.0}, callbacks=[EarlyStopping(patience=1), Checkpoints(path)]).fit(9)
    other = Model().trainer(validate=lambda: {"error": 1.0}, callbacks=[EarlyStopping(patience=1)])
    other.load(path)
    assert len(other.fit(9)) == 2


def test_numbers_of_minibatches(tmp_path) -> None:
    """The data set in a shared variable: the order of an epoch comes back with a checkpoint."""
    i = T.lscalar("i")

    def make() -> tuple[Any, Trainer]:
        order, w = weft.shared(np.zeros(0, np.int64), name="order"), weft.shared(np.zeros(4), name="w")
        rows = order[i * 8 : (i + 1) * 8]
        loss = T.sqr(T.dot(weft.shared(X)[rows], w) - weft.shared(Y)[rows]).mean()
        step = weft.function([i], loss, updates=[(w, w - 0.05 * weft.grad(loss, w))])
        return w, Trainer(step, Numbers(50, 8, order=order, seed=2))

    w, whole = make()
    whole.fit(2)
    _, first = make()
    first.callbacks.append(StopAfter(10))
    with pytest.raises(Stop):
        first.fit(2)
    first.save(tmp_path / "run")
    v, second = make()
    second.load(tmp_path / "run")
    second.fit(2)
    assert w.get_value().tobytes() == v.get_value().tobytes()


def test_lines_of_json(tmp_path) -> None:
    m, path = Model(), tmp_path / "log" / "metrics.jsonl"
    history = m.trainer(callbacks=[JsonLines(path)]).fit(2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == history


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path) -> None:
    m, path = Model(), tmp_path / "run"
    t = m.trainer(rates={m.rate: lambda t: 0.01 if t < 1 else 1e200}, callbacks=[Checkpoints(path, epochs=1)])
    said = r"step \d+ \(epoch 2, minibatch \d\) gave loss = (nan|inf), rate = 1e\+200"
    with pytest.raises(weft.NumericalError, match=said):
        t.fit(3)
    other = Model().trainer()
    other.load(path)
    assert other.epoch == 1 and all(map(math.isfinite, other.variables["w"].copy()))


def test_names_of_variables() -> None:
    a, b = (weft.shared(np.zeros(2), name=n) for n in ("w", "w"))
    c = weft.shared(np.zeros(2))
    x = T.dvector("x")
    f = weft.function([x], [], updates=[(a, x), (b, x + a), (c, x + b)])
    assert list(Trainer(f, [X], metrics=[]).variables) == ["w", "w (2)", "state 3"]


@pytest.mark.parametrize("make, text", [
    (lambda: Model().trainer(every=2), "every=2 steps an update"),
    (lambda: Model().trainer(data=42), "minibatches cannot be taken from int"),
    (lambda: Model().trainer(metrics=["loss", "error"]).fit(1), "shapes .. where the metrics are loss, error"),
    (lambda: Model().trainer(callbacks=[EarlyStopping("accuracy")]).fit(1), "EarlyStopping watches 'accuracy'"),
    (lambda: EarlyStopping(mode="least"), "mode='least'"),
    (lambda: EarlyStopping(patience=0), "patience=0"),
    (lambda: Model().trainer(rates={"rate": 0.1}), "rates is a mapping .shared variable"),
    (lambda: Model().trainer(rates=schedules.constant(0.1)), "rates is a mapping .shared variable"),
    (lambda: Model().trainer(rates={weft.shared(1, name="rate"): 0.1}), "rate is int64: a shared variable of floats"),
    (lambda: Model().trainer(callbacks=[EarlyStopping]), "this is the class EarlyStopping"),
    (lambda: Model().trainer(callbacks=[print]), "derived from weft.training.Callback"),
    (lambda: Model().trainer(validate=("f", [X, Y])), "such as Evaluation"),
    (lambda: Model().trainer(validate=lambda: 0.1).fit(1), "validate gives float: metrics by name"),
    (lambda: Model().trainer(validate=lambda: {"error": X}).fit(1), "as error: a number is needed"),
    (lambda: Model().trainer().fit(2.5), "epochs=2.5: a whole number"),
    (lambda: Trainer(Model().error, [X, Y]), "updates no shared variable"),
    (lambda: Checkpoints("run", epochs=0), "epochs=0: a checkpoint after every so many"),
    (lambda: Checkpoints("run", steps=0), "steps=0"),
    (lambda: Checkpoints("."), "names a folder"),
    (lambda: Checkpoints("run", settings={"a": object()}), "a checkpoint keeps plain data"),
    (lambda: schedules.Plateau(1, mode="least"), "mode='least'"),
    (lambda: schedules.cosine(0.1, 0), "epochs=0"),
])  # fmt: skip
def test_what_is_wrong_is_said(make, text: str) -> None:
    with pytest.raises(weft.ArgumentError, match=text):
        make()


def test_schedules() -> None:
    s = schedules
    assert [s.step(1.0, 2, 0.5)(t) for t in (0, 1.9, 2, 4)] == [1, 1, 0.5, 0.25]
    assert [s.step(1.0, [3, 5], 0.1)(t) for t in (0, 3, 4.9, 5)] == pytest.approx([1, 0.1, 0.1, 0.01])
    assert s.exponential(2.0, 0.5)(3) == 0.25 and s.constant(0.3)(9) == 0.3
    assert [s.cosine(1.0, 4)(t) for t in (0, 2, 4, 9)] == pytest.approx([1, 0.5, 0, 0])
    one = s.one_cycle(1.0, 10)
    assert [one(t) for t in (0, 3, 10, 12)] == pytest.approx([0.04, 1, 4e-6, 4e-6]) and one(1) < one(2) > one(9)
    assert [s.warm_up(0.8, 4)(t) for t in (0, 1, 4, 5)] == pytest.approx([0, 0.2, 0.8, 0.8])
    assert s.warm_up(s.cosine(1.0, 8), 4)(6) == s.cosine(1.0, 8)(6)
    assert s.step(1.0, np.array([3, 5]), 0.1)(4) == pytest.approx(0.1)
    warm = copy.deepcopy(s.warm_up(s.Plateau(0.8, "loss"), 4))
    assert warm(2) == pytest.approx(0.4) and warm.metric == "loss"


def test_an_iterator_that_is_used_up_is_no_epoch() -> None:
    """The second epoch would train nothing, and its loss be NaN."""
    m = Model()
    once = iter([(X[:8], Y[:8]), (X[8:], Y[8:])])
    with pytest.raises(weft.ArgumentError, match=r"no minibatch in epoch 2.*make a new one for each epoch"):
        m.trainer(data=Iterated(lambda epoch: once)).fit(3)


def test_arrays_are_shuffled_for_training_and_in_order_for_validation() -> None:
    seen: list[list[int]] = []

    def step(numbers: np.ndarray) -> float:
        seen.append(numbers.tolist())
        return 0.0

    Trainer(step, [np.arange(200)]).fit(2)
    assert [len(s) for s in seen] == [128, 72] * 2
    first, second = seen[0] + seen[1], seen[2] + seen[3]
    assert sorted(first) == sorted(second) == list(range(200)) and first != second != sorted(second)
    seen.clear()
    Evaluation(step, [np.arange(200)])()
    assert seen == [list(range(200))]


def test_an_evaluation_after_an_interrupted_one_is_of_all_data() -> None:
    def function(x: np.ndarray) -> float:
        if next(calls, False):
            raise KeyboardInterrupt
        return x.mean()

    for source in (np.arange(4.0), Prefetched(Batches(np.arange(4.0), 1))):
        calls = iter([False, False, True])
        evaluation = Evaluation(function, source, ["mean"], size=1)
        with pytest.raises(KeyboardInterrupt):
            evaluation()
        assert [evaluation(), evaluation()] == [{"mean": 1.5}] * 2


def test_a_step_of_ones_own_is_kept_where_its_variables_are_named(tmp_path) -> None:
    """A checkpoint without the parameters would be gone on with in silence."""
    m = Model()

    def run(**kwargs: Any) -> Trainer:
        callbacks = [Checkpoints(tmp_path / "run")]
        return Trainer(lambda x, y: m.step(x, y), Batches([X, Y], 8), callbacks=callbacks, **kwargs)

    with pytest.raises(weft.ArgumentError, match="not known what the step of this run updates"):
        run().fit(1)
    assert not (tmp_path / "run").exists()
    run(state=[m.w]).fit(1)
    want = m.w.get_value()
    m.w.set_value(np.zeros(4))
    run(state=[m.w]).load(tmp_path / "run")
    assert np.array_equal(m.w.get_value(), want) and want.any()


def test_two_callbacks_of_one_class_have_a_state_each(tmp_path) -> None:
    def run() -> tuple[Trainer, list[EarlyStopping]]:
        m = Model()
        both = [EarlyStopping("loss", 30), EarlyStopping("error", 40)]
        validate = Evaluation(m.error, [X[:9], Y[:9]])
        return m.trainer(validate=validate, callbacks=[*both, Checkpoints(tmp_path / "run")]), both

    first, (a, b) = run()
    first.fit(3)
    second, (c, d) = run()
    second.load(tmp_path / "run")
    assert (c.best, d.best) == (a.best, b.best) and a.best != b.best and c.kept.keys() == a.kept.keys()


def test_a_log_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(weft.CheckpointError, match="file/log could not be written"):
        Model().trainer(callbacks=[JsonLines(tmp_path / "file" / "log")]).fit(1)


def test_metrics_of_any_kind_of_number_are_written(tmp_path) -> None:
    """As compiled functions give them; what is not finite is no JSON."""

    class Adds(Callback):
        def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
            record["norm"] = np.float32(0.5)
            record["worst of all"] = np.float32("nan")
            record["by layer"] = {"W1": [1.0, np.inf], "W2": np.array([[np.nan, 2.0]], np.float32), "b": (None, "inf")}

    m = Model()
    callbacks = [Adds(), JsonLines(tmp_path / "log"), Checkpoints(tmp_path / "run")]
    history = m.trainer(validate=lambda: {"error": m.error(X, Y), "worst": np.float32("inf")}, callbacks=callbacks).fit(
        2
    )
    assert all(type(r["error"]) is float for r in history)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    lines = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[1]["worst"] is None and lines[1]["norm"] == 0.5 and lines[1]["error"] == history[1]["error"]
    assert lines[1]["worst of all"] is None
    assert lines[1]["by layer"] == {"W1": [1.0, None], "W2": [[None, 2.0]], "b": [None, "inf"]}
    later = m.trainer(validate=lambda: {}, callbacks=[Checkpoints(tmp_path / "run")])
    later.load(tmp_path / "run")
    assert later.history[1]["worst"] == math.inf


def test_a_line_an_epoch(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with caplog.at_level("INFO", logger="weft.training"):
        history = Model().trainer(callbacks=[Log(), Log(said.append)]).fit(2)
    assert [r.getMessage() for r in caplog.records] == said and len(said) == 2
    assert said[1].startswith("epoch 2/2: ") and f"loss {history[1]['loss']:.4g}" in said[1], said
    assert "seconds" not in said[1]
    with pytest.raises(weft.ArgumentError, match="Log takes a logger or a function"):
        Log("run.log")  # type: ignore[arg-type]

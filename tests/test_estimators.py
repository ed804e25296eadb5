"""weft.estimators: what scikit-learn asks of estimators, and what training promises."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T

pytest.importorskip("sklearn", minversion="1.6")
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from weft.estimators import Classifier, Regressor
from weft.models.common import estimator_network as network

pytestmark = pytest.mark.filterwarnings("ignore:in the last .* epochs the loss still fell")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0] + 0.5 * X[:, 1], [-0.5, 0.5])]
NUMBERS = np.sin(X[:, 0]) + X[:, 1]
BOTH = [(Classifier, LABELS), (Regressor, NUMBERS)]


def same(a: Any, b: Any) -> bool:
    """Whether two fitted estimators have the same bits."""
    return all(
        p.tobytes() == q.tobytes()
        for p, q in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True)
    )


@pytest.mark.parametrize("estimator", [Classifier(), Regressor()], ids=["classifier", "regressor"])
def test_every_check_of_scikit_learn_passes(estimator: Any) -> None:
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(results) > 50
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")]
    assert failed == []


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"hidden": (), "optimizer": "nesterov", "learning_rate": 0.1}, marks=pytest.mark.slow),
        {"hidden": (8, 8), "activation": "tanh", "dropout": 0.2, "l2": 1e-5, "learning_rate": 0.01},
        {"early_stopping": True, "batch_size": 16, "validation_fraction": 0.2},
        pytest.param({"warm_start": True, "optimizer": "lion"}, marks=pytest.mark.slow),
    ],
    ids=["linear", "deep", "early", "warm"],
)
@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_the_checks_that_fit_pass_with_other_parameters(kind: Any, options: dict[str, Any]) -> None:
    tests = {
        "check_fit_idempotent", "check_methods_subset_invariance", "check_methods_sample_order_invariance",
        "check_estimators_pickle", "check_dict_unchanged", "check_dont_overwrite_attributes", "check_n_features_in",
        "check_estimators_dtypes", "check_readonly_memmap_input", "check_fit2d_1feature", "check_regressor_multioutput",
        "check_estimators_overwrite_params", "check_dataframe_column_names_consistency",
    }  # fmt: skip
    results = check_estimator(kind(epochs=20, **options), on_skip=None, on_fail=None)
    run = [r for r in results if r["check_name"] in tests]
    assert len(run) >= 10
    assert [(r["check_name"], r["exception"]) for r in run if r["status"] not in ("passed", "skipped")] == []


def test_digits() -> None:
    x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    model = make_pipeline(StandardScaler(), Classifier(random_state=0, epochs=30, batch_size=64)).fit(x, y)
    assert model.score(x_test, y_test) > 0.95
    chances = model.predict_proba(x_test)
    assert np.allclose(chances.sum(axis=1), 1) and (chances >= 0).all()
    assert np.array_equal(model.predict(x_test), chances.argmax(axis=1))
    assert np.allclose(np.exp(model.predict_log_proba(x_test)), chances)


def test_fitted_attributes() -> None:
    c = Classifier(hidden=(7, 4), random_state=0, epochs=3).fit(X, LABELS)
    assert list(c.classes_) == ["high", "low", "middle"]
    assert [w.shape for w in c.coefs_] == [(5, 7), (7, 4), (4, 3)]
    assert [b.shape for b in c.intercepts_] == [(7,), (4,), (3,)]
    assert c.n_features_in_ == 5 and c.n_iter_ == 3 and len(c.loss_curve_) == 3
    assert not hasattr(c, "validation_curve_")
    assert c.set_params(early_stopping=True).fit(X, LABELS).n_iter_ == len(c.validation_curve_)
    assert not hasattr(c.set_params(early_stopping=False).fit(X, LABELS), "validation_curve_")


def test_feature_names() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    c = Classifier(epochs=2).fit(frame, LABELS)
    assert list(c.feature_names_in_) == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        c.predict(frame[list("edcba")])


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_the_same_seed_gives_the_same_bits(kind: Any, y: Any) -> None:
    for options in ({}, {"batch_size": 32, "dropout": 0.3, "early_stopping": True}):
        a, b, other = (kind(hidden=9, epochs=15, random_state=s, **options).fit(X, y) for s in (1, 1, 2))
        assert same(a, b) and not same(a, other)
        assert same(a, a.fit(X, y))
        assert np.array_equal(a.predict(X), b.predict(X))
    rng = np.random.RandomState(3)
    assert not same(kind(epochs=2, random_state=rng).fit(X, y), kind(epochs=2, random_state=rng).fit(X, y))


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_fitted_estimators_are_copied(kind: Any, y: Any) -> None:
    a = kind(epochs=5, random_state=0).fit(X, y)
    b = pickle.loads(pickle.dumps(a))
    assert same(a, b) and np.array_equal(a.predict(X), b.predict(X))
    a.partial_fit(X, y)
    b.partial_fit(X, y)
    assert same(a, b)  # the state of the optimizer came along
    assert not hasattr(clone(a), "coefs_") and clone(a).get_params() == a.get_params()


def test_grid_search_over_a_pipeline() -> None:
    model = make_pipeline(StandardScaler(), Classifier(learning_rate=0.01, random_state=0))
    grid = {"classifier__hidden": [(), (8,)], "classifier__l2": [0.0, 1e-3]}
    search = GridSearchCV(model, grid, cv=3).fit(X, LABELS)
    assert search.best_score_ > 0.8
    with parallel_config(backend="threading"):
        threads = GridSearchCV(model, grid, cv=3, n_jobs=2).fit(X, LABELS)
    assert np.array_equal(threads.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


def test_several_numbers_for_each_example() -> None:
    both = np.stack([NUMBERS, -X[:, 2]], axis=1)
    r = Regressor(random_state=0, learning_rate=0.01).fit(X, both)
    assert r.predict(X).shape == (120, 2) and r.score(X, both) > 0.95
    assert r.set_params(epochs=1).fit(X, NUMBERS).predict(X).shape == (120,)
    assert r.fit(X, NUMBERS[:, None]).predict(X).shape == (120, 1)
    with pytest.raises(ValueError, match="y has 2 numbers"):
        r.partial_fit(X, both)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_have_the_dtype_of_the_examples(dtype: Any) -> None:
    c = Classifier(epochs=2).fit(X.astype(dtype), LABELS)
    assert {w.dtype for w in [*c.coefs_, *c.intercepts_]} == {np.dtype(dtype)}
    assert c.predict_proba(X).dtype == dtype
    c.partial_fit(X, LABELS)
    assert c.coefs_[0].dtype == dtype


# Training in parts


def test_partial_fit_learns() -> None:
    c = Classifier(random_state=0, learning_rate=0.01)
    with pytest.raises(ValueError, match="needs the classes"):
        c.partial_fit(X, LABELS)
    for _ in range(100):
        for part in (slice(0, 60), slice(60, 120)):
            c.partial_fit(X[part], LABELS[part], classes=["low", "middle", "high"])
    assert c.n_iter_ == len(c.loss_curve_) == 200 and c.score(X, LABELS) > 0.95
    with pytest.raises(ValueError, match=r"classes.*'none'.*does not know"):
        c.partial_fit(X[:1], ["none"])
    with pytest.raises(ValueError, match="not those of the first call"):
        c.partial_fit(X, LABELS, classes=["low", "high"])
    one = Classifier(epochs=1).partial_fit(X[:1], LABELS[:1], classes=LABELS)  # the others come later
    assert one.predict_proba(X).shape == (120, 3)


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_epochs_that_end_before_training_does_are_said(kind: Any, y: np.ndarray) -> None:
    with pytest.warns(ConvergenceWarning, match="in the last 3 of 3 epochs the loss still fell") as said:
        kind(epochs=3, random_state=0).fit(X, y)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(epochs=3, random_state=0, patience=None).fit(X, y)
        kind(epochs=50, random_state=0, patience=2, tol=1e3).fit(X, y)  # stops by itself
        kind(epochs=6, patience=5, learning_rate=0.0).fit(X, y)  # in the last epoch
        classes = [np.unique(y)] if kind is Classifier else []
        kind(epochs=3, random_state=0).partial_fit(X, y, *classes)


def test_partial_fits_of_everything_are_the_epochs_of_a_fit() -> None:
    whole = Regressor(epochs=6, patience=None, random_state=0).fit(X, NUMBERS)
    parts = Regressor(random_state=0)
    for _ in range(6):
        parts.partial_fit(X, NUMBERS)
    assert same(whole, parts)


def test_a_warm_start_goes_on() -> None:
    whole = Regressor(epochs=8, patience=None, random_state=0).fit(X, NUMBERS)
    warm = Regressor(epochs=4, patience=None, random_state=0, warm_start=True).fit(X, NUMBERS)
    assert warm.n_iter_ == 4
    warm.fit(X, NUMBERS)
    assert warm.n_iter_ == len(warm.loss_curve_) == 8 and same(whole, warm)


@pytest.mark.parametrize(("kind", "y"), BOTH)
def test_another_optimizer_begins_with_a_state_of_its_own(kind: Any, y: np.ndarray) -> None:
    """Also where an earlier one was the same: what it remembers is of steps long past."""
    model = kind((4,), epochs=2, patience=None, warm_start=True, random_state=0).fit(X, y)
    for optimizer in ("momentum", "sgd", "adam", "adamw"):
        model.set_params(optimizer=optimizer).fit(X, y)
        assert model._state is not None
        fresh = kind((4,), epochs=1, patience=None, random_state=0, optimizer=optimizer).fit(X, y)
        assert model._state.keys() == fresh._state.keys()
        if optimizer.startswith("adam"):
            assert model._state[f"{optimizer}.step"] == 2
    assert model.n_iter_ == 10
    classes = [np.unique(y)] if kind is Classifier else []
    parts = kind((4,), random_state=0).partial_fit(X, y, *classes)
    for optimizer in ("sgd", "adam", "adam"):
        parts.set_params(optimizer=optimizer).partial_fit(X, y)
    assert parts._state["adam.step"] == 2 and parts.n_iter_ == 4


def test_early_stopping_may_begin_with_a_warm_start() -> None:
    model = Classifier((4,), epochs=3, patience=None, warm_start=True, random_state=0).fit(X, LABELS)
    assert not hasattr(model, "validation_curve_")
    model.set_params(early_stopping=True).fit(X, LABELS)
    assert len(model.validation_curve_) == 3 and len(model.loss_curve_) == 6
    model.fit(X, LABELS)
    assert len(model.validation_curve_) == 6


def test_schedules_go_on_too() -> None:
    def rate(t: float) -> float:
        seen.append(t)
        return 0.01 / (1 + t)

    seen: list[float] = []
    model = Regressor(learning_rate=rate, epochs=2, patience=None, warm_start=True).fit(X, NUMBERS)
    model.fit(X, NUMBERS)
    assert seen == [0, 1, 2, 3]
    plateau = weft.training.schedules.Plateau(0.1, patience=1)
    Regressor(learning_rate=plateau, epochs=50, patience=None).fit(X, NUMBERS)
    assert plateau.rate == 0.1  # a parameter is not changed by a fit


# When it stops


def test_training_stops_where_the_loss_falls_no_more() -> None:
    stopped = Regressor(learning_rate=0.0, random_state=0).fit(X, NUMBERS)
    assert stopped.n_iter_ == 11 and len(set(stopped.loss_curve_)) == 1
    assert Regressor(learning_rate=0.0, patience=None, epochs=30).fit(X, NUMBERS).n_iter_ == 30


def test_early_stopping_keeps_the_best_epoch() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 30)), rng.integers(0, 2, 60)  # nothing to learn: the validation loss soon rises
    c = Classifier(early_stopping=True, learning_rate=0.01, validation_fraction=0.25, random_state=0, tol=0.0).fit(x, y)
    best = int(np.argmin(c.validation_curve_))
    assert best + 1 + 10 == c.n_iter_ < 200
    again = Classifier(
        early_stopping=True, learning_rate=0.01, validation_fraction=0.25, random_state=0, tol=0.0, epochs=best + 1,
    ).fit(x, y)  # fmt: skip
    assert same(c, again)


# What counts


def test_weights_of_examples() -> None:
    for kind, y in BOTH:
        weights = np.repeat([1.0, 0.0, 3.0], 40)
        options = {"random_state": 0, "epochs": 30, "patience": None}
        a = kind(**options).fit(X, y, sample_weight=weights)
        chosen = np.r_[0:40, 80:120, 80:120, 80:120]
        b = kind(**options).fit(X[chosen], y[chosen])
        assert np.allclose(a.coefs_[0], b.coefs_[0], rtol=1e-9, atol=1e-12)
        ones = kind(**options).fit(X, y, sample_weight=np.full(120, 7.0))
        assert np.allclose(ones.coefs_[0], kind(**options).fit(X, y).coefs_[0], rtol=1e-9, atol=1e-12)
        with pytest.raises(ValueError, match=r"(?i)sample.weight"):
            kind().fit(X, y, sample_weight=np.zeros(120))


def test_penalty_and_dropout() -> None:
    plain, small, dropped = (
        Regressor(random_state=0, learning_rate=0.01, epochs=100, **o).fit(X, NUMBERS)
        for o in ({}, {"l2": 0.1}, {"dropout": 0.5})
    )
    assert np.square(small.coefs_[0]).sum() < 0.5 * np.square(plain.coefs_[0]).sum()
    assert np.std(np.diff(dropped.loss_curve_[-20:])) > 3 * np.std(np.diff(plain.loss_curve_[-20:]))
    assert np.array_equal(dropped.predict(X), dropped.predict(X))
    assert dropped.score(X, NUMBERS) > 0.8


def test_predictions_are_what_the_parameters_say() -> None:
    c = Classifier(hidden=(6, 5), activation="tanh", epochs=5).fit(X, LABELS)
    h = X
    for k, (w, b) in enumerate(zip(c.coefs_, c.intercepts_, strict=True)):
        h = h @ w + b
        h = np.tanh(h) if k < 2 else h
    e = np.exp(h - h.max(axis=1, keepdims=True))
    assert np.allclose(c.predict_proba(X), e / e.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("activation", [*network.ACTIVATIONS, lambda x: T.maximum(x, 0.1 * x)])
def test_activations(activation: Any) -> None:
    assert Regressor(activation=activation, learning_rate=0.02, random_state=0).fit(X, NUMBERS).score(X, NUMBERS) > 0.5


@pytest.mark.parametrize("optimizer", [*network.OPTIMIZERS, lambda c, p, r: weft.optimizers.nesterov(c, p, r, 0.5)])
def test_optimizers(optimizer: Any) -> None:
    r = Regressor(optimizer=optimizer, learning_rate=0.003, patience=None, random_state=0).fit(X, NUMBERS)
    assert r.loss_curve_[-1] < r.loss_curve_[0]
    assert r._state is not None and all(np.isfinite(s).all() for s in r._state.values())


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (0,)}, {"hidden": -1}, {"activation": "rely"}, {"optimizer": "Adam"}, {"batch_size": 0},
        {"batch_size": "all"}, {"epochs": 0}, {"l2": -1}, {"dropout": 1.0}, {"learning_rate": -1}, {"patience": 0},
        {"l2": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_parameters(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        Classifier(**options).fit(X, LABELS)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(weft.NumericalError, match="lower the rate"):
        Regressor(optimizer="sgd", learning_rate=1e6, random_state=0).fit(X, NUMBERS)
    assert Regressor(optimizer="sgd", random_state=0).fit(X, NUMBERS).score(X, NUMBERS) > 0.2


def test_verbose_prints_each_epoch(capsys: pytest.CaptureFixture) -> None:
    Classifier(epochs=2, verbose=True, early_stopping=True).fit(X, LABELS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2: loss ") and "validation loss" in lines[1]


# One compilation a structure


def test_a_structure_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = weft.function
    monkeypatch.setattr(network.weft, "function", lambda *a, **k: calls.append(k["name"]) or real(*a, **k))
    monkeypatch.setattr(network, "_idle", {})
    for hidden, n, columns in ((3, 20, 2), (50, 100, 5), (1, 7, 1)):
        for rate in (0.1, 0.01):
            c = Classifier(hidden=hidden, learning_rate=rate, epochs=2).fit(X[:n, :columns], LABELS[:n])
            c.predict(X[:n, :columns])
    assert calls == ["a step of training", "a network"]
    Classifier(hidden=(3, 3), epochs=1).fit(X, LABELS)
    assert len(calls) == 3
    for k in range(network.KEPT + 5):
        with network.borrowed(network.Structure(False, k + 5, "relu", "sgd", False, False, False, "float32")):
            pass
    assert len(network._idle) == network.KEPT


def test_networks_that_wait_hold_no_values() -> None:
    Regressor(hidden=1000, epochs=1).fit(X, NUMBERS)
    held = [n for waiting in network._idle.values() for n in waiting]
    assert held and all(p.container.array().size <= 1 for n in held for p in [*n.params, *n.state.values()])


def test_fits_of_several_threads() -> None:
    want = [Regressor(hidden=h, epochs=20, random_state=0).fit(X, NUMBERS) for h in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda h: Regressor(hidden=h, epochs=20, random_state=0).fit(X, NUMBERS), range(1, 9)))
    assert all(same(a, b) for a, b in zip(want, got, strict=True))


def test_an_interrupted_fit_leaves_the_next_one_whole() -> None:
    def rate(t: float) -> float:
        if t >= 2:
            raise KeyboardInterrupt
        return 0.01

    with pytest.raises(KeyboardInterrupt):
        Regressor(learning_rate=rate, epochs=9).fit(X, NUMBERS)
    a, b = (Regressor(learning_rate=0.01, epochs=5, random_state=0).fit(X, NUMBERS) for _ in range(2))
    assert same(a, b)


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import weft.estimators\n"
        "try: weft.estimators.Classifier\n"
        "except ImportError as e: print(e)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=Path(weft.__file__).parents[1]
    )
    assert "pip install 'weft[demo]'" in out.stdout

"""Multilayer networks with the interface of scikit-learn. The public names are those of `weft.estimators`."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import weft
from weft.training import Batches, Callback, EarlyStopping, Evaluation, Trainer

from .estimator_network import ACTIVATIONS, OPTIMIZERS, RECTIFIED, Network, Structure, borrowed

FLOATS = (np.float64, np.float32)
SHUFFLE, DROPOUT = 1, 2  # what the numbers of a seed are drawn for


class _Said(Callback):
    """Prints the record of each epoch."""

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        losses = ", ".join(f"{n} {v:.6g}" for n, v in record.items() if n.endswith("loss"))
        print(f"epoch {record['epoch']}: {losses}")


class _Multilayer(BaseEstimator):
    """What classifier and regressor share: x -> f(x W1 + b1) -> ... -> the last layer, trained on minibatches.

    hidden: units of each hidden layer; () for a linear model.
    activation: of the hidden layers: "relu", "tanh", "sigmoid", "elu", "softplus", "softsign", "identity", or a
        function from expression to expression.
    optimizer: a name in weft.optimizers, or a function (cost, params, learning_rate) -> updates.
    learning_rate: a number, or a schedule of weft.training.schedules, a function of the epoch.
    batch_size: examples of a minibatch; "auto" is 200, or all where there are fewer.
    epochs: the most passes over the examples.
    l2: factor of the sum of squared weights, which is added to the cost.
    dropout: the part of hidden units that is left out in each step.
    early_stopping: keeps `validation_fraction` of the examples for validation, stops when its loss falls no more, and
        has the parameters of the best epoch.
    tol, patience: training stops after `patience` epochs in which the loss (of validation with early_stopping, of
        training without) did not fall by more than tol; a ConvergenceWarning says that `epochs` ended first.
        patience=None: it runs all epochs.
    random_state: first values, order of the examples, dropout: the same number gives the same bits.
    warm_start: `fit` goes on from what the last one reached.
    verbose: prints the loss of each epoch.
    """

    def __init__(
        self,
        hidden: Sequence[int] | int = (100,),
        *,
        activation: str | Callable[[Any], Any] = "relu",
        optimizer: str | Callable[..., Any] = "adam",
        learning_rate: float | Callable[[float], float] = 0.001,
        batch_size: int | str = "auto",
        epochs: int = 200,
        l2: float = 0.0,
        dropout: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        tol: float = 1e-4,
        patience: int | None = 10,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
    ):
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.l2 = l2
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.patience = patience
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    _classes = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains on examples X (rows) with targets y; sample_weight: what each counts, relative to the others."""
        self._check_parameters()
        going_on = self.warm_start and hasattr(self, "coefs_")
        X, y = self._validated(X, y, reset=not going_on)
        target = self._targets(y, None, fresh=not going_on)
        weights = self._weights(sample_weight, X)
        if not going_on:
            self._begin(X, target)
        return self._train(X, target, weights, self.epochs, alone=False)

    def _partial(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        self._check_parameters()
        fresh = not hasattr(self, "coefs_")
        X, y = self._validated(X, y, reset=fresh)
        target = self._targets(y, classes, fresh)
        weights = self._weights(sample_weight, X)
        if fresh:
            self._begin(X, target)
        return self._train(X, target, weights, 1, alone=True)

    # What training works on

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(
            self, X, y, reset=reset, dtype=FLOATS, order="C", multi_output=True, y_numeric=not self._classes
        )
        return X if reset else X.astype(self._dtype, copy=False), y

    def _targets(self, y: np.ndarray, classes: Any, fresh: bool) -> np.ndarray:
        raise NotImplementedError

    def _weights(self, given: Any, X: np.ndarray) -> np.ndarray | None:
        """Scaled to the mean 1, so that the size of a step does not depend on their unit."""
        if given is None:
            return None
        weights = _check_sample_weight(given, X, dtype=X.dtype, ensure_non_negative=True)
        mean = weights.mean(dtype=np.float64)
        if not mean > 0:
            raise ValueError("sample_weight is 0 for every example: there is nothing to learn from")
        return (weights / mean).astype(X.dtype)

    @property
    def _dtype(self) -> np.dtype:
        return self.coefs_[0].dtype

    def _outputs(self, target: np.ndarray) -> int:
        raise NotImplementedError

    def _begin(self, X: np.ndarray, target: np.ndarray) -> None:
        """First values of everything that training changes."""
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rng = np.random.Generator(np.random.PCG64(self._seed))
        sizes = [X.shape[1], *self._sizes(), self._outputs(target)]
        draw = weft.init.he_uniform if self.activation in RECTIFIED else weft.init.glorot_uniform
        pairs = list(pairwise(sizes))
        draws = [draw] * (len(pairs) - 1) + [weft.init.glorot_uniform]
        self.coefs_ = [d(p, rng, dtype=X.dtype) for d, p in zip(draws, pairs, strict=True)]
        self.intercepts_ = [weft.init.zeros(n, dtype=X.dtype) for n in sizes[1:]]
        self._state: dict[str, np.ndarray] | None = None
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        if self.early_stopping:
            self.validation_curve_: list[float] = []
        elif hasattr(self, "validation_curve_"):
            del self.validation_curve_

    def _sizes(self) -> tuple[int, ...]:
        return (int(self.hidden),) if np.ndim(self.hidden) == 0 else tuple(int(n) for n in self.hidden)  # type: ignore

    def _structure(self, weighted: bool = False) -> Structure:
        return Structure(
            self._classes, len(self.coefs_), self.activation, self.optimizer, self.dropout > 0, self.l2 > 0, weighted,
            self._dtype.name,
        )  # fmt: skip

    def _train(self, X: np.ndarray, target: np.ndarray, weights: np.ndarray | None, epochs: int, alone: bool) -> Any:
        """Trains for so many epochs more; `alone`: this is one part of the examples, so nothing stops early."""
        target = target if self._classes else target.astype(X.dtype, copy=False)
        arrays = [X, target] if weights is None else [X, target, weights]
        held: list[np.ndarray] = []
        if self.early_stopping and not alone:
            parts = train_test_split(
                *arrays, test_size=self.validation_fraction, random_state=self._seed,
                stratify=target if self._classes else None,
            )  # fmt: skip
            arrays, held = parts[::2], parts[1::2]
        size = min(200, len(arrays[0])) if self.batch_size == "auto" else min(int(self.batch_size), len(arrays[0]))
        seeds = [self._seed, self.n_iter_]
        shuffle, drop = (np.random.SeedSequence([*seeds, k]).generate_state(2, np.uint64) for k in (SHUFFLE, DROPOUT))
        with borrowed(self._structure(weights is not None)) as network:
            network.put(self.coefs_, self.intercepts_)
            network.put_state(self._state)
            network.dropout.set_value(np.asarray(self.dropout, self._dtype))
            network.penalty.set_value(np.asarray(self.l2, self._dtype))
            network.streams.seed(int(drop[0]))
            trainer = Trainer(
                network.step,
                Batches(arrays, size, shuffle=size < len(arrays[0]), seed=int(shuffle[0])),
                rates={network.rate: copy.deepcopy(self.learning_rate)},
                validate=Evaluation(network.cost, held, ["validation loss"]) if held else None,
                callbacks=self._callbacks(bool(held), alone),
            )
            trainer.epoch = self.n_iter_  # schedules go on where the last call left them
            history = trainer.fit(self.n_iter_ + epochs)
            self._take(network)
        self.n_iter_ = trainer.epoch
        self.loss_curve_ = [*self.loss_curve_, *(r["loss"] for r in history)]
        if not alone and self.patience is not None and trainer.stopped is None:
            warnings.warn(
                f"in the last {min(self.patience, epochs)} of {epochs} epochs the loss still fell: more epochs or "
                "another learning_rate fit better (patience=None trains so many epochs without a warning)",
                ConvergenceWarning,
                stacklevel=3,
            )
        if held:
            before = getattr(self, "validation_curve_", [])  # none where early stopping begins with a warm start
            self.validation_curve_ = [*before, *(r["validation loss"] for r in history)]
        return self

    def _callbacks(self, validated: bool, alone: bool) -> list[Callback]:
        found: list[Callback] = [_Said()] if self.verbose else []
        if not alone and self.patience is not None:
            metric = "validation loss" if validated else "loss"
            found.append(EarlyStopping(metric, self.patience, least=self.tol, restore_best=validated))
        return found

    def _take(self, network: Network) -> None:
        self.coefs_, self.intercepts_ = network.take()
        self._state = network.take_state()

    def _output(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=self._dtype, order="C")
        with borrowed(self._structure()) as network:
            return network.output(X, *self.coefs_, *self.intercepts_)

    def _check_parameters(self) -> None:
        """ValueError for what no training could be done with."""
        if any(n < 1 for n in self._sizes()):
            raise ValueError(f"hidden={self.hidden!r}: every hidden layer has at least one unit")
        if not callable(self.activation) and self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}: one of {', '.join(ACTIVATIONS)}, or a function")
        if not callable(self.optimizer) and self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer={self.optimizer!r}: one of {', '.join(OPTIMIZERS)}, or a function")
        if self.batch_size != "auto" and not (not isinstance(self.batch_size, str) and self.batch_size >= 1):
            raise ValueError(f"batch_size={self.batch_size!r}: 'auto', or a number of examples")
        for name, low, high in (("epochs", 1, math.inf), ("l2", 0, math.inf), ("tol", -math.inf, math.inf)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}={value!r}: a number of at least {low}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r}: a number in [0, 1)")
        if not callable(self.learning_rate) and not self.learning_rate >= 0:
            raise ValueError(f"learning_rate={self.learning_rate!r}: a number that is not negative, or a schedule")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience!r}: a number of epochs, or None")


def _said(what: str, fitted: str) -> str:
    """The docstring of an estimator, with the parameters of `_Multilayer`; without indentation, which compilers from
    Python 3.13 on take away from one of the two."""
    parameters = inspect.cleandoc(_Multilayer.__doc__ or "").partition("\n")[2].strip()
    return "\n\n".join((what, parameters, inspect.cleandoc(fitted)))


class Classifier(ClassifierMixin, _Multilayer):
    __doc__ = _said(
        "A multilayer network for classes: softmax of its last layer, trained on the cross entropy.",
        """Fitted: classes_, coefs_, intercepts_, n_iter_, loss_curve_, validation_curve_ (with early_stopping),
        n_features_in_, feature_names_in_.""",
    )

    _classes = True

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Classifier:
        """Trains for one pass over these examples. classes: all there will ever be; needed in the first call."""
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("the first call of partial_fit needs the classes")
        return self._partial(X, y, classes, sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, in the order of classes_."""
        return self._output(X)

    def predict(self, X: Any) -> np.ndarray:
        """The class of the highest probability."""
        numbers = self._output(X).argmax(axis=1)
        return self.classes_[numbers]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            return np.log(self._output(X))

    def _targets(self, y: np.ndarray, classes: Any, fresh: bool) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        found = np.unique(y)
        if fresh:
            self.classes_ = found if classes is None else np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes={classes!r} are not those of the first call: {self.classes_!r}")
        unknown = np.setdiff1d(found, self.classes_)
        if len(unknown):
            raise ValueError(f"y has the classes {unknown!r}, which the network does not know: {self.classes_!r}")
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _outputs(self, target: np.ndarray) -> int:
        return len(self.classes_)


class Regressor(RegressorMixin, _Multilayer):
    __doc__ = _said(
        "A multilayer network for numbers, one or several for each example, trained on the squared error.",
        """Fitted: coefs_, intercepts_, n_iter_, loss_curve_, validation_curve_ (with early_stopping),
        n_features_in_, feature_names_in_. Targets are best scaled to a variance near 1
        (sklearn.compose.TransformedTargetRegressor).""",
    )

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Trains for one pass over these examples."""
        return self._partial(X, y, None, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """The numbers of each example, in the shape that y had."""
        out = self._output(X)
        return out[:, 0] if self._flat else out

    def _targets(self, y: np.ndarray, classes: Any, fresh: bool) -> np.ndarray:
        if fresh:
            self._flat = y.ndim == 1
            self._columns = 1 if y.ndim == 1 else y.shape[1]
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self._columns:
            raise ValueError(f"y has {columns.shape[1]} numbers for each example; the network has {self._columns}")
        return np.ascontiguousarray(columns)

    def _outputs(self, target: np.ndarray) -> int:
        return target.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

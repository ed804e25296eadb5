"""Multilayer networks for the estimators: one compiled step for all networks of one structure.

The graph of a structure knows how many layers there are and what they compute, not how long they are: lengths are
those of the values that the parameters have. So a process compiles a structure once, and `borrowed` lends it to one
fit or prediction after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.tensor as T
from weft.tensor.shared_randomstreams import RandomStreams

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x, "relu": T.nnet.relu, "tanh": T.tanh, "sigmoid": T.nnet.sigmoid, "elu": T.nnet.elu,
    "softplus": T.nnet.softplus, "softsign": T.nnet.softsign,
}  # fmt: skip
OPTIMIZERS = (
    "adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "momentum", "nadam", "nesterov", "rmsprop", "sgd",
)  # fmt: skip
RECTIFIED = ("relu", "elu", "softplus")  # their weights begin as He and others draw them
KEPT = 16  # structures whose functions wait for their next use


class Structure(NamedTuple):
    """What a network is but for its lengths and numbers; equal ones share one compiled step."""

    classes: bool  # softmax and cross entropy; otherwise numbers and squared errors
    layers: int  # hidden ones and the last
    activation: Any
    optimizer: Any
    dropout: bool
    penalty: bool
    weighted: bool  # examples have weights
    dtype: str


class Network:
    """The functions of a structure, compiled when they are first called for, and the variables that they update."""

    def __init__(self, structure: Structure):
        self.structure = s = structure
        matrix, vector = (T.TensorType(s.dtype, (None,) * n) for n in (2, 1))
        self.x = matrix("x")
        self.target = T.lvector("target") if s.classes else matrix("target")
        self.weights = vector("weights")
        self.rate, self.dropout, self.penalty = (
            weft.shared(np.zeros((), s.dtype), name=n) for n in ("rate", "dropout", "penalty")
        )
        self.w = [weft.shared(np.zeros((0, 0), s.dtype), name=f"W{k}") for k in range(1, s.layers + 1)]
        self.b = [weft.shared(np.zeros(0, s.dtype), name=f"b{k}") for k in range(1, s.layers + 1)]
        self.params = [p for pair in zip(self.w, self.b, strict=True) for p in pair]
        self.streams = RandomStreams(0)
        self.state: dict[str, Any] = {}  # of the optimizer, by name
        self._first: dict[str, np.ndarray] = {}
        self._owner: dict[str, Any] = {}  # the parameter whose shape a state has
        self._made: dict[str, Any] = {}
        self._used = False  # since `clear`

    def _output(self, weights: Sequence[Any], biases: Sequence[Any], training: bool = False) -> Any:
        activation = ACTIVATIONS.get(self.structure.activation, self.structure.activation)
        h = self.x
        for k, (w, b) in enumerate(zip(weights, biases, strict=True), 1):
            h = T.dot(h, w) + b
            if k < self.structure.layers:
                h = activation(h)
                if training and self.structure.dropout:
                    kept = self.streams.uniform(h.shape, dtype=self.structure.dtype) >= self.dropout
                    h = T.switch(kept, h / (1 - self.dropout), 0)
        return T.nnet.softmax(h) if self.structure.classes else h

    def _cost(self, y: Any) -> Any:
        if self.structure.classes:
            costs = T.nnet.categorical_crossentropy(y, self.target)
        else:
            costs = T.sqr(y - self.target).mean(axis=1)
        return (self.weights * costs if self.structure.weighted else costs).mean()

    @property
    def _inputs(self) -> list[Any]:
        return [self.x, self.target, *([self.weights] if self.structure.weighted else [])]

    def _function(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def step(self) -> Any:
        """(x, target[, weights]) -> the cost; updates the parameters."""

        def make() -> Any:
            cost = self._cost(self._output(self.w, self.b, training=True))
            if self.structure.penalty:
                cost = cost + self.penalty * weft.optimizers.l2(self.w)
            chosen = self.structure.optimizer
            optimizer = chosen if callable(chosen) else getattr(weft.optimizers, chosen)
            updates = optimizer(cost, self.params, self.rate)
            self.state = weft.optimizers.state(updates, self.params)
            for name, s in self.state.items():
                self._first[name] = s.get_value()
                owners = [p for p in self.params if name.endswith(f"[{p.name}]") and s.ndim == p.ndim]
                if owners:
                    self._owner[name] = owners[0]
            return weft.function(self._inputs, cost, updates=updates, name="a step of training")

        return self._function("step", make)

    @property
    def cost(self) -> Any:
        """(x, target[, weights]) -> the cost without dropout and penalty."""
        return self._function(
            "cost", lambda: weft.function(self._inputs, self._cost(self._output(self.w, self.b)), name="a cost")
        )

    @property
    def output(self) -> Any:
        """(x, W1, ..., b1, ...) -> probabilities, or numbers. It takes values, so that nothing is set for one call."""

        def make() -> Any:
            weights, biases = [w.type() for w in self.w], [b.type() for b in self.b]
            return weft.function([self.x, *weights, *biases], self._output(weights, biases), name="a network")

        return self._function("output", make)

    def put(self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> None:
        """Gives the parameters these values, which are read where they lie and never written to."""
        self._used = True
        for variables, values in ((self.w, weights), (self.b, biases)):
            for p, value in zip(variables, values, strict=True):
                p.set_value(value, borrow=True)

    def put_state(self, state: dict[str, np.ndarray] | None) -> None:
        """Gives the optimizer a state that `take_state` gave; the first one where that is none, or another's."""
        assert self.step is not None  # which makes the state
        kinds = {name: (s.dtype, s.ndim) for name, s in self.state.items()}
        own = state is not None and kinds == {name: (a.dtype.name, a.ndim) for name, a in state.items()}
        for name, s in self.state.items():
            if state is not None and own:
                s.set_value(state[name])
            elif name in self._owner:
                s.set_value(np.zeros(self._owner[name].container.array().shape, s.dtype))
            else:
                s.set_value(self._first[name])

    def take(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [p.get_value() for p in self.w], [p.get_value() for p in self.b]

    def take_state(self) -> dict[str, np.ndarray]:
        return {name: s.get_value() for name, s in self.state.items()}

    def clear(self) -> None:
        """Lets the memory of values go."""
        for v in [*self.params, *self.state.values()] if self._used else []:
            if v.ndim:
                v.container.replace(np.empty((0,) * v.ndim, v.container.dtype))
        self._used = False


# Networks that nobody uses now. Single operations of dict and list are all that touches it: threads need no lock.
_idle: dict[Structure, list[Network]] = {}


@contextmanager
def borrowed(structure: Structure) -> Iterator[Network]:
    """A network of this structure for the block alone; the next one is given the same."""
    try:
        network = _idle[structure].pop()
    except (KeyError, IndexError):
        network = Network(structure)
    yield network  # one that an error leaves is not used again
    network.clear()
    _idle.setdefault(structure, []).append(network)
    for oldest in list(_idle)[:-KEPT]:
        _idle.pop(oldest, None)

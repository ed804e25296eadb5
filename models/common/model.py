"""What a model file says of itself: a Model, whose `build` makes a Network out of expressions."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import weft

EXTRA = "pip install 'weft[demo]'"


@dataclass(frozen=True)
class Layer:
    """A row of the summary: what the layer is, the shape of its output for one example, its parameters."""

    what: str
    shape: tuple[int, ...]
    params: Sequence[Any] = ()


@dataclass(frozen=True)
class Network:
    """The expressions of a model.

    x: the input, one example a row. t: what it should give, a label or a number; None where the model needs none.
    cost: what training makes small. loss: what is shown of it (None: the cost). error: a share between 0 and 1 that
    validation and test measure, an average over the examples. output: what the network gives for x.
    seen: what the network sees of x, where it is not x (corrupted images, say).
    updates: of a training step, beside those of the optimizer. running: what they keep and the test reads, such as
    running averages; saved with the parameters. max_norm: a limit for the norm of each column of the weight matrices.
    filters: the weights that filters.png shows (None: the first parameter).
    """

    x: Any
    t: Any
    cost: Any
    error: Any
    output: Any
    params: Sequence[Any]
    layers: Sequence[Layer]
    loss: Any = None
    seen: Any = None
    updates: Sequence[tuple[Any, Any]] = ()
    running: Sequence[Any] = ()
    filters: Any = None
    max_norm: float | None = None


@dataclass(frozen=True)
class Model:
    """A model that `weft train` can train.

    build(data, settings): the Network for a data set (datasets.Data); settings has the seed, and the `settings` below,
    which `--set key=value` changes, within `ranges`: the least and the largest value of a setting. data: the data set
    by default. reached: the test error measured with the defaults.
    """

    name: str
    title: str
    paper: str
    build: Callable[[Any, Any], Network]
    data: str = "digits"
    reached: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    epochs: int = 40
    batch_size: int = 25
    learning_rate: float = 0.05
    optimizer: str = "momentum"
    schedule: str = "cosine"


def needed(module: str) -> Any:
    """A package of the extra `demo`, or an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module.split(".")[0])
        raise weft.WeftError(f"{package} is missing here: {EXTRA}") from None

"""What a run is asked for: the model's own choices, what the command line changes of them, what a resumed run had."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import weft
from weft.models.common.datasets import BUNDLED
from weft.models.common.model import Model
from weft.training import schedules

OPTIMIZERS = (
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "adamax", "nadam", "lion",
)  # fmt: skip
# name -> the schedule for a rate and a number of epochs
SCHEDULES: dict[str, Callable[[float, int], Any]] = {
    "constant": lambda rate, epochs: schedules.constant(rate),
    "cosine": lambda rate, epochs: schedules.cosine(rate, epochs),
    "exponential": lambda rate, epochs: schedules.exponential(rate, 0.01 ** (1 / epochs)),  # to a hundredth
    "one-cycle": lambda rate, epochs: schedules.one_cycle(rate, epochs),
    "plateau": lambda rate, epochs: schedules.Plateau(rate, "validation error"),
    "step": lambda rate, epochs: schedules.step(rate, [epochs / 2, epochs * 3 / 4]),
}
RATE = 0.05  # of an optimizer without a rate of its own
ENDLESS = ("constant", "plateau")  # those that are the same however many epochs there are
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Run:
    """All that decides what a run computes; plain data. Not the number of threads: the bits are the same."""

    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    schedule: str
    data: str
    seed: int
    settings: dict[str, Any]

    def write(self, folder: Path) -> None:
        """As a whole or not at all: without this file a run cannot be gone on with."""
        new = folder / f".{SETTINGS}"
        new.write_text(json.dumps({"weft": weft.__version__, **asdict(self)}, indent=2) + "\n")
        os.replace(new, folder / SETTINGS)


def new_run(model: Model, given: Mapping[str, Any], sets: Sequence[str] = ()) -> Run:
    """The run of a model with its defaults, but for what is given (None: not given). Raises ArgumentError.

    The model's learning rate is for its own optimizer: another one that is asked for begins with its own.
    """
    chosen = {k: v for k, v in given.items() if v is not None}
    if "optimizer" in chosen and "learning_rate" not in chosen:
        chosen["learning_rate"] = own_rate(model, chosen["optimizer"])
    run = Run(
        model.name, model.epochs, model.batch_size, model.learning_rate, model.optimizer, model.schedule, model.data, 0,
        dict(model.settings),
    )  # fmt: skip
    run = replace(run, **chosen, settings={**run.settings, **changed(model, sets)})
    run = replace(run, data=located(run.data))
    for what, value in (("epochs", run.epochs), ("batch-size", run.batch_size)):
        if not 1 <= value < 2**63:
            raise weft.ArgumentError(f"--{what} {value}: at least 1 is needed" + ", and below 2^63" * (value > 1))
    if not (math.isfinite(run.learning_rate) and run.learning_rate > 0):
        raise weft.ArgumentError(f"--learning-rate {run.learning_rate}: a number above zero is needed")
    if run.seed < 0:
        raise weft.ArgumentError(f"--seed {run.seed}: a whole number from zero on is needed")
    return run


def located(data: str) -> str:
    """A data set's name as it is, also where a folder beside has that name; a path from the root."""
    path = Path(data).expanduser()
    return data if data in BUNDLED or not path.exists() else str(path.resolve())


def own_rate(model: Model, optimizer: str) -> float:
    """The learning rate of a model with this optimizer, where none is given."""
    plain = ("sgd", "momentum", "nesterov")  # one rate does for all of them
    if optimizer == model.optimizer or {optimizer, model.optimizer} <= set(plain):
        return model.learning_rate
    found = inspect.signature(getattr(weft.optimizers, optimizer)).parameters["learning_rate"].default
    return RATE if found is inspect.Parameter.empty else float(found)


def resumed(folder: Path, model: Model, given: Mapping[str, Any], sets: Sequence[str] = ()) -> Run:
    """The run in a folder. What is given again has to be what it was; more epochs, where the schedule allows it."""
    path = folder / SETTINGS
    if not path.is_file():
        raise weft.ArgumentError(f"there is no run in {folder} to go on with ({path} is missing)")
    try:
        found = json.loads(path.read_text())
        found.pop("weft")
        saved = Run(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise weft.WeftError(f"{path} is damaged: {e}") from None
    if saved.model != model.name:
        raise weft.ArgumentError(f"{folder} holds a run of the model {saved.model}, not of {model.name}")
    saved = replace(saved, settings={k: _like(v) for k, v in saved.settings.items()})
    wanted = {k: v for k, v in given.items() if v is not None}
    if "data" in wanted:
        wanted["data"] = located(wanted["data"])
    epochs = wanted.pop("epochs", saved.epochs)
    other = [f"{k.replace('_', '-')} {getattr(saved, k)}, not {v}" for k, v in wanted.items() if getattr(saved, k) != v]
    other += [
        f"{k}={saved.settings.get(k)}, not {v}" for k, v in changed(model, sets).items() if saved.settings.get(k) != v
    ]
    if other:
        raise weft.ArgumentError(
            f"the run in {folder} has {'; '.join(other)}. Another run needs another folder: --out DIR"
        )
    if epochs != saved.epochs and (saved.schedule not in ENDLESS or epochs < saved.epochs):
        raise weft.ArgumentError(
            f"the run in {folder} is of {saved.epochs} epochs, not {epochs}: more are possible with the schedules "
            f"{' and '.join(ENDLESS)}, which do not depend on their number (this one: {saved.schedule})"
        )
    return replace(saved, epochs=epochs)


def changed(model: Model, sets: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as the settings of the model that they change, of the types of its own."""
    found = {}
    for text in sets:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            raise weft.ArgumentError(f"--set {text}: it is written --set key=value")
        if key not in model.settings:
            known = ", ".join(f"{k}={shown(v)}" for k, v in model.settings.items()) or "none"
            near = difflib.get_close_matches(key, model.settings, 1, 0.5)
            said = f" (did you mean {near[0]}?)" if near else ""
            raise weft.ArgumentError(f"{model.name} has no setting {key!r}{said}; its settings are {known}")
        found[key] = parsed(key, value.strip(), model.settings[key])
        low, high = model.ranges.get(key, (-math.inf, math.inf))
        if key in model.ranges and not all(
            low <= v <= high for v in (found[key] if isinstance(found[key], tuple) else [found[key]])
        ):
            said = f"at most {high:g}" if low == -math.inf else f"at least {low:g}"
            said = f"{low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else said
            raise weft.ArgumentError(f"--set {text}: {said} is possible")
    return found


def parsed(key: str, text: str, like: Any) -> Any:
    """A text as a value of the type of another one."""
    try:
        if isinstance(like, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if isinstance(like, int):
            return int(text)
        if isinstance(like, float):
            value = float(text)
            if not math.isfinite(value):
                raise ValueError
            return value
        if isinstance(like, tuple):
            return tuple(int(n) for n in text.strip("()[], ").split(",") if n.strip())
        return text
    except (ValueError, KeyError):
        kinds = {bool: "true or false is", int: "a whole number is", float: "a number is"}
        kind = kinds.get(type(like), "whole numbers and commas are")
        raise weft.ArgumentError(f"--set {key}={text}: {kind} needed, as in {key}={shown(like)}") from None


def shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _like(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def place(name: str, out: str | None, resume: bool) -> Path:
    """The folder of a run. A new one is made; nothing that lies in an old one is touched.

    Without `out` it is runs/NAME, or runs/NAME-2, ... where there are such; the last of them is the one to resume.
    """
    if out is not None:
        folder = Path(out)
        if resume:
            return folder
        if folder.is_file():
            raise weft.ArgumentError(f"--out {folder}: it is a file")
        if folder.is_dir() and any(folder.iterdir()):
            what = "a run: --resume goes on with it" if (folder / SETTINGS).is_file() else "files"
            raise weft.ArgumentError(f"{folder} holds {what}; name another folder with --out, so that nothing is lost")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    base, n = Path("runs"), 1
    if not resume:
        base.mkdir(exist_ok=True)
    last: Path | None = None
    while True:
        folder = base / (name if n == 1 else f"{name}-{n}")
        if resume:
            if not folder.is_dir():
                if last is None:
                    raise weft.ArgumentError(f"there is no run {folder} to go on with; --out DIR names another folder")
                return last
            last = folder
        else:
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                pass
        n += 1

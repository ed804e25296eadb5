"""Trains a model by its name, or that of a file of your own (docs/models.md).

example:
  weft train relu
  weft train relu --epochs 100 --set hidden=512,512 --seed 1
  weft train softmax --data ~/data/mnist --out runs/mnist
  weft train relu --resume
  weft train path/to/model.py

Data sets by name: digits, breast_cancer, diabetes, iris, wine. From files:
a folder with those of MNIST, Fashion-MNIST (IDX, plain or .gz) or CIFAR-10,
or with train.csv; or a file .csv or .npz, with a column (an array) `label`
of classes or `target` of numbers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from ..runtime.errors import ArgumentError, InternalError, WeftError
from ..runtime.pool import set_threads
from ..runtime.training.checkpoint import finite
from .explain import own_traceback


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a name of `weft models`, or a Python file")
    parser.add_argument("--epochs", type=int, metavar="N", help="rounds over the training examples")
    parser.add_argument("--batch-size", type=int, metavar="N", help="examples of a step")
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="of the optimizer; the schedule's highest")
    parser.add_argument("--optimizer", metavar="NAME", help="sgd, momentum, nesterov, adam, ... of weft.optimizers")
    parser.add_argument("--schedule", metavar="NAME", help="constant, cosine, exponential, one-cycle, plateau or step")
    parser.add_argument("--data", metavar="DATA", help="a data set's name, a folder, or a file .csv or .npz")
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="that kernels use; the bits are the same for any")
    parser.add_argument("--out", metavar="DIR", help="where the run's files go (default: runs/MODEL, or the next free)")
    parser.add_argument("--resume", action="store_true", help="go on with the run found there")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON, and nothing else, on standard output")


def run(options: argparse.Namespace) -> int:
    from ..models import find
    from ..models.common import options as choices
    from ..models.common import pictures, tables
    from ..models.common.model import needed
    from ..models.common.run import CHECKPOINT, METRICS, PARAMETERS, REPORT, Session

    choose("optimizer", options.optimizer, choices.OPTIMIZERS)
    choose("schedule", options.schedule, choices.SCHEDULES)
    if options.threads is not None:
        if options.threads < 1:
            raise ArgumentError(f"--threads {options.threads}: at least 1 is needed")
        set_threads(options.threads)
    for package in ("rich", "safetensors", "matplotlib"):
        needed(package)
    try:
        model = find(options.model)
        given = {k: getattr(options, k) for k in choices.Run.__dataclass_fields__ if k not in ("model", "settings")}
        if options.resume:
            folder = choices.place(model.name, options.out, True)
            session = Session(model, choices.resumed(folder, model, given, options.set))
        else:  # what is wrong with data or settings is said before a folder is made
            session = Session(model, choices.new_run(model, given, options.set))
            folder = choices.place(model.name, options.out, False)
    except Exception as e:
        if isinstance(e, (WeftError, InternalError, OSError, MemoryError)) or not Path(options.model).is_file():
            raise
        raise WeftError(f"{options.model} failed:\n{own_traceback(e, Path(options.model))}") from None
    session.keep_in(folder)

    out, err = tables.console(), tables.console(stderr=True)

    def show(*what: Any) -> None:
        if not options.json:
            out.print(*what)

    if options.resume and not session.begun():
        err.print(f"{folder} has no checkpoint yet: the run begins anew", soft_wrap=True, markup=False)
    show(tables.headline(session))
    show(tables.network(session))
    with err.status("compiling"):
        session.compile()
        figures = session.compiled()
    show(tables.compiler(figures))
    try:
        history = session.train([progress(err)])
    except KeyboardInterrupt:
        command = shlex.join(["weft", "train", options.model, "--resume", "--out", str(folder)])
        err.print(f"stopped; this goes on: {command}", soft_wrap=True, markup=False)
        raise
    result = session.finish()
    drawn = pictures.draw(session, result, lambda text: err.print(text, soft_wrap=True, markup=False))
    files = {
        **drawn, PARAMETERS: "parameters of the best epoch", CHECKPOINT: "checkpoint, for --resume",
        choices.SETTINGS: "settings", METRICS: "a line an epoch, and the result", REPORT: "report of the compiler",
    }  # fmt: skip
    if options.json:
        print(json.dumps(finite({**result, "compiled": figures, "folder": str(folder), "files": list(files)})))
        return 0
    show(
        f"{len(history):,} epoch{'s' * (len(history) > 1)}, {result['steps']:,} steps in {result['seconds']:.1f} s; "
        f"validation error {100 * result['validation error']:.2f} % in epoch {result['best epoch']}"
    )
    print(f"test error: {100 * result['test error']:.2f} %", flush=True)
    names = [str(folder / name) for name in files]
    for name, what in zip(names, files.values(), strict=True):
        print(f"{name.ljust(max(map(len, names)))}  {what}")
    return 0


def progress(err: Any) -> Any:
    """A bar on a terminal, a line an epoch elsewhere."""
    from ..models.common.run import ERROR, Lines
    from ..training import Progress

    if err.is_terminal and not err.is_dumb_terminal:
        return Progress(True, metrics=("loss", ERROR))
    return Lines(lambda text: print(text, file=sys.stderr, flush=True))


def choose(what: str, name: str | None, known: Any) -> None:
    if name is not None and name not in known:
        raise ArgumentError(f"--{what} {name}: it is one of {', '.join(known)}")

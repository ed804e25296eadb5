"""The bar that people see while a network trains, drawn by rich on the terminal's standard error; nothing elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from .callbacks import Callback

if TYPE_CHECKING:
    from .loop import Record, Trainer


class Progress(Callback):
    """A bar of the epochs with the metrics of the last one, the time gone and the time left.

    show: None draws it where standard error is a terminal. metrics: those to show, all where None. Needs rich
    (pip install 'weft[demo]'); without it nothing is drawn.
    """

    def __init__(self, show: bool | None = None, metrics: Collection[str] | None = None):
        self.metrics = metrics
        self.show = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" if show is None else show
        self._bar: Any = None
        self._task: Any = None

    def start(self, trainer: Trainer) -> None:
        if not self.show:
            return
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        except ImportError:
            return
        columns = [
            TextColumn("epoch {task.fields[epoch]:>3}/{task.fields[epochs]}"),
            BarColumn(None),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        done = trainer.epoch + (trainer.in_epoch / len(trainer.source) if len(trainer.source) else 0)
        self._task = self._bar.add_task(
            "", total=trainer.epochs, completed=done, epoch=trainer.epoch, epochs=trainer.epochs,
            said=said(trainer.history[-1], self.metrics) if trainer.history else "",
        )  # fmt: skip

    def step(self, trainer: Trainer) -> None:
        if self._bar is not None and len(trainer.source):
            done = trainer.epoch + trainer.in_epoch / len(trainer.source)
            self._bar.update(self._task, completed=done, epoch=trainer.epoch + 1)

    def epoch(self, trainer: Trainer, record: Record) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.epoch, epoch=trainer.epoch, said=said(record, self.metrics))

    def end(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def said(record: Record, metrics: Collection[str] | None = None) -> str:
    """Metrics of an epoch (all where None) in a few characters each: "loss 0.0312, error 1.94 %"."""
    parts = []
    for name, value in record.items():
        if name in ("epoch", "steps", "seconds") or not isinstance(value, float):
            continue
        if metrics is not None and name not in metrics:
            continue
        parts.append(f"{name} {100 * value:.2f} %" if name.split()[-1] == "error" else f"{name} {value:.4g}")
    return ", ".join(parts)

"""What the terminal shows of a run, as rich tables: the network, what the compiler made of it, the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.models.common.datasets import Data
from weft.models.common.model import Layer, needed
from weft.models.common.run import Session


def console(stderr: bool = False) -> Any:
    """Colours where the terminal has them and NO_COLOR does not forbid them; numbers in text are left as they are."""
    return needed("rich.console").Console(stderr=stderr, highlight=False, soft_wrap=False)


def headline(session: Session) -> str:
    d, m, r = session.data, session.model, session.run
    what = f"{lengths(d.shape)} pixels" if d.images else f"{d.inputs} columns"
    plain = needed("rich.markup").escape  # names may hold brackets
    return (
        f"[bold]{plain(m.name)}[/bold]: {plain(m.title)} ({plain(m.paper)})\n"
        f"[bold]{plain(d.name)}[/bold]: {what}, {targets(d)}; {len(d.training):,} training, "
        f"{len(d.validation):,} validation, {len(d.test):,} test\n"
        f"{r.optimizer}, learning rate {r.learning_rate:g} ({r.schedule}); {r.epochs:,} epoch{'s' * (r.epochs > 1)}, "
        f"minibatches of {r.batch_size:,}, seed {r.seed}"
    )


def targets(d: Data) -> str:
    return f"{len(d.classes)} classes" if d.classes else "a number to predict"


def lengths(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def size(params: Sequence[Any]) -> int:
    return sum(int(np.prod(p.get_value(borrow=True).shape)) for p in params)


def network(session: Session) -> Any:
    table, plain = _table("layer", ">output", ">parameters", "of which"), needed("rich.markup").escape
    for layer in (Layer("input", session.data.shape), *session.network.layers):
        shapes = [f"{p.name} {lengths(p.get_value(borrow=True).shape)}" if p.ndim > 1 else p.name for p in layer.params]
        count = f"{size(layer.params):,}" if layer.params else ""
        table.add_row(*map(plain, (layer.what, lengths(layer.shape), count, ", ".join(shapes))))
    table.add_section()
    table.add_row("in all", "", f"{size(session.network.params):,}", "")
    return table


def compiler(figures: dict[str, dict[str, Any]]) -> Any:
    table = _table("compiled", ">declared", ">rewritten", ">kernels", ">bytes saved a call", ">seconds")
    for name, f in figures.items():
        table.add_row(
            name + " (cached)" * f["cached"], f"{f['declared']:,}", f"{f['rewritten']:,}", f"{f['kernels']:,}",
            amount(f["saved"]), f"{f['seconds']:.2f}",
        )  # fmt: skip
    return table


def amount(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


def _table(*columns: str) -> Any:
    """A table; a column whose name begins with > is aligned to the right."""
    table = needed("rich.table").Table(box=needed("rich.box").SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for c in columns:
        table.add_column(c.lstrip(">"), justify="right" if c.startswith(">") else "left")
    return table

"""Pictures of a run, by matplotlib, without a display: PNG files of about 1200 pixels, readable at half the size."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weft.models.common.model import needed
from weft.models.common.run import ERROR, Session

DPI = 200
BLUE, RED, GREY = "#1f5fa8", "#c23b22", "#666666"


def draw(session: Session, result: Mapping[str, Any], failed: Callable[[str], Any]) -> dict[str, str]:
    """Draws what the model and its data have pictures of; file name -> what it shows.

    A picture that cannot be drawn is left out, and `failed` told why: the result of a run does not hang on it.
    """
    data, net = session.data, session.network
    made: dict[str, str] = {}

    def keep(name: str, what: str, picture: Callable[[Path], None]) -> None:
        path = session.folder / name
        try:
            picture(path)
        except Exception as e:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            why = str(e).partition("\n")[0]
            failed(f"{path} could not be drawn: {type(e).__name__}{': ' * bool(why)}{why}")
        else:
            made[name] = what

    def reconstructed(path: Path) -> None:
        given, seen = session.outputs(data.test.x)
        rows = {"original": data.test.x, "network sees": None if net.seen is None else seen, "network gives": given}
        reconstructions(path, {k: v for k, v in rows.items() if v is not None}, data.shape)

    def confused(path: Path) -> None:
        confusion(path, data.test.t, session.outputs(data.test.x)[0].argmax(axis=1), data.classes)

    def predicted(path: Path) -> None:
        predictions(path, data.test.t, session.outputs(data.test.x)[0])

    curve = partial(learning_curve, history=session.history, result=result)
    keep("learning_curve.png", "loss and validation error by epoch", curve)
    weights = filters_of(session)
    if weights is not None:
        keep("filters.png", "weights of the first layer", partial(filters, weights=weights, shape=data.shape))
    if net.t is None:
        if drawable(data.shape):
            keep("reconstructions.png", "test images, and as the network gives them", reconstructed)
    elif data.classes:
        keep("confusion.png", "true and predicted classes of the test", confused)
    else:
        keep("predictions.png", "true and predicted numbers of the test", predicted)
    return made


def _figure(width: float, height: float) -> Any:
    return needed("matplotlib.figure").Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a glyph that the font lacks is drawn as a box
        figure.savefig(path)


def learning_curve(path: Path, history: list[dict[str, Any]], result: Mapping[str, Any]) -> None:
    epochs = [r["epoch"] for r in history]
    figure = _figure(6, 4.6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    marker = "o" if len(epochs) < 30 else None
    top.plot(epochs, [r["loss"] for r in history], color=BLUE, marker=marker, markersize=3)
    top.set_ylabel("training loss")
    losses = [r["loss"] for r in history]
    if 0 < 10 * min(losses) < max(losses):
        top.set_yscale("log")
    bottom.plot(epochs, [100 * r[ERROR] for r in history], color=BLUE, marker=marker, markersize=3)
    best = result["best epoch"], 100 * result[ERROR]
    bottom.plot(*best, "o", color=RED, label=f"best: epoch {best[0]}, {best[1]:.2f} %")
    test = 100 * result["test error"]
    bottom.axhline(test, color=GREY, linestyle="--", linewidth=1, label=f"test error: {test:.2f} %")
    bottom.set_ylabel("validation error (%)")
    bottom.set_xlabel("epoch")
    bottom.set_ylim(bottom=0)
    bottom.xaxis.get_major_locator().set_params(integer=True)
    bottom.legend(frameon=False)
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    top.set_title(f"{result['model']} on {result['data']}")
    _save(figure, path)


def filters_of(session: Session) -> np.ndarray | None:
    """Weights of the first layer, one unit a column, where they can be shown as images."""
    net, data = session.network, session.data
    chosen = net.filters if net.filters is not None else net.params[0]
    values = chosen.get_value()
    return values if drawable(data.shape) and values.ndim == 2 and len(values) == data.inputs else None


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether examples are images: (height, width), or with one or three planes in front or behind."""
    return len(shape) == 2 or (len(shape) == 3 and bool({shape[0], shape[2]} & {1, 3}))


def _as_image(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(height, width), or (height, width, 3)."""
    a = values.reshape(shape)
    if a.ndim == 3 and shape[0] in (1, 3):
        a = np.moveaxis(a, 0, 2)
    return a[..., 0] if a.shape[2:] == (1,) else a


def _grid(images: list[np.ndarray], columns: int, gap: float) -> np.ndarray:
    """Images side by side, with lines of the value `gap` between them."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    out = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *images[0].shape[2:]), gap)
    for k, image in enumerate(images):
        r, c = divmod(k, columns)
        out[r * (height + 1) :, c * (width + 1) :][:height, :width] = image
    return out


def filters(path: Path, weights: np.ndarray, shape: tuple[int, ...], most: int = 100) -> None:
    """Each filter scaled by its own largest weight; the `most` with the largest norms."""
    values = weights.astype("float64")  # in which squares do not overflow
    known = np.isfinite(values)
    weights = np.where(known, values, 0)
    chosen = np.sort(np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:most])
    scale = np.maximum(np.abs(weights[:, chosen]).max(axis=0), 1e-12)
    images = [_as_image(w, shape) for w in np.where(known, weights, np.nan)[:, chosen].T / scale[:, None]]
    coloured = images[0].ndim == 3
    columns = -(-len(images) // 2) if 4 < len(images) < 15 else int(np.ceil(np.sqrt(len(images))))
    figure = _figure(5.4 if coloured else 6, 5.4 * -(-len(images) // columns) / columns + 0.5)
    axes = figure.subplots()
    if coloured:
        axes.imshow((_grid(images, columns, 1.0) + 1) / 2, interpolation="nearest")
    else:
        shown = axes.imshow(_grid(images, columns, np.nan), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        bar = figure.colorbar(shown, ax=axes, shrink=0.6, ticks=[-1, 0, 1])
        bar.set_label("weight / largest of its unit")
    axes.set_axis_off()
    some = f"{len(images)} of {weights.shape[1]} units" if weights.shape[1] > len(images) else f"{len(images)} units"
    axes.set_title(f"weights of the first layer, {some}", fontsize=10)
    _save(figure, path)


def confusion(path: Path, true: np.ndarray, given: np.ndarray, classes: tuple[str, ...]) -> None:
    n = len(classes)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (true, given), 1)
    # Errors are few beside what is right: colours are by row, and mistakes have a scale of their own.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(n, dtype=bool)
    wrong = np.where(right, 0, share)
    colour = np.where(right, -0.5 * share, wrong / max(wrong.max(), 1e-12) * 0.8)
    width = 6 if n > 4 else 4.4
    figure = _figure(width, width * 0.95)
    axes = figure.subplots()
    axes.imshow(colour, cmap="RdBu_r", vmin=-1, vmax=1)
    small = max(5, 10 - max(0, n - 10) // 2)
    for (r, c), k in np.ndenumerate(counts):
        if k and n <= 30:
            ink = "white" if colour[r, c] > 0.6 else "black"
            axes.text(c, r, str(k), ha="center", va="center", fontsize=small, color=ink)
    rotate = 45 if max(map(len, classes)) > 3 else 0
    axes.set_xticks(range(n), classes, rotation=rotate, ha="right" if rotate else "center", fontsize=small)
    axes.set_yticks(range(n), classes, fontsize=small)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.set_title(f"{int(counts[~right].sum())} of {len(true)} test examples taken for another class", fontsize=10)
    _save(figure, path)


def predictions(path: Path, true: np.ndarray, given: np.ndarray) -> None:
    figure = _figure(4.6, 4.6)
    axes = figure.subplots()
    finite = np.isfinite(given)
    both = np.concatenate([true, given[finite]]).astype("float64")
    low, high = both.min(), both.max()
    axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1, label="equal")
    axes.plot(true, np.where(finite, given, np.nan), "o", color=BLUE, markersize=4, alpha=0.6)
    axes.set_xlabel("true number (standard deviations)")
    axes.set_ylabel("predicted number (standard deviations)")
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    out = int((~finite).sum())
    rest = f", {out} predictions are not finite" if out else ""
    axes.set_title(f"{len(true)} test examples{rest}", fontsize=10)
    _save(figure, path)


def reconstructions(path: Path, rows: Mapping[str, np.ndarray], shape: tuple[int, ...], count: int = 12) -> None:
    """The first test images, a row of what the network sees and gives below them."""
    images = [_as_image(np.clip(x, 0, 1), shape) for values in rows.values() for x in values[:count]]
    columns = len(images) // len(rows)
    figure = _figure(6.4, 0.75 + 0.5 * len(rows))
    axes = figure.subplots()
    axes.imshow(_grid(images, columns, 1.0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    height = images[0].shape[0] + 1
    axes.set_yticks([height * k + (height - 2) / 2 for k in range(len(rows))], list(rows))
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"the first {columns} test images", fontsize=10)
    _save(figure, path)

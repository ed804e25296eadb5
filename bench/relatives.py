"""Random relatives of the fused cases: other sizes, an operation more or less, other association.

A family is a program with slots. The first text of each slot gives the case itself; a relative draws its sizes and, in
one or two slots, another text. So what the compiler does for a case shows on programs that nobody wrote by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cases import Case
from cases_fused import REFERENCE


@dataclass(frozen=True)
class Family:
    """`arrays`: name -> axes, upper case where all elements are positive (between 0.5 and 2). `sizes`: axis -> its
    length in the case, the least and the most of a relative. The last line of `text` gives what is returned;
    of a family with `state` that replaces the first arrays."""

    arrays: dict[str, str]
    sizes: dict[str, tuple[int, int, int]]
    text: str
    slots: dict[str, tuple[str, ...]]
    state: int = 0


FAMILIES = {
    "chain": Family(
        arrays={"x": "n", "y": "n"},
        sizes={"n": (10**6, 300_000, 4 * 10**6)},
        text="{a} * {b} {sum}",
        slots={
            "a": ("m.tanh(0.7 * x + y)", "m.tanh(0.7 * (x + y))", "m.tanh(x - y * y)", "m.tanh(0.7 * x)"),
            "b": ("m.sigmoid(x)", "m.sigmoid(x + 0.1 * y)", "(0.5 + m.sigmoid(x))", "m.sigmoid(m.sqrt(1 + x * x))"),
            "sum": (
                "+ 0.5 * m.exp(-y * y) - x * y",
                "+ (0.5 * m.exp(-y * y) - x * y)",
                "- x * y",
                "+ 0.5 * m.exp(-y * y)",
                "+ 0.5 * m.exp(-y * y) - x * y + x / (1 + y * y)",
            ),
        },
    ),
    "black_scholes": Family(
        arrays={"S": "n", "K": "n", "Y": "n"},
        sizes={"n": (2 * 10**6, 500_000, 4 * 10**6)},
        text="""
            w = 0.25 * m.sqrt(Y)
            d = ({log} + {drift}) / w
            e = d - w
            p = {p}
            q = 0.5 + 0.5 * m.erf(e * 0.70710678)
            paid = K * {discount}
            c = S * p - paid * q
            c, {put}""",
        slots={
            "log": ("m.log(S / K)", "(m.log(S) - m.log(K))", "m.log(S)"),
            "drift": ("0.06125 * Y", "(0.03 * Y + 0.03125 * Y)", "0.06125"),
            "p": ("0.5 + 0.5 * m.erf(d * 0.70710678)", "0.5 * (1 + m.erf(d * 0.70710678))", "m.sigmoid(1.6 * d)"),
            "discount": ("m.exp(-0.03 * Y)", "(1 / (1 + 0.03 * Y))", "m.exp(-(0.03 * Y + 0.001))"),
            "put": ("c - S + paid", "c + (paid - S)", "m.sqrt(1 + (c - S + paid) * (c - S + paid))"),
        },
    ),
    "softmax": Family(
        arrays={"x": "rc"},
        sizes={"r": (4096, 1000, 9000), "c": (1024, 100, 2000)},
        text="""
            z = {z}
            e = {e}
            e / {sum}""",
        slots={
            "z": ("x", "0.5 * x", "m.tanh(x)", "x * x"),
            "e": (
                "m.exp(z - m.max(z, axis=1, keepdims=True))",
                "m.exp(0.7 * (z - m.max(z, axis=1, keepdims=True)))",
                "m.exp(z)",
                "m.exp(z - m.mean(z, axis=1, keepdims=True))",
            ),
            "sum": (
                "m.sum(e, axis=1, keepdims=True)",
                "(1 + m.sum(e, axis=1, keepdims=True))",
                "m.sqrt(m.sum(e * e, axis=1, keepdims=True))",
            ),
        },
    ),
    "layernorm_gelu": Family(
        arrays={"x": "rc", "g": "c", "b": "c"},
        sizes={"r": (4096, 1000, 9000), "c": (1024, 100, 2000)},
        text="""
            d = x - {middle}
            z = d / {root} {scale}
            {out}""",
        slots={
            "middle": ("m.mean(x, axis=1, keepdims=True)", "m.max(x, axis=1, keepdims=True)"),
            "root": (
                "m.sqrt(m.var(x, axis=1, keepdims=True) + 1e-5)",
                "m.sqrt(m.mean(d * d, axis=1, keepdims=True) + 1e-5)",
                "(m.sqrt(m.var(x, axis=1, keepdims=True)) + 1e-3)",
            ),
            "scale": ("* g + b", "* g", "* (1 + g) + b"),
            "out": (
                "0.5 * z * (1 + m.tanh(0.7978846 * (z + 0.044715 * z * z * z)))",
                "z * m.sigmoid(1.702 * z)",
                "0.5 * z * (1 + m.erf(0.70710678 * z))",
                "0.5 * (z + z * m.tanh(z * (0.7978846 + 0.035677407 * (z * z))))",
                "m.maximum(z, 0.1 * z)",
            ),
        },
    ),
    "distances": Family(
        arrays={"x": "nf", "y": "mf"},
        sizes={"n": (1500, 500, 2500), "m": (1500, 500, 2500), "f": (16, 3, 40)},
        text="""
            d = {d}
            s = {s}
            {out}""",
        slots={
            "d": ("x[:, None, :] - y[None, :, :]", "0.5 * x[:, None, :] - y[None, :, :]"),
            "s": ("m.sum(d * d, axis=2)", "m.sum(m.maximum(d, -d), axis=2)", "m.mean(d * d, axis=2)"),
            "out": ("m.sqrt(s)", "m.exp(-0.1 * s)", "s", "1 / (1 + m.sqrt(s))"),
        },
    ),
    "adam": Family(
        arrays={"p": "n", "v": "n", "W": "n", "g": "n"},
        sizes={"n": (10**7, 3 * 10**6, 15 * 10**6)},
        text="""
            h = {h}
            a = 0.9 * v + {first}
            b = 0.999 * W + {second}
            {p}, a, b""",
        slots={
            "h": ("g", "g + 0.01 * p", "m.tanh(g)"),
            "first": ("0.1 * h", "h"),
            "second": ("0.001 * h * h", "0.001 * (h * h)", "0.001 * (h * h + 0.1)"),
            "p": (
                "p - 0.01 * a / (m.sqrt(b) / 0.3 + 1e-8)",
                "p - 0.01 * (a / (m.sqrt(b) + 1e-8))",
                "p - (0.01 * a / (m.sqrt(b) / 0.3 + 1e-8) + 1e-4 * p)",
                "p - 0.01 * a / m.sqrt(b + 1e-8)",
            ),
        },
        state=3,
    ),
}  # fmt: skip


def case(name: str, seed: int, tiny: bool = False) -> Case:
    """The relative of that seed; -1: the case itself, written the same way."""
    family = FAMILIES[name]
    rng = np.random.default_rng([abs(seed), *map(ord, name)])
    chosen = {slot: texts[0] for slot, texts in family.slots.items()}
    sizes = {axis: own for axis, (own, _, _) in family.sizes.items()}
    if seed >= 0:
        for slot in rng.choice(sorted(family.slots), size=min(1 + int(rng.integers(2)), len(chosen)), replace=False):
            chosen[slot] = str(rng.choice(family.slots[slot][1:]))
        sizes = {a: int(np.exp(rng.uniform(np.log(low), np.log(most)))) for a, (_, low, most) in family.sizes.items()}
    if tiny:
        sizes = {axis: 7 + k for k, axis in enumerate(sizes)}
    arrays = {}
    for k, axes in family.arrays.items():
        shape = tuple(sizes[axis] for axis in axes)
        positive = k.isupper()
        arrays[k] = (
            rng.uniform(0.5, 2, shape).astype(np.float32) if positive else rng.standard_normal(shape, np.float32)
        )
    text = family.text.format(**chosen)
    run = program(text, list(arrays))
    reference = _reference(run, arrays, family.state)
    base = [arrays[k] for k in list(arrays)[: family.state]]
    data = {"run": run, "names": list(arrays), "arrays": arrays, "state": family.state}
    lengths = ", ".join(f"{axis} = {n:,}" for axis, n in sizes.items())
    changed = "; ".join(f"{s}: {t}" for s, t in chosen.items() if t != family.slots[s][0])
    title = f"{name}, {f'relative {seed}' if seed >= 0 else 'itself'} ({lengths}{'; ' * bool(changed)}{changed})"
    return Case("expression", "fused", title, data, reference, 1e-3 if family.state else 5e-5, base=base)


def program(text: str, names: list[str]) -> Any:
    """The function (m, arrays...) -> tuple of arrays."""
    *lines, last = [line.strip() for line in text.strip().splitlines()]
    body = "".join(f"    {line}\n" for line in [*lines, f"out = {last}"])
    source = f"def run(m, {', '.join(names)}):\n{body}    return out if isinstance(out, tuple) else (out,)\n"
    space: dict[str, Any] = {}
    exec(source, space)
    return space["run"]


def _reference(run: Any, arrays: dict[str, np.ndarray], state: int) -> list[np.ndarray]:
    """In pieces along the first axis where every array has that: the differences of all pairs are many."""
    given = [a.astype(np.float64) for a in arrays.values()]
    if len({a.shape for a in given}) == 1 and given[0].ndim == 1:
        pieces = [run(REFERENCE, *(a[k : k + (1 << 20)] for a in given)) for k in range(0, len(given[0]), 1 << 20)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    if arrays.keys() == {"x", "y"}:  # all pairs
        x, y = given
        pieces = [run(REFERENCE, x[k : k + 100], y) for k in range(0, len(x), 100)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    return list(run(REFERENCE, *given))

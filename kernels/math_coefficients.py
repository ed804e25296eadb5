"""Prints the polynomial coefficients of weft_math_f32.h. Needs mpmath; nothing imports this file.

Each set is a weighted minimax fit on a Chebyshev grid, found by linear programming (Muller, Elementary Functions, 3rd
edition, 3.3, on such fits).
Coefficients are rounded to float32 one by one from the lowest power up, and the rest is fitted anew after each, so what
rounding one does the following ones take up again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf
from scipy.optimize import linprog

mp.dps = 50
Real = Any  # mpmath carries no types
GRID = 400
SCALE = mpf(2) ** 24


@dataclass(frozen=True)
class Fit:
    """p(x) = sum of c[k] x^k, k in range(terms), on [low, high], with max |weight(x) (target(x) - p(x))| least."""

    name: str
    target: Callable[[Real], Real]
    weight: Callable[[Real], Real]
    low: Real
    high: Real
    terms: int
    single: bool = True  # float32, otherwise float64
    exact: int = 0  # lowest coefficients given by the series and not fitted


def solve(fit: Fit, known: Sequence[Real]) -> list[float]:
    """The free coefficients above the `known` ones: min e with |weight (target - p)| <= e at every point."""
    first, free = len(known), fit.terms - len(known)
    middle, half = (mpf(fit.low) + mpf(fit.high)) / 2, (mpf(fit.high) - mpf(fit.low)) / 2
    grid = [middle - half * mp.cos(mp.pi * (2 * k + 1) / (2 * GRID)) for k in range(GRID)]
    weights = [fit.weight(x) * SCALE for x in grid]
    rest = np.array([float(w * (fit.target(x) - polynomial(known, x))) for w, x in zip(weights, grid, strict=True)])
    basis = np.array([[float(w * x ** (first + k)) for k in range(free)] for w, x in zip(weights, grid, strict=True)])
    size = np.abs(basis).max(axis=0)
    # The unknowns are corrections of a least-squares fit, so that the program is near 1 in scale.
    start = np.linalg.lstsq(basis / size, rest, rcond=None)[0]
    left = np.array([r - float(mp.fdot(row, map(mpf, start / size))) for r, row in zip(rest, basis, strict=True)])
    level = np.abs(left).max()
    columns = basis / size
    ones = np.ones((GRID, 1))
    found = linprog(
        np.r_[np.zeros(free), 1], bounds=[(None, None)] * free + [(0, None)],
        A_ub=np.r_[np.c_[columns, -ones], np.c_[-columns, -ones]], b_ub=np.r_[left, -left] / level, method="highs",
    )  # fmt: skip
    if found.status:
        raise ArithmeticError(f"{fit.name}: {found.message}")
    return list((start + found.x[:free] * level) / size)


def polynomial(coefficients: Sequence[Real], x: Real) -> Real:
    return mp.polyval(list(reversed(coefficients)), x) if coefficients else mpf(0)


def rounded(fit: Fit) -> tuple[list[Real], Real]:
    """All coefficients, as the type holds them, and the largest weighted error they leave."""
    known: list[Real] = []
    while len(known) < fit.terms:
        value = solve(fit, known)[0] if len(known) >= fit.exact else mp.taylor(fit.target, 0, len(known))[-1]
        known.append(mpf(float(np.float32(float(value)))) if fit.single else mpf(float(value)))
    grid = [mpf(fit.low) + (mpf(fit.high) - mpf(fit.low)) * k / 1000 for k in range(1001)]
    worst = max(abs(fit.weight(x) * (fit.target(x) - polynomial(known, x))) for x in grid)
    return known, worst


def odd(f: Callable[[Real], Real], cubic: Real) -> Callable[[Real], Real]:
    """(f(sqrt z) - sqrt z) / (z sqrt z): what x + x^3 P(x^2) needs of P. `cubic` is its limit at 0."""

    def target(z: Real) -> Real:
        if z < mpf(10) ** -14:
            return cubic
        x = mp.sqrt(z)
        return (f(x) - x) / (z * x)

    return target


def odd_weight(f: Callable[[Real], Real]) -> Callable[[Real], Real]:
    return lambda z: z * mp.sqrt(z) / f(mp.sqrt(z)) if z else mpf(0)


def tail(f: Callable[[Real], Real], taken: Sequence[Real], n: int, limit: Real) -> Callable[[Real], Real]:
    """(f(x) - taken(x)) / x^n"""

    def target(x: Real) -> Real:
        if abs(x) < mpf(10) ** -10:
            return limit
        return (f(x) - mp.polyval(list(reversed(taken)), x)) / x**n

    return target


def erf_small(z: Real) -> Real:
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1 if z > mpf(10) ** -14 else 2 / mp.sqrt(PI) - 1


ERFC_ROOT = mpf(float(np.float32(0.210111767)))  # where erfc(a) exp(a^2) is d
LOG2E_F32 = mpf(float(np.float32(1.44269502)))


def erfc_exponent(t: Real) -> Real:
    """log2(erfc(a) / d) + a^2 log2(e) for d = 1 / (a + 9/4) = t + ERFC_ROOT, by t, less 37/8, by log2(e)"""
    d = t + ERFC_ROOT
    a = 1 / d - mpf("2.25")
    return ((mp.log(mp.erfc(a) / d, 2) + LOG2E_F32 * a * a) / t - mpf("4.625")) / LOG2E_F32


def erfc_weight(t: Real) -> Real:
    """Near 0 errors of other kinds are the largest; above 9.2 the results are denormal."""
    a = 1 / (t + ERFC_ROOT) - mpf("2.25")
    return abs(t) * (2 if a < 0.25 else 0.5 if a > 9.2 else 1)


def erfinv_of(w: Real) -> Real:
    """erfinv(x) / x where w = -log(1 - x^2)"""
    if w < mpf(10) ** -14:
        return mp.sqrt(PI) / 2
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


LN2, LN10, PI = mp.log(2), mp.log(10), mp.pi
LOW, HIGH = mpf("0.7071") - 1, mpf("1.4143") - 1  # of m - 1, m between sqrt(1/2) and sqrt(2)
HALF_LN2 = LN2 / 2 * mpf("1.001")


def log_weight(n: int) -> Callable[[Real], Real]:
    return lambda x: x**n / mp.log1p(x) if x else mpf(0)


def logarithm(base: Real) -> Callable[[Real], Real]:
    """log(1 + f/4) / (base f)"""
    return lambda f: mp.log1p(f / 4) / (base * f) if abs(f) > mpf(10) ** -15 else 1 / (4 * base)


def logarithm_weight(base: Real) -> Callable[[Real], Real]:
    return lambda f: base * f / mp.log1p(f / 4) if f else 4 * base


def sine(v: Real) -> Real:
    """sin(r) / r - 1 where r^2 = v + 5/4"""
    r = mp.sqrt(max(v + mpf("1.25"), 0))
    return mp.sin(r) / r - 1 if r > mpf(10) ** -7 else mpf(0)


TAN_MIDDLE = mpf(431) / 1024  # r / tan r of its root is nearly a float


def tangent(v: Real) -> Real:
    """r / tan(r) where r^2 = v + 431/1024"""
    r = mp.sqrt(max(v + TAN_MIDDLE, 0))
    return r / mp.tan(r) if r > mpf(10) ** -7 else mpf(1)


def cube_root(h: Real) -> Real:
    """((1 - h)^(-1/3) - 1) / h"""
    return (1 / mp.cbrt(1 - h) - 1) / h if abs(h) > mpf(10) ** -15 else mpf(1) / 3


FITS = [
    Fit("exp: (exp(r) - 1) / r", tail(mp.exp, [1], 1, 1), lambda x: abs(x) / mp.exp(x), -HALF_LN2, HALF_LN2, 6),
    Fit("expm1: (exp(r) - 1 - r) / r^2", tail(mp.exp, [1, 1], 2, mpf(1) / 2),
        lambda x: abs(x) if x else mpf(0), -HALF_LN2, HALF_LN2, 5),
    Fit("exp2: (2^r - 1) / r", tail(lambda x: mpf(2) ** x, [1], 1, LN2), lambda x: abs(x), -0.5, 0.5, 6),
    Fit("log: (log(1+f) - f) / f^2", tail(mp.log1p, [0, 1], 2, -mpf(1) / 2), log_weight(2), LOW, HIGH, 9),
    Fit("exp2, short: (2^r - 1) / r", tail(lambda x: mpf(2) ** x, [1], 1, LN2), lambda x: abs(x), -0.5, 0.5, 5),
    Fit("log2: log2(1+f/4) / f", logarithm(LN2), logarithm_weight(LN2), 4 * LOW, 4 * HIGH, 9),
    Fit("log10: log10(1+f/4) / f", logarithm(LN10), logarithm_weight(LN10), 4 * LOW, 4 * HIGH, 9),
    Fit("sin on [0, pi/2], r^2 - 5/4", sine, lambda v: 1 / (1 + sine(v)),
        mpf("-1.25"), (PI / 2 * mpf("1.002")) ** 2 - mpf("1.25"), 5),
    Fit("tan on [0, pi/4]: r / tan r, r^2 - 431/1024", tangent, lambda v: 1 / tangent(v),
        -TAN_MIDDLE, (PI / 4 * mpf("1.002")) ** 2 - TAN_MIDDLE, 5),
    Fit("tanh on [0, 0.7]", odd(mp.tanh, -mpf(1) / 3), odd_weight(mp.tanh), 0, mpf("0.7") ** 2, 5),
    Fit("asin on [0, 1/2]", odd(mp.asin, mpf(1) / 6), odd_weight(mp.asin), 0, 0.25, 5),
    Fit("atan on [0, 1]", odd(mp.atan, -mpf(1) / 3), odd_weight(mp.atan), 0, 1, 8),
    Fit("sinh on [0, log(2)/2]", odd(mp.sinh, mpf(1) / 6), odd_weight(mp.sinh), 0, HALF_LN2**2, 3),
    Fit("cosh on [0, log(2)/2]: (cosh(sqrt z) - 1) / z",
        lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z if z > mpf(10) ** -14 else mpf(1) / 2, lambda z: z, 0, HALF_LN2**2, 3),
    Fit("atanh on [0, 0.285]", odd(mp.atanh, mpf(1) / 3), odd_weight(mp.atanh), 0, mpf("0.285") ** 2, 4),
    Fit("cbrt: ((1 - h)^(-1/3) - 1) / h", cube_root, lambda h: abs(h) * mp.cbrt(1 - h), -0.10387, 0.10085, 2),
    Fit("erf on [0, 0.93]: erf(sqrt z) / sqrt z - 1", erf_small, lambda z: 1 / (1 + erf_small(z)),
        0, mpf("0.93") ** 2, 6),
    Fit("erf above: -log2(1 - erf a)", lambda a: -mp.log(mp.erfc(a)) / LN2, lambda a: LN2 * mp.erfc(a) / mp.erf(a),
        mpf("0.93"), 3.95, 7),
    Fit("erfc on [0, 10.1]", erfc_exponent, erfc_weight, 1 / mpf("12.35") - ERFC_ROOT, mpf(4) / 9 - ERFC_ROOT, 9),
    Fit("erfinv, w - 2.5", lambda v: erfinv_of(v + mpf("2.5")), lambda v: 1 / erfinv_of(v + mpf("2.5")), -2.5, 2.51, 9),
    Fit("erfinv, sqrt(w) - 3", lambda v: erfinv_of((v + 3) ** 2), lambda v: 1 / erfinv_of((v + 3) ** 2), -0.77, 1, 9),
    Fit("pow: log2(1+f)/f in double", tail(lambda x: mp.log1p(x) / LN2, [0], 1, 1 / LN2),
        lambda x: LN2 * x / mp.log1p(x) if x else mpf(1), LOW, HIGH, 14, single=False),
]  # fmt: skip


def main() -> None:
    wanted = sys.argv[1:]
    for fit in FITS:
        if wanted and not any(fit.name.startswith(w) for w in wanted):
            continue
        coefficients, error = rounded(fit)
        print(f"{fit.name}  error 2^{mp.nstr(mp.log(error, 2), 5)}")
        for k, c in enumerate(coefficients):
            print(f"  {k:2} " + (f"{float(c):.9g}f" if fit.single else f"{float(c):.17g}"))


if __name__ == "__main__":
    main()

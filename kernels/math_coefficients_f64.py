"""The polynomials of weft_math_f64.h and its companions: minimax by Remez' exchange.

Run it with the names of some, or none for all (minutes); it needs mpmath. It prints the coefficients, lowest first, the
largest relative error, and how many of them stand in the headers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mpmath  # type: ignore
from mpmath import mp, mpf

mp.dps = 70
Real = Callable[[mpf], mpf]
LN2, HALF = mp.log(2), mpf(1) / 2
SLOPE = 2 / mp.sqrt(mp.pi)  # of erf at 0


def remez(f: Real, weight: Real, a: mpf, b: mpf, degree: int, rounds: int) -> tuple[list[mpf], mpf]:
    """The polynomial of the degree with the least max |weight (P - f)| on [a, b], and that maximum."""
    points = degree + 2
    nodes = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * i / (points - 1)) for i in range(points)]
    count = 24 * points
    grid = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + HALF) / count) for i in range(count)]
    values, weights = [f(x) for x in grid], [max(weight(x), mpf("1e-7")) for x in grid]
    best: tuple[list[mpf], mpf] | None = None
    for _ in range(rounds):
        system, right = mp.matrix(points, points), mp.matrix(points, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / max(weight(x), mpf("1e-7"))
            right[i] = f(x)
        solution = mp.lu_solve(system, right)
        poly = [solution[j] for j in range(degree + 1)]
        errors = [(mp.polyval(poly[::-1], x) - v) * w for x, v, w in zip(grid, values, weights, strict=True)]
        largest = max(abs(e) for e in errors)
        if best is None or largest < best[1]:
            best = poly, largest
        peaks: list[int] = []  # the largest error of every run of one sign
        for i, e in enumerate(errors):
            if not peaks or (e > 0) != (errors[peaks[-1]] > 0):
                peaks.append(i)
            elif abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        while len(peaks) > points:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        if len(peaks) < points or largest <= abs(min((errors[p] for p in peaks), key=abs)) * mpf("1.02"):
            break
        nodes = [grid[p] for p in peaks]
    assert best is not None
    return best


def one_by_one(poly: list[mpf], f: Real, weight: Real, a: mpf, b: mpf, first: int) -> list[mpf]:
    """The `first` lowest coefficients rounded one after another, the others fitted anew (least squares) after each:
    they take up what rounding changed."""
    count = 4 * len(poly)
    grid = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + HALF) / count) for i in range(count)]
    values, weights = [f(x) for x in grid], [weight(x) for x in grid]
    for n in range(1, first + 1):
        poly[n - 1] = mpf(float(poly[n - 1]))
        rest = [(v - mp.polyval(poly[n - 1 :: -1], x)) * w for x, v, w in zip(grid, values, weights, strict=True)]
        basis = mp.matrix([[w * x**j for j in range(n, len(poly))] for x, w in zip(grid, weights, strict=True)])
        found = mp.lu_solve(basis.T * basis, basis.T * mp.matrix(rest))
        poly[n:] = list(found)
    return poly


def odd(f: Real, first: mpf, third: mpf | None = None) -> tuple[Real, Real]:
    """P(z), z = x^2, of f(x) = first x + x^3 P, or with a third term x^5 P; the weight that makes errors relative."""
    power, known = (3, 0) if third is None else (5, third)

    def p(z: mpf) -> mpf:
        x = mp.sqrt(max(z, mpf(10) ** -18))
        return (f(x) - first * x - known * x**3) / x**power

    def weight(z: mpf) -> mpf:
        x = mp.sqrt(max(z, mpf(10) ** -18))
        return x**power / abs(f(x))

    return p, weight


def away(f: Real) -> Real:
    """f, next to 0 where it has no formula at 0."""
    return lambda x: f(x if abs(x) > mpf(10) ** -18 else mpf(10) ** -18)


_inverse: dict[mpf, mpf] = {}


def erfinv_ratio(w: mpf) -> mpf:
    """erfinv(x) / x with w = -log(1 - x^2), by Newton's method on erf, or on erfc near 1."""
    if w < mpf(10) ** -15:
        return 1 / SLOPE
    if w in _inverse:
        return _inverse[w]
    q = mp.exp(-w)
    rest = q / (1 + mp.sqrt(1 - q))
    x = 1 - rest
    y = mp.sqrt(w) * mpf("0.9") if w > 1 else x * mpf("0.886")
    for _ in range(60):
        miss = (mp.erfc(y) - rest if x > HALF else x - mp.erf(y)) / (SLOPE * mp.exp(-y * y))
        step = miss / (1 + miss * y) if abs(miss * y) < HALF else miss / 2
        y += step
        if abs(step) < mpf(10) ** -50 * y:
            break
    _inverse[w] = y / x
    return y / x


CENTER = mpf("3.0625")  # at it (x + CENTER) e^(x^2) erfc(x) is a double but for 2^-57


def argument(t: mpf) -> mpf:
    """x where t = (x - CENTER) / (x + CENTER)"""
    return max(CENTER * (1 + t) / (1 - t), mpf(10) ** -25)


def erfcx_part(t: mpf) -> mpf:
    """(x + CENTER) e^(x^2) erfc(x)"""
    x = argument(t)
    return (x + CENTER) * mp.exp(x * x) * mp.erfc(x)


def erf_exponent(t: mpf) -> mpf:
    """(-log(erfc(x)) - SLOPE x) / x^2"""
    x = argument(t)
    return (-mp.log(mp.erfc(x)) - SLOPE * x) / x**2


def erf_weight(t: mpf) -> mpf:
    x = argument(t)
    return x**2 * mp.erfc(x) / mp.erf(x)


def tail(low: int, high: int, middle: str) -> tuple[Real, Real, mpf, mpf, int]:
    m = mpf(middle)
    return (
        lambda u: erfinv_ratio((u + m) ** 2),
        lambda u: 1 / erfinv_ratio((u + m) ** 2),
        mp.sqrt(mpf(low)) - m,
        mp.sqrt(mpf(high)) - m,
        6,
    )


R = LN2 / 2 * mpf("1.0001")
ROOT = mp.sqrt(2)
ATANH = odd(mp.atanh, mpf(1))
# name: (function, weight, from, to, rounds of the exchange), degree
FITS: dict[str, tuple[tuple[Real, Real, mpf, mpf, int], int]] = {
    "expm1": (
        (
            away(lambda r: (mp.exp(r) - 1 - r - r * r / 2) / r**3),
            away(lambda r: abs(r**3 / mp.expm1(r))),
            -R,
            R,
            12,
        ),
        8,
    ),
    "exp2": ((away(lambda r: mp.expm1(r * LN2) / r), abs, -mpf(".50001"), mpf(".50001"), 12), 10),
    "log": (
        (
            away(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3),
            away(lambda f: abs(f**3 / mp.log1p(f))),
            ROOT / 2 - 1 - mpf("1e-6"),
            ROOT - 1 + mpf("1e-6"),
            12,
        ),
        18,
    ),
    "log_quotient": ((*odd(lambda s: 2 * mp.atanh(s), mpf(2)), mpf(0), ((3 - 2 * ROOT) * mpf("1.00001")) ** 2, 12), 6),
    "sin": ((*odd(mp.sin, mpf(1)), mpf(0), (mp.pi / 2 * mpf("1.00001")) ** 2, 12), 7),
    "rcot": (
        (
            away(lambda z: (mp.sqrt(z) / mp.tan(mp.sqrt(z)) - 1) / z),
            lambda z: z,
            mpf(0),
            (mp.pi / 4 * mpf("1.00001")) ** 2,
            12,
        ),
        8,
    ),
    "atan": ((*odd(mp.atan, mpf(1)), mpf(0), mpf(1), 12), 19),
    "asin": ((*odd(mp.asin, mpf(1)), mpf(0), mpf(".25"), 12), 12),
    "sinh": ((*odd(mp.sinh, mpf(1)), mpf(0), R * R, 12), 4),
    "cosh": ((away(lambda z: (mp.cosh(mp.sqrt(z)) - 1 - z / 2) / z**2), lambda z: z**2, mpf(0), R * R, 12), 3),
    "atanh": ((*ATANH, mpf(0), mpf(".235") ** 2, 12), 7),
    "pow": ((*odd(mp.atanh, mpf(1), mpf(1) / 3), mpf(0), ((3 - 2 * ROOT) * mpf("1.00001")) ** 2, 12), 7),
    "cbrt": (
        (away(lambda h: ((1 - h) ** (-mpf(1) / 3) - 1) / h), abs, -mpf("0.1021831706"), mpf("0.1021831706"), 12),
        3,
    ),
    "erf": ((erf_exponent, erf_weight, mpf(-1), (mpf("5.95") - CENTER) / (mpf("5.95") + CENTER), 9), 15),
    "erfc": (
        (erfcx_part, lambda t: 1 / erfcx_part(t), mpf(-1), (mpf("27.3") - CENTER) / (mpf("27.3") + CENTER), 8),
        22,
    ),
    "erfinv": (
        (
            lambda u: erfinv_ratio(max(u + mpf("2.5"), mpf(0))),
            lambda u: 1 / erfinv_ratio(max(u + mpf("2.5"), mpf(0))),
            mpf("-2.5"),
            mpf("2.5"),
            6,
        ),
        20,
    ),
    "erfinv5": (tail(5, 15, "3.046875"), 20),
    "erfinv15": (tail(15, 37, "4.984375"), 18),
}


ONE_BY_ONE = ("erf", "erfc")  # what rounding each coefficient alone does would be felt


def main(names: list[str]) -> None:
    headers = "".join(p.read_text() for p in Path(__file__).parent.glob("weft_*_f64.h"))
    for name in names or FITS:
        (f, weight, a, b, rounds), degree = FITS[name]
        poly, error = remez(f, weight, a, b, degree, rounds)
        if name in ONE_BY_ONE:
            poly = one_by_one(poly, f, weight, a, b, 8)
            points = [a + (b - a) * i / 500 for i in range(501)]
            error = max(abs(mp.polyval([mpf(float(c)) for c in poly[::-1]], x) - f(x)) * weight(x) for x in points)
        texts = [repr(float(c)) for c in poly]
        there = sum(t.lstrip("-") in headers for t in texts)
        print(f"{name}: error 2^{float(mpmath.log(error, 2)):.1f}, {there} of {len(texts)} in the headers")
        print("  " + ", ".join(texts))


if __name__ == "__main__":
    main(sys.argv[1:])

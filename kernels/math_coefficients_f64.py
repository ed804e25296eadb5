"""The polynomials of weft_math_f64.h and its companions: minimax by Remez' exchange; the tables of erf and erfc.

Run it with the names of some, or none for all (minutes); it needs mpmath. It prints the coefficients, lowest first, the
largest relative error, and how many of them stand in the headers. `tables` writes those, in weft_tables_f64.h and
weft_erf_table_f64.h.
"""

from __future__ import annotations

import math
import struct
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


# ---- erf and erfc around the points r = i STEP: see weft_erf_f64.h ----

# Of its neighbours one that makes erf(r) and the slope there, for i = 1 to 4, doubles but for less than a tenth of an
# ulp: erf(x) next to 0 is felt to depend on them (Gal's accurate tables, ACM TOMS 17, 1991). i STEP is exact.
STEP = mpf(float.fromhex("0x1.000011396p-7"))
CELLS = {"erf": 768, "erfc": 1023}
Terms = dict[tuple[int, int], mpf]
# The degree in w of the coefficients of v^0, v^1, ... of P(w, v), which is D / d.
SERIES = {"erf_series": (mp.erf, CELLS["erf"], (5, 3, 1)), "erfc_series": (mp.erfc, CELLS["erfc"], (7, 4, 2))}


def slope(r: mpf) -> mpf:
    return SLOPE * mp.exp(-r * r)


def taylor(j: int, m: int) -> mpf:
    """What v^j w^m have in P: the integral of e^(-w s) e^(-v s^2) for s from 0 to 1, expanded."""
    return mpf((-1) ** (j + m)) / (mp.factorial(j) * mp.factorial(m) * (2 * j + m + 1))


def series(f: Real, last: int, degrees: tuple[int, ...]) -> tuple[Terms, mpf]:
    """P with the least error, relative to f, that Lawson's weights find on a sample of the cells; P(0, 0) is 1."""
    chosen = [(j, m) for j, degree in enumerate(degrees) for m in range(degree + 1) if j + m > 0]
    others = [(j, m) for j in range(8) for m in range(20) if j + m > 0 and (j, m) not in chosen]
    rows, rest = [], []
    for i in sorted({0, 1, 2, 3, 4, 6, 8, *(last * k // 40 for k in range(41))}):
        for k in range(10):
            r, d = i * STEP, STEP * mpf("0.5001") * mp.cos(mp.pi * (k + HALF) / 10)
            if r + d <= 0:
                continue
            w, v, felt = 2 * r * d / STEP, (d / STEP) ** 2, slope(r) * d / f(r + d)
            rows.append([felt * v**j * w**m for j, m in chosen])
            rest.append(felt * mp.fsum(taylor(j, m) * STEP ** (m + 2 * j) * v**j * w**m for j, m in others))
    shares, size, least = [mpf(1)] * len(rows), len(chosen), mpf("inf")
    for _ in range(30):
        scaled = [[q * a for a in row] for q, row in zip(shares, rows, strict=True)]
        system = mp.matrix(size, size)
        for a in range(size):
            for b in range(a, size):
                system[a, b] = system[b, a] = mp.fdot((s[a], row[b]) for s, row in zip(scaled, rows, strict=True))
        right = mp.matrix([mp.fdot((s[a], t) for s, t in zip(scaled, rest, strict=True)) for a in range(size)])
        found = mp.lu_solve(system, right)
        misses = [abs(mp.fdot(zip(row, found, strict=True)) - t) for row, t in zip(rows, rest, strict=True)]
        if max(misses) < least:
            least, best = max(misses), list(found)
        shares = [q * (miss / max(misses) + mpf("0.001")) for q, miss in zip(shares, misses, strict=True)]
        shares = [q / max(shares) for q in shares]
    corrections = dict(zip(chosen, best, strict=True))
    terms: Terms = {(0, 0): mpf(1)}
    for j, m in chosen:
        terms[j, m] = taylor(j, m) + corrections[j, m] / STEP ** (m + 2 * j)
    return terms, least


ERF_TABLE = """/* weft_erf_table_f64.h: erf, erfc and their slope at multiples of WEFT_ERF_STEP_f64_.
 *
 * Written by math_coefficients_f64.py; every value is the nearest double. The tables are as long as what indexes them,
 * ten bits, can ask for: also those of a NaN.
 */
#ifndef WEFT_ERF_TABLE_F64_H
#define WEFT_ERF_TABLE_F64_H

#define WEFT_ERF_STEP_f64_ {step}

{tables}
#endif
"""
OTHER_TABLES = """/* weft_tables_f64.h: the tables of weft_math_f64.h. Written by math_coefficients_f64.py. */
#ifndef WEFT_TABLES_F64_H
#define WEFT_TABLES_F64_H

{tables}
#endif
"""


def in_c(comment: str, name: str, values: list[float], size: str = "") -> str:
    texts = [value.hex() for value in values]
    lines = [", ".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    return f"/* {comment} */\nWEFT_TABLE double {name}[{size or len(values)}] = {{\n  " + ",\n  ".join(lines) + "};\n"


def off(value: mpf) -> mpf:
    """How far a number is from a double, in its last places."""
    return abs(value - mpf(float(value))) / mpf(math.ulp(float(value)))


def erf_tables() -> str:
    def at(f: Real, last: int) -> list[float]:
        return [float(f(i * STEP)) for i in range(last + 1)]

    parts = [
        in_c("erf(i step)", "WEFT_ERF_f64_", at(mp.erf, CELLS["erf"]), "1024"),
        in_c("erfc(i step)", "WEFT_ERFC_f64_", at(mp.erfc, CELLS["erfc"])),
        in_c("2 / sqrt(pi) e^-(i step)^2", "WEFT_ERF_SLOPE_f64_", at(slope, CELLS["erfc"])),
    ]
    return ERF_TABLE.replace("{step}", float(STEP).hex()).replace("{tables}", "\n".join(parts))


def tangent(i: int) -> tuple[float, float]:
    """Two doubles whose quotient is tan(i pi / 64) but for 2^-60: the smaller one is all but exact by choice of the
    larger. Of that the mantissa decides how much sums with it lose, relatively. What is 0 has the sign that the sums
    for arguments of 0 need."""
    if i in (0, 32):
        return (-0.0, 1.0) if i == 0 else (1.0, 0.0)
    steep = 16 < i < 48
    ratio = mp.cot(i * mp.pi / 64) if steep else mp.tan(i * mp.pi / 64)
    start = 1.65 if steep else 1.99 if i in (1, 2, 62, 63) else 1.9
    large = start if i in (16, 48) else min((start + k * 2.0**-52 for k in range(2000)), key=lambda c: off(c * ratio))
    small = float(large * ratio)
    return (large, small) if steep else (small, large)


# Cells of the logarithms: 2^46 neighbouring doubles each, 64 from BASE to 2 BASE; 1 lies amidst the cell ONE.
ONE = 37
BASE = 0x3FF0000000000000 - (ONE * 3 + 2) * 2**46 // 3


def log_cell(i: int, unit: mpf) -> tuple[float, float]:
    """1 / c and T = log(c) - (i - ONE) log(2) / 64, logarithms as of unit, for a c about the middle of the cell. It is
    chosen to make T a multiple of 2^-42 but for 2^-60: sums with it are exact."""
    if i == ONE:
        return 1.0, 0.0
    ends = [struct.unpack("<d", struct.pack("<Q", BASE + k * 2**46))[0] for k in (i, i + 1)]
    turn = mpf(i - ONE) * LN2 / 64 / unit
    start = mp.nint((mp.log(sum(ends) / mpf(2)) / unit - turn) * 2**42)
    found = []
    for n in range(-2500, 2500):
        t = (start + n) / mpf(2) ** 42
        inverse = float(mp.exp(-(t + turn) * unit))
        found.append((abs(t + turn + mp.log(inverse) / unit), inverse, float(t)))
    return min(found)[1:]


def other_tables() -> str:
    pairs = [tangent(i) for i in range(64)]
    logs = {"": mpf(1), "2": LN2, "10": mp.log(10)}
    cells = {name: [log_cell(i, unit) for i in range(64)] for name, unit in logs.items()}
    parts = [
        in_c("proportional to sin(i pi / 64) ...", "WEFT_TAN_SIN_f64_", [s for s, _ in pairs]),
        in_c("... and to cos(i pi / 64)", "WEFT_TAN_COS_f64_", [c for _, c in pairs]),
    ]
    for name, rows in cells.items():
        inverse, low = f"WEFT_LOG{name}_INVERSE_f64_", f"WEFT_LOG{name}_f64_"
        parts.append(in_c("1 / c, c amidst a cell ...", inverse, [r for r, _ in rows]))
        parts.append(in_c(f"... and log{name}(c) - (i - 37) log{name}(2) / 64", low, [t for _, t in rows]))
    return OTHER_TABLES.replace("{tables}", "\n".join(parts))


def erfc_far(z: mpf) -> mpf:
    """(x sqrt(pi) e^(x^2) erfc(x) - 1) / z with x = 1 / sqrt(pi z)"""
    x = 1 / mp.sqrt(mp.pi * z)
    return (x * mp.sqrt(mp.pi) * mp.exp(x * x) * mp.erfc(x) - 1) / z


def tail(low: int, high: int, middle: str) -> tuple[Real, Real, mpf, mpf, int]:
    m = mpf(middle)
    return (
        lambda u: erfinv_ratio((u + m) ** 2),
        lambda u: 1 / erfinv_ratio((u + m) ** 2),
        mp.sqrt(mpf(low)) - m,
        mp.sqrt(mpf(high)) - m,
        6,
    )


def log_part(unit: mpf) -> tuple[Real, Real, mpf, mpf, int]:
    """(log(1 + f) - f + f^2 / 2) / f^3 over unit; the least results are those of f near 1/128 and less"""
    return (
        away(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3 / unit),
        away(lambda f: f * f * unit),
        -mpf(1) / 128,
        mpf(1) / 128,
        12,
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
    "log": (log_part(mpf(1)), 4),
    "log_quotient": ((*odd(lambda s: 2 * mp.atanh(s), mpf(2)), mpf(0), ((3 - 2 * ROOT) * mpf("1.00001")) ** 2, 12), 6),
    "log2": (log_part(LN2), 4),
    "log10": (log_part(mp.log(10)), 4),
    "sin": ((*odd(mp.sin, mpf(1)), mpf(0), (mp.pi / 2 * mpf("1.00001")) ** 2, 12), 7),
    "tan": ((*odd(mp.tan, mpf(1)), mpf(0), (mp.pi / 128 * mpf("1.0001")) ** 2, 12), 3),
    "atan": ((*odd(mp.atan, mpf(1)), mpf(0), mpf(1), 12), 19),
    "asin": ((*odd(mp.asin, mpf(1)), mpf(0), mpf(".25"), 12), 12),
    "sinh": ((*odd(mp.sinh, mpf(1)), mpf(0), R * R, 12), 4),
    "cosh": ((away(lambda z: (mp.cosh(mp.sqrt(z)) - 1 - z / 2) / z**2), lambda z: z**2, mpf(0), R * R, 12), 3),
    "atanh": ((*ATANH, mpf(0), mpf(".235") ** 2, 12), 7),
    "pow": ((*odd(mp.atanh, mpf(1), mpf(1) / 3), mpf(0), ((3 - 2 * ROOT) * mpf("1.00001")) ** 2, 12), 7),
    "root": ((away(lambda h: ((1 - h) ** (-HALF) - 1) / h), abs, -mpf("0.07002"), mpf("0.06766"), 12), 2),
    "cbrt": (
        (away(lambda h: ((1 - h) ** (-mpf(1) / 3) - 1) / h), abs, -mpf("0.1021831706"), mpf("0.1021831706"), 12),
        3,
    ),
    "erfc_far": (
        (erfc_far, lambda z: z, 1 / (mp.pi * mpf("27.3") ** 2), 1 / (mp.pi * mpf("7.98") ** 2), 12),
        7,
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


def main(names: list[str]) -> None:
    here = Path(__file__).parent
    if "tables" in names:
        (here / "weft_erf_table_f64.h").write_text(erf_tables())
        (here / "weft_tables_f64.h").write_text(other_tables())
    headers = "".join(p.read_text() for p in here.glob("weft_*_f64.h"))
    for name in names or [*FITS, *SERIES]:
        if name in FITS:
            (f, weight, a, b, rounds), degree = FITS[name]
            poly, error = remez(f, weight, a, b, degree, rounds)
            found = [("", poly)]
        elif name in SERIES:
            terms, error = series(*SERIES[name])
            count = len(SERIES[name][2])
            in_i = {(j, m): c * (2 * STEP) ** m for (j, m), c in terms.items()}  # in terms of i d, not w
            found = [(f"v^{j}: ", [c for (k, _), c in in_i.items() if k == j]) for j in range(count)]
        else:
            continue
        texts = [repr(float(c)) for _, poly in found for c in poly]
        there = sum(t.lstrip("-") in headers for t in texts)
        print(f"{name}: error 2^{float(mpmath.log(error, 2)):.1f}, {there} of {len(texts)} in the headers")
        for start, poly in found:
            print("  " + start + ", ".join(repr(float(c)) for c in poly))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The contract of docs/numerics.md over the programs of numerics_programs.py: equal bits, by whatever built and run."""

from __future__ import annotations

import functools
import os
import platform
from typing import Any

import numerics_builds as builds
import numerics_programs
import numerics_run
import numpy as np
import pytest
from numerics_builds import BUILDS, THREADS, WITH_FMA, WITHOUT_FMA, Build
from test_golden import sanitizers

x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the flags are those of x86-64")
ALL = list(numerics_programs.PROGRAMS)


def agree(want: dict[str, Any], found: dict[str, Any], what: str = "") -> None:
    wrong = builds.differences(want, found, what)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])


def test_there_are_two_hundred() -> None:
    assert len(ALL) >= 200 and set(builds.sample(40)) < set(ALL) and len(builds.sample(40)) == 40


def test_sample() -> None:
    """One to eight threads, a row alone and in its batch; AVX2 beside what the CPU has."""
    names = builds.sample(40)
    jobs: list[tuple[Build, Any, Any]] = [(Build("gcc"), names, THREADS)]
    if not BUILDS["gcc AVX2"].missing:
        jobs.append((BUILDS["gcc AVX2"], names, (2,)))
    reports = builds.run_all(jobs)
    for found in reports:
        agree(reports[0], found)


@x86
def test_complex_numbers_in_vectors() -> None:
    """gcc 12 leaves out the rounding of products where it vectorises a difference beside a sum."""
    names = ["chain complex, wide", "chain complex, signs", "chain complex of parts, wide", "dot complex64"]
    jobs = [(Build("gcc"), names, (1,)), (Build("gcc", builds.PLAIN), names, (1,))]
    agree(*builds.run_all(jobs))


@functools.cache
def reference(build: str) -> dict[str, Any]:
    return builds.halves(BUILDS[build], ALL, THREADS)


@x86
@pytest.mark.slow
@pytest.mark.parametrize("build", WITH_FMA)
def test_with_fma(build: str) -> None:
    first = next(iter(WITH_FMA))
    agree(
        reference(first),
        reference(first) if build == first else builds.halves(BUILDS[build], ALL, (2,)),
        f" by {build}",
    )


@x86
@pytest.mark.slow
@pytest.mark.parametrize("build", WITHOUT_FMA)
def test_without_fma(build: str) -> None:
    first = next(iter(WITHOUT_FMA))
    agree(
        reference(first),
        reference(first) if build == first else builds.halves(BUILDS[build], ALL, (2,)),
        f" by {build}",
    )


@pytest.mark.slow
def test_threads_by_the_environment() -> None:
    """WEFT_THREADS is the count where a program sets none."""
    names = [n for n in ALL if n.startswith(("reduce", "dot", "layer"))][::4]
    want = builds.run(Build("gcc"), names, (1,))
    for threads in ("1", "3"):
        agree(want, builds.run(Build("gcc"), names, (0,), WEFT_THREADS=threads), f" with WEFT_THREADS={threads}")


@pytest.mark.slow
def test_sanitized() -> None:
    """Programs, the kernels library and the pool without an access out of bounds or undefined behaviour; and, being
    built by other optimisations, with the bits of the usual build."""
    have = sanitizers()
    if have is None:
        pytest.skip("no compiler with libasan")
    flags = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all -g"
    names = builds.sample(50, seed=1)
    found = builds.halves(
        Build("gcc", flags), names, (3,),
        LD_PRELOAD=have[1], ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1",
    )  # fmt: skip
    agree({n: r for n, r in reference("gcc").items() if n in names}, found, " sanitized")


# Faults that have to show


def test_contraction_is_seen() -> None:
    names = ["chain sums of products", "layer norm of rows"]
    if Build("gcc", "", "fma").missing:
        pytest.skip("the compiler has no fma to form")
    want, found = builds.run_all([(Build("gcc"), names, (1,)), (Build("gcc", "-ffp-contract=fast"), names, (1,))])
    assert {line.split(",")[0] for line in builds.differences(want, found)} == set(names)


def test_a_sum_in_another_order_is_seen() -> None:
    p = numerics_programs.PROGRAMS["reduce sum of rows"]()
    ours = numerics_run.results(p, numerics_run.function_of(p))
    for arguments, results in list(zip(p.calls, ours, strict=True))[-4:]:
        for x, total in zip(arguments, results, strict=True):
            np.testing.assert_allclose(total, x.sum(1), rtol=1e-3)
            assert numerics_run.digest(total) != numerics_run.digest(x.sum(1))


def test_an_error_is_seen() -> None:
    good = {"a": {"threads": {"1": [["x"]]}, "rows": []}}
    assert builds.differences(good, {"a": {"error": "no"}}) == ["a: no"]
    assert builds.differences(good, {"a": {"threads": {"1": [["x"]], "2": [["y"]]}, "rows": []}})
    assert builds.differences(good, {"a": {"threads": {"1": [["x"]]}, "rows": ["call 0, output 0, row 0"]}})
    assert not builds.differences(good, good)


def test_a_hash_is_of_all_that_a_result_is() -> None:
    a = np.array([[1.0, np.nan]])
    other_nan = np.array([[1.0, -np.nan]])
    other_nan.view(np.uint64)[0, 1] ^= 5
    assert numerics_run.digest(a) == numerics_run.digest(other_nan)
    different = [a.T, a.astype("f"), np.array([[1.0, np.inf]]), a[0], np.array([[1 + 2.0**-52, np.nan]])]
    assert len({numerics_run.digest(b) for b in (a, *different)}) == 6
    zeros = np.zeros(2), -np.zeros(2)
    assert numerics_run.digest(zeros[0]) != numerics_run.digest(zeros[1])
    assert numerics_run.digest(zeros[0] + 0j) != numerics_run.digest(np.conj(zeros[0] + 0j))


if __name__ == "__main__":  # what differs, build by build: a table to read while numerics are worked on
    os.environ.setdefault("WEFT_THREADS", "2")
    for family in (WITH_FMA, WITHOUT_FMA):
        for key, b in family.items():
            if b.missing:
                print(f"{key}: {b.missing}")
                continue
            lines = builds.differences(reference(next(iter(family))), builds.halves(b, ALL, (2,)))
            print(f"{key}: {len(lines)} differences", *lines, sep="\n  ")

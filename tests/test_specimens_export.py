"""A training step as C: its source, kernels/ and a plain main, against the same loop in Python."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.build import toolchain
from weft.runtime.abi import HEADERS

# argv: the arrays (inputs, constants, states), the file for the states' last values. It runs 100 steps.
MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "weft_abi.h"
#include "weft_pool.h"

int32_t weft_main(weft_call *call);

static int64_t number(FILE *f) {
  int64_t n;
  if (fread(&n, 8, 1, f) != 1) exit(10);
  return n;
}

static void array(FILE *f, weft_array *a, int writable) {
  int64_t ndim = number(f);
  for (int64_t k = 0; k < ndim; k++) a->dims[k] = number(f);
  int64_t bytes = number(f);
  a->data = aligned_alloc(64, (size_t)(bytes + 64) & ~(size_t)63);
  a->capacity = writable ? bytes : 0;
  if (bytes && fread(a->data, 1, (size_t)bytes, f) != (size_t)bytes) exit(11);
}

int main(int argc, char **argv) {
  if (argc != 3) return 12;
  FILE *f = fopen(argv[1], "rb");
  if (!f) return 13;
  int64_t inputs = number(f), states = number(f), outputs = number(f), segments = number(f);
  volatile int32_t stop = 1;
  weft_call call = {0};
  call.inputs = calloc((size_t)inputs + 1, sizeof(weft_array));
  call.outputs = calloc((size_t)outputs + 1, sizeof(weft_array));
  call.states = calloc((size_t)states + 1, sizeof(weft_state *));
  call.segments = calloc((size_t)segments + 1, sizeof(weft_segment));
  for (int64_t k = 0; k < inputs; k++) array(f, &call.inputs[k], 0);
  for (int64_t k = 0; k < states; k++) {
    call.states[k] = calloc(1, sizeof(weft_state));
    array(f, &call.states[k]->now, 1);
  }
  fclose(f);
  call.parallel_for = weft_parallel_for;
  call.stop = &stop;
  call.threads = weft_pool_threads();

  void *first = call.states[0]->now.data;
  if (weft_main(&call) != WEFT_STOPPED) return 14; /* stopped before the first step: nothing has changed */
  if (call.states[0]->now.data != first) return 15;
  stop = 0;
  for (int step = 0; step < 100; step++) {
    void *now = call.states[0]->now.data;
    if (weft_main(&call) != WEFT_OK) return 16;
    const void *after = call.states[0]->now.data, *other = call.states[0]->spare.data;
    if (after != now && other != now) return 17; /* written in place, or swapped with the spare buffer */
    if (step % 25 == 24) printf("%.17g\n", *(double *)call.outputs[0].data); /* the output's buffer is used again */
  }

  f = fopen(argv[2], "wb");
  for (int64_t k = 0; k < states; k++) {
    const weft_array *a = &call.states[k]->now;
    int64_t bytes = 8;
    for (int64_t d = 0; d < 2; d++) bytes *= a->dims[d] ? a->dims[d] : 1;
    fwrite(a->data, 1, (size_t)bytes, f);
  }
  return fclose(f) ? 18 : 0;
}
"""


def packed(a: np.ndarray) -> bytes:
    a = np.ascontiguousarray(a).reshape(a.shape)
    return struct.pack(f"<{a.ndim + 2}q", a.ndim, *a.shape, a.nbytes) + a.tobytes()


def test_training_step_as_c_program(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, labels = T.dmatrix("x"), T.lvector("labels")
    shapes = {"w": (20, 30), "b": (30,), "v": (30, 7), "c": (7,)}
    params = [weft.shared(rng.normal(size=s) * 0.2, name=n) for n, s in shapes.items()]
    speeds = [weft.shared(np.zeros(s), name=f"speed of {n}") for n, s in shapes.items()]
    w, b, v, c = params
    hidden = T.tanh(T.dot(x, w) + b)
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(hidden, v) + c), labels).mean()
    updates: list = []
    for p, s, g in zip(params, speeds, weft.grad(cost, params), strict=True):
        updates += [(s, 0.9 * s - 0.1 * g), (p, p + 0.9 * s - 0.1 * g)]
    f = weft.function([x, labels], cost, updates=updates)
    data = [rng.normal(size=(50, 20)), rng.integers(0, 7, 50)]

    generated = f.stages.generated
    assert not generated.library and not generated.host_calls
    storages, constants = f.storages, f.executor.constants
    head = struct.pack("<4q", len(data) + len(constants), len(storages), 1, generated.segments)
    (tmp_path / "in").write_bytes(head + b"".join(map(packed, [*data, *constants, *(s.array() for s in storages)])))

    chain = toolchain.find()
    if "clang" in chain.version.splitlines()[0]:
        pytest.skip("compiled by gcc's flags")
    sources = []
    for name, text in [*generated.units, ("main.c", MAIN)]:
        (tmp_path / name).write_text(text)
        sources.append(str(tmp_path / name))
    sources += [str(HEADERS / "weft_library.c"), str(HEADERS / "weft_pool.c")]
    command = [
        *chain.command,
        *chain.flags,
        "-Wall",
        "-Werror",
        "-I",
        str(HEADERS),
        *sources,
        "-o",
        str(tmp_path / "train"),
        "-lm",
        "-lpthread",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [str(tmp_path / "train"), str(tmp_path / "in"), str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr)

    costs = [float(f(*data)) for _ in range(100)]
    assert costs[99] < costs[0] / 2
    assert [float(t) for t in done.stdout.split()] == costs[24::25]
    assert (tmp_path / "out").read_bytes() == b"".join(s.array().tobytes() for s in storages)

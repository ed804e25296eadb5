"""Runs the CUDA text of a compiled function on the CPU, through kernels/emulation.h."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.compiler.codegen import scalar
from weft.compiler.codegen.cuda_kernel import HEADER, CudaKernel, cuda_source
from weft.compiler.ir.dtypes import numpy_dtype
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Node, region

HEADERS = Path(__file__).resolve().parents[1] / "kernels"
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-fwrapv", "-x", "c++", "-DWEFT_CUDA", "-shared", "-fPIC"]
WARNINGS = ["-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-Werror"]
# AddressSanitizer, say, in a process that preloads its library.
EXTRA = os.environ.get("WEFT_TEST_EMULATION_FLAGS", "").split()


def launcher(kernel: CudaKernel) -> str:
    """C functions that start each launch of a kernel, from arrays of its arguments."""
    n = kernel.nest
    types = [f"const {scalar.stored_type(d)}" for d in n.tensors] + [scalar.stored_type(d) for d in n.outputs]
    types += [scalar.stored_type(d) for d, _ in kernel.scratch]
    arguments = [f"n[{k}]" for k in range(n.scalars)] + [f"({t} *)p[{k}]" for k, t in enumerate(types)]
    if n.checks:
        arguments.append(f"(weft_fault *)p[{len(types)}]")
    return "".join(
        f'extern "C" void launch_{x.name}(int descending, unsigned blocks, unsigned threads, '
        f"const int64_t *n, void *const *p) {{\n"
        f"    weft_emu_descending = descending;\n"
        f"    weft_emu_launch(dim3(blocks), dim3(threads), {', '.join((x.name, *arguments))});\n}}\n"
        for x in kernel.launches
    )


class Fault(ctypes.Structure):
    _fields_ = (("flag", ctypes.c_int32), ("index", ctypes.c_int64), ("length", ctypes.c_int64))


class Emulated:
    """The kernels of a function as CUDA text, compiled by g++; `headers` may be a changed copy of kernels/."""

    def __init__(self, f: Any, folder: Path, headers: Path = HEADERS):
        self.f = f
        self.calls: list[tuple[str, Node]] = [(name, s.node) for name, s in f.stages.generated.calls]
        self.kernels = self.kernels_of(f)
        self.text = str(f.cuda)
        assert self.text == "\n".join((HEADER, *(k.source for k in self.kernels.values())))
        (folder / "kernels.cu").write_text(self.text)
        (folder / "main.cpp").write_text('#include "kernels.cu"\n' + "".join(map(launcher, self.kernels.values())))
        built = subprocess.run(
            ["g++", *FLAGS, *EXTRA, *WARNINGS, "-include", headers / "emulation.h", "-I", headers, folder / "main.cpp",
             "-o", folder / "kernels.so"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert built.returncode == 0, built.stderr + self.text
        self.library = ctypes.CDLL(str(folder / "kernels.so"))
        self.fault = Fault()

    @staticmethod
    def kernels_of(f: Any) -> dict[str, CudaKernel]:
        return {name: cuda_source(nest, name) for name, nest in f.stages.generated.kernels.items()}

    def run(
        self,
        name: str,
        scalars: Sequence[int],
        tensors: Sequence[np.ndarray],
        shapes: Sequence[tuple[int, ...]],
        descending: bool,
    ) -> list[np.ndarray]:
        """The outputs of one kernel, in arrays filled with rubbish before."""
        kernel = self.kernels[name]
        arrays = [np.array(t, order="C") for t in tensors]
        outputs = [_rubbish(s, d) for s, d in zip(shapes, kernel.nest.outputs, strict=True)]
        scratch = [
            _rubbish((n,), d) for n, (d, _) in zip(kernel.scratch_elements(scalars), kernel.scratch, strict=True)
        ]
        self.fault = Fault()
        pointers = [a.ctypes.data for a in (*arrays, *outputs, *scratch)]
        pointers.append(ctypes.addressof(self.fault))
        for launch, blocks, threads in kernel.geometry(scalars):
            assert blocks >= 0 and threads % 32 == 0 and 32 <= threads <= 1024
            if blocks:
                self.library[f"launch_{launch}"](
                    int(descending), blocks, threads, (ctypes.c_int64 * (len(scalars) + 1))(*scalars),
                    (ctypes.c_void_p * len(pointers))(*pointers),
                )  # fmt: skip
        for before, after in zip(tensors, arrays, strict=True):
            assert np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"), "a kernel wrote to its argument"
        return outputs

    def arguments(self, node: Node, args: Sequence[np.ndarray]) -> tuple[list[int], list[np.ndarray]]:
        """What a call's kernel is given when the function is given `args`, by the interpreter."""
        params = self.f.stages.program.params
        values = evaluate(region(params, node.inputs), args)
        count = len(node.attr("body").params)
        scalars = self.kernels[self.name_of(node)].nest.scalars
        assert count == len(values)
        return [int(v) for v in values[:scalars]], [np.asarray(v) for v in values[scalars:]]

    def name_of(self, node: Node) -> str:
        return next(name for name, n in self.calls if n is node)

    def meaning(self, node: Node, scalars: Sequence[int], tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of a call's kernel by the interpreter."""
        return evaluate(node.attr("body"), [*(np.int64(s) for s in scalars), *tensors])


def _rubbish(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    out = np.empty(shape, numpy_dtype(dtype))
    out.reshape(-1).view(np.uint8).fill(0xA5)
    return out

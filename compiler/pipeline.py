"""The table of contents: the stages that a function passes, in order, and the driver that runs them.

    lower      Variables -> Region of tensor operations         graph/lowering.py (by `function`)
    sink       operations of one branch into that branch        simplify/lazy.py
    loops      loops that run the same steps joined, trimmed    simplify/loops.py
    simplify   rules: algebra, shapes, stable forms             simplify/ (indices.py: index errors stay)
    fuse       operations -> kernels and routines               schedule/fuse.py
               -> steps, buffers, lifetimes, arena              schedule/program.py
               each kernel -> a loop nest                       lower/kernel.py
    print      loop nests and steps -> GNU C                    codegen/
    build      C -> shared library, from the cache if there     build/
    load       library and manifest -> executor                 ../runtime/program.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..runtime import pool
from ..runtime.errors import InternalError, WeftError
from ..runtime.program import Program
from ..runtime.state import Storage
from .build.library import compile_program, process_library
from .codegen.host import Generated, HostPrinter, Kernels
from .graph.config import config
from .graph.function import Source
from .inspect import Function
from .ir.interp import evaluate
from .ir.node import Region
from .ir.rewrite import Stats
from .ir.verify import verify
from .messages import locate, manifest_of
from .schedule.program import HostProgram, build_program
from .simplify import simplify
from .simplify.indices import mark, settle_marks
from .simplify.lazy import sink
from .simplify.loops import tidy_loops


class Interpreted:
    """Runs a region with NumPy: `mode="interpret"`."""

    committed = False

    def __init__(self, region: Region, source: Source):
        self.region, self.origins = region, source.lowered.origins
        self.results, self.updates = source.results, source.updates

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]:
        try:
            values = evaluate(self.region, [*arguments, *(s.array() for s in storages)])
        except WeftError as e:
            locate(e, self.origins)
            raise
        results, new = values[: self.results], values[self.results :]
        restore = [storages[k].restore() for k in self.updates]
        try:
            for k, value in zip(self.updates, new, strict=True):
                storages[k].replace(value)
        except BaseException:  # an interrupt
            for undo in restore:
                undo()
            raise
        self.committed = True
        return results

    def set_limit(self, threads: int) -> None:
        """NumPy has threads of its own: there is nothing to limit."""


class Compiled:
    """Runs a compiled program; its constants are arguments that the caller does not see."""

    def __init__(self, program: Program, constants: list[np.ndarray]):
        self.program, self.constants = program, constants
        self.checks = program.checks  # whether it refuses arguments that do not fit, so that Python need not look

    @property
    def committed(self) -> bool:
        return self.program.committed

    @committed.setter
    def committed(self, value: bool) -> None:
        self.program.committed = value

    def set_limit(self, threads: int) -> None:
        self.program.set_limit(threads)

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]:
        return self.program.execute([*arguments, *self.constants], storages)


@dataclass
class Stages:
    """What each stage made, for people to look at, and the seconds it took."""

    source: Region
    simplified: Region | None = None
    program: HostProgram | None = None
    generated: Generated | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    visits: Stats = field(default_factory=Stats)  # of nodes, by the rewrite engine


def compile_function(source: Source, mode: str) -> Any:
    """The callable of a declared function, in mode "compile" or "interpret"."""
    stages = Stages(source.lowered.region)
    run = _Driver(stages)
    lowered = source.lowered
    region = run("sink", lambda: sink(lowered.region, lowered.origins))
    storages = [s.container for s in source.states]
    if mode == "interpret":
        executor: Any = Interpreted(region, source)
    else:
        executor = _compile(source, region, stages, run)
    return Function(
        source.arguments, storages, executor, source.outputs, source.name, source.kinds,
        names=[s.name for s in source.states], stages=stages, origins=source.lowered.origins,
    )  # fmt: skip


def _compile(source: Source, region: Region, stages: Stages, run: _Driver) -> Compiled:
    inputs = len(region.params) - len(source.states)
    origins = source.lowered.origins
    marked, marks = mark(region, origins)
    joined = run("loops", lambda: tidy_loops(marked, origins))
    simplified: Region = run(
        "simplify", lambda: settle_marks(simplify(joined, origins, stages.visits), marks, origins)
    )
    stages.simplified = simplified
    kernels = Kernels()
    program: HostProgram = run(
        "fuse",
        lambda: build_program(
            simplified,
            inputs,
            source.results,
            source.updates,
            kernels,
            lambda r: _checked(r, "kernel"),
            config.blas,
        ),
    )
    stages.program = program
    stages.generated = generated = run("print", lambda: HostPrinter(program, kernels).generate())
    options = {"cc": config.cc, "cache_dir": config.cache_dir}
    path = run("build", lambda: compile_program(generated.units, **options))
    if not pool.loaded():
        pool.load(process_library(**options))
    constants = [
        np.ascontiguousarray(n.attr("value").array).reshape(n.attr("value").array.shape) for n in generated.constants
    ]
    manifest = manifest_of(source, stages)
    loaded = run("load", lambda: Program(path, manifest, [h.function for h in generated.hosts]))
    return Compiled(loaded, constants)


def _checked(region: Region, level: str) -> None:
    if config.verify:
        verify(region, level)


class _Driver:
    """Runs a stage: times it, and verifies the region that it made when config.verify says so."""

    def __init__(self, stages: Stages):
        self.stages = stages

    def __call__(self, name: str, stage: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        made = stage()
        self.stages.seconds[name] = time.perf_counter() - start
        if isinstance(made, Region):
            _checked(made, "tensor")
        if made is None:
            raise InternalError(f"stage {name} made nothing")
        return made

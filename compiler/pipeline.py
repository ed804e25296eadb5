"""The table of contents: the stages that a function passes, in order, and the driver that runs them.

    lower      Variables -> Region of tensor operations         graph/lowering.py
    sink       operations of one branch into that branch        simplify/lazy.py
    loops      loops that run the same steps joined, trimmed    simplify/loops.py
    simplify   rules: algebra, shapes, stable forms             simplify/ (indices.py: index errors stay)
    motion     products of all steps out of loops               simplify/motion.py
    fuse       operations -> kernels and routines               schedule/fuse.py
               -> steps, buffers, lifetimes, arena              schedule/program.py
               each kernel -> a loop nest                       lower/kernel.py
    print      loop nests and steps -> GNU C                    codegen/
    build      C -> shared library, from the cache if there     build/
    load       library and manifest -> executor                 ../runtime/program.py

A program whose structure the cache knows (build/programs.py) passes from the declaration to the loading. The stages are
imported where they run, so that it does not wait for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ..runtime import pool
from ..runtime.errors import InternalError, WeftError
from ..runtime.program import Program
from .build import programs, toolchain
from .build.cache import TRIES, open_cache
from .build.library import compile_program, process_library
from .graph.config import config
from .graph.function import Source
from .graph.modes import NanGuardMode, mode_name
from .inspect import Function
from .ir.node import Region
from .messages import manifest_of, template, text_of

if TYPE_CHECKING:
    from .codegen.host import Generated, Kernels
    from .ir.origins import Origins
    from .ir.rewrite import Stats
    from .schedule.steps import HostProgram


class Stages:
    """What each stage makes of a program, for people to look at, and the seconds it took.

    A program that was in the cache passed none of them: they run when one looks."""

    def __init__(self, source: Source):
        self._source, self._blas = source, config.blas
        self.seconds: dict[str, float] = {}
        self.profiled = source.profile
        self.cached = False  # whether the program came from the cache

    def run(self, name: str, stage: Callable[[], Any]) -> Any:
        """Runs a stage: times it, and verifies the region that it made when config.verify says so."""
        start = time.perf_counter()
        made = stage()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        if isinstance(made, Region):
            _checked(made, "tensor")
        if made is None:
            raise InternalError(f"stage {name} made nothing")
        return made

    @cached_property
    def source(self) -> Region:
        """The program as it was declared."""
        return self.run("lower", lambda: self._source.lowered.region)

    @property
    def origins(self) -> Origins:
        return self._source.lowered.origins

    @cached_property
    def visits(self) -> Stats:
        """What the rewrite engine did."""
        from .ir.rewrite import Stats

        return Stats()

    @cached_property
    def sunk(self) -> Region:
        from .simplify.lazy import sink

        source, origins = self.source, self.origins
        return self.run("sink", lambda: sink(source, origins))

    @cached_property
    def simplified(self) -> Region:
        from .simplify import simplify
        from .simplify.indices import mark, settle_marks
        from .simplify.loops import tidy_loops
        from .simplify.motion import move

        sunk, origins = self.sunk, self.origins
        marked, marks = mark(sunk, origins)
        joined = self.run("loops", lambda: tidy_loops(marked, origins))
        plain = self.run("simplify", lambda: simplify(joined, origins, self.visits))
        moved = self.run("motion", lambda: move(plain, origins))
        if moved is not plain:
            moved = self.run("simplify", lambda: simplify(moved, origins, self.visits))
        return settle_marks(moved, marks, origins)

    @cached_property
    def kernels(self) -> Kernels:
        from .codegen.host import Kernels

        return Kernels()

    @cached_property
    def program(self) -> HostProgram:
        from .schedule.program import build_program

        s, region = self._source, self.simplified
        inputs = len(region.params) - len(s.states)
        verified = partial(_checked, level="kernel")
        return self.run(
            "fuse", lambda: build_program(region, inputs, s.results, s.updates, self.kernels, verified, self._blas)
        )

    @cached_property
    def generated(self) -> Generated:
        from .codegen.host import HostPrinter

        program = self.program
        return self.run("print", lambda: HostPrinter(program, self.kernels, self._source.profile).generate())


def compile_function(source: Source, mode: str | NanGuardMode) -> Any:
    """The callable of a declared function, in a mode of graph/modes.py."""
    stages = Stages(source)
    storages = [s.container for s in source.states]
    return Function(
        source.arguments, storages, _executor(source, stages, mode), source.outputs, source.name, source.kinds,
        names=[s.name for s in source.states], stages=stages, mode=mode_name(mode),
    )  # fmt: skip


def _executor(source: Source, stages: Stages, mode: str | NanGuardMode) -> Any:
    name = mode_name(mode)
    if name == "interpret":
        from .executors.interpreted import Interpreted

        return Interpreted(stages.sunk, source)
    if name == "nanguard":
        from .executors.nanguard import Guarded

        return Guarded(stages.simplified, source, mode)
    program = _compiled(source, stages)
    if name == "check":
        from .executors.checked import Checked

        return Checked(program, stages.sunk, source)
    return program


def _compiled(source: Source, stages: Stages, tries: int = TRIES) -> Program:
    """The program of a source: from the cache, or made by all stages and entered there."""
    where = {"cc": config.cc, "cache_dir": config.cache_dir}
    digest = source.declared.digest  # of Variables, which then call no Python; without one their region has to be seen
    name, callees = (digest.hex(), []) if digest is not None else programs.name_of(stages.source)

    def look() -> tuple[str, programs.Entry | None]:
        roles = (len(source.states), source.results, source.updates)
        chain = toolchain.find(config.cc, open_cache(config.cache_dir))
        options = [f"blas {config.blas}", *["profile"] * source.profile]
        key = programs.key_of(name, roles, options, chain)
        return key, programs.find(key, config.cache_dir) if config.reuse and not config.verify else None

    key, entry = stages.run("look", look)
    stages.cached = entry is not None
    if entry is None:
        generated = stages.generated
        path = stages.run("build", lambda: compile_program(generated.units, **where))
        made = template(source, stages)
        constants = [n.attr("value").array for n in generated.constants]
        numbers = [callees.index(n.attr("callee")) for n in generated.host_calls]
        entry = programs.Entry(path, made, constants, numbers)
        if config.reuse:
            programs.add(key, entry, config.cache_dir)
    found = entry

    def load() -> Program:
        if not pool.loaded():
            pool.load(process_library(**where))
        hosts = [callees[k].function for k in found.hosts]
        told = partial(text_of, source, found.manifest)
        return Program(found.library, manifest_of(source, found.manifest), hosts, found.constants, told)

    try:
        return stages.run("load", load)
    except WeftError:
        if tries == 1 or found.library.exists():
            raise
        return _compiled(source, stages, tries - 1)  # another process has just removed it


def _checked(region: Region, level: str) -> None:
    if config.verify:
        from .ir.verify import verify

        verify(region, level)

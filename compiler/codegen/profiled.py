"""What a program that profiles itself prints around its steps; any other prints nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..schedule.steps import Step
from .counted import bytes_of, flops_of
from .expressions import Text, strip

if TYPE_CHECKING:
    from .host import HostScope, Kernels


class Profiled:
    """The rows of `call->profile` (kernels/weft_abi.h), numbered as the steps are printed."""

    def __init__(self, wanted: bool, kernels: Kernels):
        self.wanted, self.kernels = wanted, kernels
        self.steps: list[tuple[Step, int]] = []  # with the number of the scan or ifelse that it stands in, or -1
        self._around: list[int] = []

    @contextmanager
    def step(self, out: Text, scope: HostScope, s: Step) -> Iterator[None]:
        """Around the C of a step: its time, and the bytes and operations that its lengths by then say."""
        if not self.wanted:
            yield
            return
        number = len(self.steps)
        self.steps.append((s, self._around[-1] if self._around else -1))
        self._around.append(number)
        out(f"const int64_t u{number} = weft_lib_clock();")
        yield
        self._around.pop()
        moved, done = (scope.get(out, n) for n in (bytes_of(s, self.kernels), flops_of(s, self.kernels)))
        out(f"weft_lib_spent(&call->profile[{2 + number}], u{number}, {strip(moved)}, {strip(done)});")

    def enter(self, out: Text) -> None:
        """At the start of a call."""
        if self.wanted:
            out("const int64_t since = weft_lib_clock();")

    def leave(self, out: Text) -> None:
        """At its end, with its `code`."""
        if self.wanted:
            out(f"weft_lib_called(call->profile, {len(self.steps)}, code, since);")


__all__ = ["Profiled"]

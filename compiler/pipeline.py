"""The table of contents: the stages that a function passes, in order, and the driver that runs them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..runtime.callable import CompiledFunction
from .graph.function import Source
from .ir.interp import evaluate
from .ir.node import Region
from .simplify.lazy import sink


class Interpreted:
    """Runs a region with NumPy: `mode="interpret"`."""

    def __init__(self, region: Region, results: int, updates: list[int]):
        self.region, self.results, self.updates = region, results, updates

    def execute(self, arguments, storages):
        values = evaluate(self.region, [*arguments, *(s.array() for s in storages)])
        results = [np.array(v) for v in values[: self.results]]
        new = [np.array(v, order="C") for v in values[self.results :]]
        for k, value in zip(self.updates, new, strict=True):
            storages[k].replace(value)
        return results


def compile_function(source: Source, mode: str) -> Any:
    region = sink(source.lowered.region, source.lowered.origins, source.lowered.check_owners)
    storages = [s.container for s in source.states]
    executor = Interpreted(region, source.results, source.updates)
    return CompiledFunction(source.arguments, storages, executor, source.outputs, source.name, source.kinds)

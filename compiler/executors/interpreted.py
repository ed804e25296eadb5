"""mode="interpret": the region as declared, by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import WeftError
from ...runtime.program import held
from ...runtime.state import Storage, all_or_none
from ..graph.function import Source
from ..ir.node import Region
from ..messages import locate


class Interpreted:
    """Runs a region with NumPy."""

    committed = False

    def __init__(self, region: Region, source: Source):
        self.region, self.origins = region, source.lowered.origins
        self.results, self.updates = source.results, source.updates
        self.name = f"function {source.name}" if source.name else "the function"

    def values(self, arguments: Sequence[np.ndarray], **hooks: Any) -> list[np.ndarray]:
        """The region's outputs: results, then the new values of the states that are updated."""
        from ..ir.interp import evaluate

        try:
            return evaluate(self.region, arguments, **hooks)
        except WeftError as e:
            locate(e, self.origins)
            raise

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]:
        with held(self.name, storages):
            values = self.values([*arguments, *(s.array() for s in storages)])
        results, new = values[: self.results], values[self.results :]
        with all_or_none(storages[k] for k in self.updates):
            for k, value in zip(self.updates, new, strict=True):
                storages[k].replace(value)
        self.committed = True
        return results

    def set_limit(self, threads: int) -> None:
        """NumPy has threads of its own: there is nothing to limit."""


__all__ = ["Interpreted"]

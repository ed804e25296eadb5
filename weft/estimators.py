"""Networks with the interface of scikit-learn, which loads on first use (docs/friends.md)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models.common.estimators import Classifier as Classifier
    from .models.common.estimators import Regressor as Regressor

__all__ = ["Classifier", "Regressor"]
NEEDED = "weft.estimators needs scikit-learn 1.6 or later: pip install 'weft[demo]'"


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from sklearn.utils.validation import validate_data  # noqa: F401  (came with 1.6)
        except ImportError as e:
            raise ImportError(NEEDED) from e
        value = getattr(importlib.import_module(".models.common.estimators", __package__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__

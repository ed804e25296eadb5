"""`python bench/compare.py A.json B.json`: what `weft bench compare` does, where weft need not be installed."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

_spec = importlib.util.spec_from_file_location("weft_compare", HERE.parent / "weft" / "commands" / "compare.py")
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
read, machine_of, main = _module.read, _module.machine_of, _module.main

if __name__ == "__main__":
    sys.exit(main())

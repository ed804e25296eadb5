"""What the tests of bench/ share: its scripts run as users run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"


def bench(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False, cwd=BENCH,
        env={**os.environ, "WEFT_THREADS": "2", **environment},
    )  # fmt: skip


def run(tmp_path: Path, *arguments: object) -> tuple[subprocess.CompletedProcess[str], dict]:
    to = tmp_path / "out.json"
    short = ("--tiny", "--rounds", 1, "--seconds", 0.01, "--json", to)
    out = bench(BENCH / "run.py", *arguments, *short)
    assert to.exists(), out.stderr
    return out, json.loads(to.read_text())

"""Settings of the language, in one documented table; each may be set in the program or by an environment variable.

| name            | variable            | default   | meaning                                                        |
| floatX          | WEFT_FLOATX         | float64   | dtype of int / int, of float constants, of shared randoms      |
| mode            | WEFT_MODE           | compile   | what `function(mode=None)` means: a row of MODES (modes.py)    |
| on_unused_input | WEFT_ON_UNUSED_INPUT| raise     | "raise", "warn" or "ignore"                                    |
| verify          | WEFT_VERIFY         | False     | check the output of every stage of the pipeline                |
| blas            | WEFT_BLAS           | own       | whose products of float matrices: "own" or "openblas"          |
| profile         | WEFT_PROFILE        | False     | what `function(profile=None)` means: `f.profile` of its steps  |
| cc              | WEFT_CC             | (found)   | the C compiler's command                                       |
| cache_dir       | WEFT_CACHE_DIR      | (platform)| where compiled programs are kept                               |
| reuse           | WEFT_REUSE          | True      | take a program that the cache knows without compiling it again |
"""

from __future__ import annotations

import os
import shlex
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError
from .modes import MODES, theano_mode

_FLAGS: dict[str, tuple[str, Any, tuple | None]] = {
    "floatX": ("WEFT_FLOATX", "float64", ("float16", "float32", "float64")),
    "mode": ("WEFT_MODE", "compile", tuple(MODES)),
    "on_unused_input": ("WEFT_ON_UNUSED_INPUT", "raise", ("raise", "warn", "ignore")),
    "verify": ("WEFT_VERIFY", False, (False, True)),
    "blas": ("WEFT_BLAS", "own", ("own", "openblas")),
    "profile": ("WEFT_PROFILE", False, (False, True)),
    "cc": ("WEFT_CC", "", None),
    "cache_dir": ("WEFT_CACHE_DIR", "", None),
    "reuse": ("WEFT_REUSE", True, (False, True)),
}

_SWITCH = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


class Config:
    """`weft.config`: attributes are the settings; an unknown name or value is an error that lists the known ones."""

    floatX: str
    mode: str
    on_unused_input: str
    verify: bool
    blas: str
    profile: bool
    cc: str
    cache_dir: str
    reuse: bool

    def __init__(self) -> None:
        for name, (variable, default, _) in _FLAGS.items():
            text = os.environ.get(variable)
            if not text:
                setattr(self, name, default)
                continue
            value: Any = _SWITCH.get(text.lower(), text) if isinstance(default, bool) else text
            try:
                setattr(self, name, value)
            except ArgumentError as e:
                raise ArgumentError(f"the environment variable {variable}: {e}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _FLAGS:
            raise ArgumentError(f"weft.config has no setting {name!r}; it has {', '.join(_FLAGS)}")
        if name == "mode" and isinstance(value, str):
            value = theano_mode(value)
        allowed = _FLAGS[name][2]
        if allowed is None:
            value = _text(name, value)
        else:
            if name == "floatX" and isinstance(value, (np.dtype, type)):
                value = np.dtype(value).name
            # Equal is not enough: np.dtype("float32") == "float32", and 1.0 == True.
            kinds = (str,) if isinstance(allowed[0], str) else (bool, int, np.bool_)
            found = [a for a in allowed if isinstance(value, kinds) and a == value]
            if not found:
                raise ArgumentError(f"weft.config.{name} is one of {', '.join(map(repr, allowed))}, not {value!r}")
            value = found[0]
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise ArgumentError(f"weft.config.{name} cannot be deleted; set it to another value")

    def __reduce__(self) -> str:
        return "config"  # there is one: copies of it, and what pickle reads, are it

    def __repr__(self) -> str:
        return "\n".join(f"{n} = {getattr(self, n)!r}" for n in _FLAGS)


def _text(name: str, value: Any) -> str:
    """A command or a folder; None is the default."""
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        value = shlex.quote(path) if name == "cc" else path  # a command is split at its spaces
    if not isinstance(value, str | None) or "\0" in (value or ""):
        raise ArgumentError(f"weft.config.{name} is a string or a path, not {value!r}")
    return value or ""


config = Config()

"""How a function runs: the one table of modes, and what users may give for one."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...runtime.errors import ArgumentError


class Kind(NamedTuple):
    compiled: bool  # whether calls run the compiled program
    meaning: str


MODES: dict[str, Kind] = {
    "compile": Kind(True, "the compiled program"),
    "interpret": Kind(False, "the program as declared, by NumPy: the definition of meaning"),
    "nanguard": Kind(False, "the program after rewriting, by NumPy: the first NaN or infinity is an error"),
    "check": Kind(True, "the compiled program, and the interpreter at each call: a difference is an error"),
}
THEANO = {
    "FAST_RUN": "compile", "FAST_COMPILE": "compile", "Mode": "compile", "DebugMode": "check",
    "NanGuardMode": "nanguard",
}  # fmt: skip


class NanGuardMode:
    """A mode that runs a function by NumPy, one operation after the other, and raises NanError at the first whose
    result has what its arguments have not: a NaN, an infinity, or a number beyond `BIG` ("big").

    mode="nanguard" stands for NanGuardMode(big_is_error=False). It is slow, and its state stays as it was when a call
    fails. The other arguments are Theano's, accepted and not used.
    """

    BIG = 1e10

    def __init__(
        self,
        nan_is_error: bool | None = None,
        inf_is_error: bool | None = None,
        big_is_error: bool | None = None,
        optimizer: Any = "default",
        linker: Any = None,
        db: Any = None,
    ):
        given = {"nan_is_error": nan_is_error, "inf_is_error": inf_is_error, "big_is_error": big_is_error}
        for name, value in given.items():
            if value not in (None, True, False):
                raise ArgumentError(f"{name} of NanGuardMode is True, False or None (True), not {value!r}")
        self.nan_is_error, self.inf_is_error, self.big_is_error = (v is None or bool(v) for v in given.values())

    def __repr__(self) -> str:
        return (
            f"NanGuardMode(nan_is_error={self.nan_is_error}, inf_is_error={self.inf_is_error}, "
            f"big_is_error={self.big_is_error})"
        )


def theano_mode(name: str) -> str:
    """The row of MODES that a name of Theano's stands for; any other name as it is."""
    return THEANO.get(name, name)


def chosen_mode(mode: Any, default: str) -> str | NanGuardMode:
    """A row of MODES, or a NanGuardMode with its options; Theano's mode names mean "compile", its DebugMode "check"."""
    mode = default if mode is None else mode
    if isinstance(mode, NanGuardMode) or (isinstance(mode, str) and mode in MODES):
        return mode
    found = theano_mode(mode if isinstance(mode, str) else type(mode).__name__)
    if found in MODES:
        return found
    known = ", ".join(map(repr, MODES))
    raise ArgumentError(
        f"mode {mode!r} is not known: None, {known}, a NanGuardMode (Theano's 'FAST_RUN' and 'FAST_COMPILE' compile, "
        "its 'DebugMode' is 'check')"
    )


def mode_name(mode: str | NanGuardMode) -> str:
    return mode if isinstance(mode, str) else "nanguard"


__all__ = ["MODES", "NanGuardMode", "chosen_mode", "mode_name", "theano_mode"]

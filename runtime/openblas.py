"""Addresses of OpenBLAS routines, from the package scipy-openblas32. Loaded when a program lists one."""

from __future__ import annotations

import ctypes
from functools import cache

from .errors import WeftError

PREFIX = "scipy_"  # of every name that the package's library exports


@cache
def _library() -> ctypes.CDLL:
    try:
        import scipy_openblas32 as package
    except ImportError as e:
        raise WeftError(
            f"weft.config.blas is 'openblas', which is the package scipy-openblas32: pip install 'weft[openblas]' ({e})"
        ) from e
    path = f"{package.get_lib_dir()}/{package.get_library(fullname=True)}"
    library = ctypes.CDLL(path)
    about = library.scipy_openblas_get_config
    about.restype = ctypes.c_char_p
    if b"USE64BITINT" in about():
        raise WeftError(f"{path} does not take 32-bit integers: {about().decode()}")
    return library


@cache
def routine(name: str) -> int:
    """The address of `scipy_cblas_sgemm`, ...: C conventions, integers 32 bits wide."""
    found = getattr(_library(), name, None)
    if found is None:
        raise WeftError(f"OpenBLAS of the package scipy-openblas32 has no routine {name!r}")
    address = ctypes.cast(found, ctypes.c_void_p).value
    assert address is not None
    return address

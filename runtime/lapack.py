"""Addresses of BLAS and LAPACK routines, from SciPy's Cython interface. Loaded when a program lists a routine."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from .errors import WeftError


@cache
def _capsules() -> dict[str, Any]:
    try:
        from scipy.linalg import cython_blas, cython_lapack
    except ImportError as e:
        wanted = "this program calls LAPACK, which weft takes from SciPy: pip install 'weft[linalg]'"
        raise WeftError(f"{wanted} ({e})") from e
    return {**cython_lapack.__pyx_capi__, **cython_blas.__pyx_capi__}


@cache
def routine(name: str) -> int:
    """The address of `dpotrf`, `strsm`, ...: Fortran conventions, every argument a pointer, integers 32 bits wide."""
    capsule = _capsules().get(name)
    if capsule is None:
        raise WeftError(f"SciPy's BLAS and LAPACK interface has no routine {name!r}")
    api = ctypes.pythonapi
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))
    address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    signature = name_of(capsule)
    if b"int *" not in signature:
        raise WeftError(f"SciPy's {name} does not take 32-bit integers: {signature.decode()}")
    return address_of(capsule, signature)

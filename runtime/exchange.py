"""Arrays of other libraries as NumPy arrays over the same memory: __array__, DLPack, the buffer protocol.

NumPy reads nearly all of them. Added here: exporters that have DLPack only, bfloat16 tensors of PyTorch, and messages
that say what to do about tensors that lie on a GPU or belong to a graph of gradients.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .errors import ArgumentError

CPU, CUDA_HOST = 1, 3  # DLDeviceType: memory that the CPU reads
NAMES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 13: "CUDA managed memory", 14: "oneAPI"}
_PLAIN = (bool, int, float, complex, str, bytes, list, tuple, dict, set, type(None))


def is_exporter(value: Any) -> bool:
    """Whether the value is an array: of NumPy, of another library, or an object with the buffer protocol.

    Lists and numbers are none: they have no element type of their own.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return True
    if isinstance(value, _PLAIN):
        return False
    kind = type(value)
    if hasattr(kind, "__array__") or hasattr(kind, "__dlpack__") or hasattr(value, "__array_interface__"):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def as_array(value: Any) -> np.ndarray:
    """`numpy.asarray`, which also takes what has DLPack only; without a copy wherever there is memory to share.

    Raises ArgumentError for tensors on another device or with a graph of gradients, otherwise what NumPy or the
    exporter raises.
    """
    kind = type(value)
    if isinstance(value, (np.ndarray, *_PLAIN)) or not hasattr(kind, "__dlpack__"):
        if isinstance(value, np.ndarray) and kind is not np.ndarray and np.any(getattr(value, "mask", False)):
            raise ArgumentError("a masked array has no numbers where it is masked: .filled(value) puts some there")
        return np.asarray(value)
    if kind.__module__.startswith("torch"):  # it refuses by itself what it cannot share, and it is quick
        try:
            return np.asarray(value)
        except Exception:
            if getattr(value, "requires_grad", False):
                raise ArgumentError(
                    f"a {_of(value)} that requires grad is not read, since no gradient would flow back to it: pass "
                    ".detach() of it"
                ) from None
            _on_cpu(value)
            if str(value.dtype) == "torch.bfloat16":
                return _bfloat16(value)
            raise
    _on_cpu(value)
    return np.asarray(value) if hasattr(kind, "__array__") else np.from_dlpack(value)


def _on_cpu(value: Any) -> None:
    """ArgumentError where the memory lies elsewhere; a copy from there would cost more than the call."""
    try:
        device = int(value.__dlpack_device__()[0])
    except Exception:  # an exporter that does not say, or refuses: what it raises later says more
        return
    if device not in (CPU, CUDA_HOST):
        raise ArgumentError(
            f"a {_of(value)} lies on device type {device} ({NAMES.get(device, 'no CPU')}); functions read the memory "
            "of the CPU: copy it there first (tensor.cpu(), jax.device_get, array.get())"
        )


def _bfloat16(tensor: Any) -> np.ndarray:
    """A bfloat16 tensor of PyTorch, which NumPy does not know: its bits, as the type of ml_dtypes."""
    try:
        import ml_dtypes
    except ImportError:
        raise ArgumentError("bfloat16 tensors are read as arrays of ml_dtypes: pip install 'weft[types]'") from None
    torch = sys.modules["torch"]
    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def _of(value: Any) -> str:
    return f"{type(value).__module__.split('.')[0]} {type(value).__name__}"

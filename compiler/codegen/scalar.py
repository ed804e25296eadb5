"""The one expression printer: scalar nodes -> C or CUDA text. Both dialects call the functions of kernels/ by name."""

from __future__ import annotations

import math

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.dtypes import DTYPES, HALF
from ..ir.node import Node

STORED = {
    "bool": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float16": "uint16_t", "bfloat16": "uint16_t",
    "float32": "float", "float64": "double", "complex64": "weft_c64", "complex128": "weft_c128",
}  # fmt: skip
WIDE = ("int32", "int64", "uint32", "uint64", "float32", "float64")

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


def stored_type(dtype: str) -> str:
    """The C type of an element in memory."""
    return STORED[dtype]


def register_type(dtype: str) -> str:
    """The C type of a value in a register: float16 and bfloat16 are held as float, rounded after each operation."""
    return "float" if dtype in HALF else STORED[dtype]


def suffix(dtype: str) -> str:
    return DTYPES[dtype].c


def literal(value: object, dtype: str) -> str:
    """A constant, exactly."""
    kind = DTYPES[dtype].kind
    if kind == "b":
        return "1" if value else "0"
    if kind in "iu":
        v = int(value)  # type: ignore[call-overload]
        if dtype == "int64":
            return f"{v}" if abs(v) < 1 << 31 else _wide(v)
        if dtype == "uint64":
            return f"UINT64_C({v})"
        return "(-2147483647 - 1)" if v == -(1 << 31) else f"{v}u" if dtype == "uint32" else str(v)
    if kind == "c":
        part = "float32" if dtype == "complex64" else "float64"
        return f"weft_complex_{suffix(dtype)}({literal(value.real, part)}, {literal(value.imag, part)})"  # type: ignore[attr-defined]
    v2 = float(value)  # type: ignore[arg-type]
    wide = "f64" if dtype == "float64" else "f32"
    if math.isnan(v2):
        return f"WEFT_NAN_{wide}"
    if math.isinf(v2):
        return f"WEFT_INF_{wide}" if v2 > 0 else f"(-WEFT_INF_{wide})"
    text = repr(v2)
    if dtype != "float64":
        import numpy as np

        text = str(np.float32(v2)) if float(np.float32(v2)) == v2 else text
        text = (text if "e" in text or "." in text else text + ".0") + "f"
    return f"({text})" if text.startswith("-") else text


def _wide(v: int) -> str:
    """An int64 of that type in C, where a short literal is an int: what is made of such alone would wrap as one."""
    return "INT64_MIN" if v == -(1 << 63) else f"INT64_C({v})"


def call(name: str, dtype: str, *args: str) -> str:
    """A function of kernels/; those of half types compute in float and round."""
    return f"weft_{name}_{suffix(dtype)}({', '.join(args)})"


def _is_place(x: Node, fuel: int = 6) -> bool:
    """Whether what counts as at least 0 is so however long arrays are: products that a program makes of the lengths of
    several may wrap. Those with a loop's variable are places in what it goes over."""
    for factors in lengths.products(x):
        if sum(f.op != "const" for f in factors) > 1 and all(f.op != "index" for f in factors):
            return False
        for f in factors:
            inside = f.inputs if f.op in ("maximum", "minimum", "floordiv", "mod") else ()
            if inside and not (fuel and all(_is_place(i, fuel - 1) for i in inside)):
                return False
    return True


_NUMBERS = frozenset({"load", "index", "checked", "const", "param", "length", "dim"})


def _of_floats(x: Node, fuel: int = 30) -> bool:
    """Whether an integer may be a float that was truncated, for all that is found out nearby."""
    stack, seen = [x], {x}
    for _ in range(fuel):
        if not stack:
            return False
        n = stack.pop()
        kind = DTYPES[n.type.dtype].kind
        if kind in "fc":
            return True
        if n.op in _NUMBERS or kind == "b":
            continue
        if n.family != "elementwise":
            return True
        more = [i for i in n.inputs if i not in seen]
        seen.update(more)
        stack += more
    return True


def operation(n: Node, args: list[str]) -> str:
    """The text of one scalar operation of already printed arguments."""
    op = n.op
    dtype = n.inputs[0].type.dtype if n.inputs else n.type.dtype
    values = n.inputs[1:] if op == "switch" else n.inputs
    if n.type.dtype == "int64" and all(i.op == "const" and i.type.dtype == "int64" for i in values):
        args = [*args[:-1], _wide(values[-1].value)]
    if op == "switch":
        return f"({args[0]} ? {args[1]} : {args[2]})"
    if op == "cast":
        if dtype == n.type.dtype:
            return args[0]
        made = f"weft_cast_{suffix(dtype)}_{suffix(n.type.dtype)}({args[0]})"
        if DTYPES[dtype].kind in "iu" and DTYPES[n.type.dtype].kind in "fc" and _of_floats(n.inputs[0]):
            return f"weft_truncated_{suffix(n.type.dtype)}({made})"
        return made
    if op == "complex":
        # Parts that are both computed have to be kept apart: see weft_minus in kernels/weft_scalar.h.
        name = "complex" if any(i.op in ("const", "load") for i in n.inputs) else "of_parts"
        return f"weft_{name}_{suffix(n.type.dtype)}({args[0]}, {args[1]})"
    if (
        op in ("floordiv", "mod")
        and dtype == "int64"
        and all(lengths.nonneg(i) for i in n.inputs)
        and _is_place(n.inputs[0])
        and (lengths.static(n.inputs[1]) or n.inputs[1].op != "const")
    ):
        sign = "/" if op == "floordiv" else "%"
        if lengths.static(n.inputs[1]):
            return f"({args[0]} {sign} {args[1]})"
        if not _is_place(n.inputs[1]):
            return f"({args[1]} > 0 ? {args[0]} {sign} {args[1]} : {call(op, dtype, *args)})"
        return f"({args[1]} ? {args[0]} {sign} {args[1]} : 0)"  # a length may be 0, and C stops the process there
    if op in INFIX and DTYPES[dtype].kind != "c":
        if op in COMPARE:
            return f"({args[0]} {INFIX[op]} {args[1]})"
        if dtype == "bool":
            return f"({args[0]} {'|' if op == 'add' else '&' if op == 'mul' else INFIX[op]} {args[1]})"
        if (dtype in WIDE and op != "truediv") or (DTYPES[dtype].kind == "f" and dtype in WIDE):
            return f"({args[0]} {INFIX[op]} {args[1]})"
    if op == "neg" and dtype in WIDE:
        return f"(-{args[0]})" if args[0][0] != "-" else f"(-({args[0]}))"
    if op == "sqr" and dtype in WIDE and args[0].isidentifier():
        return f"({args[0]} * {args[0]})"
    if op == "exp" and n.attrs and _held(dtype) == "float32":  # of what is nowhere positive (simplify/signs.py)
        return call("exp_nonpositive", dtype, *args)
    if n.family != "elementwise":
        raise InternalError(f"{op} is not a scalar operation")
    return call({"round": "rint"}.get(op, op), dtype, *args)


# Functions whose vector form is wrong for some rare arguments: kernels/ has weft_<op>_fast_<dtype>, free of branches,
# weft_<op>_is_hard_<dtype>, which tells those arguments, and weft_<op>_<dtype>, right for all. Hard: huge arguments of
# sin, cos, tan, results near the ends of the range, zeros, denormals, infinities and NaN of a logarithm or a cube root,
# two zeros of atan2.
HARD = {
    **dict.fromkeys(("sin", "cos", "tan", "sinh", "cosh"), ("f32", "f64")),
    **dict.fromkeys(("log", "log2", "log10", "log1p", "exp2", "erfc", "pow"), ("f32", "f64")),
    **dict.fromkeys(("exp", "expm1", "asinh", "acosh", "atan2"), ("f64",)),
    "cbrt": ("f32",),
}


def may_be_hard(n: Node) -> bool:
    """Whether a scalar operation has a fast form that is wrong for some arguments: indices out of range, too."""
    return n.op == "checked" or (n.op in HARD and suffix(_held(n.type.dtype)) in HARD[n.op])


def hard_flag(n: Node) -> str:
    """The variable that gathers whether an argument was hard: as wide as the values, so that lanes stay as wide."""
    return "hard8" if n.type.dtype in ("float64", "int64") else "hard4"


def fast_operation(n: Node, args: list[str]) -> tuple[str, str]:
    """The fast form of an operation that may be hard, and the test whether it must not be used."""
    if n.op == "checked":
        return f"weft_wrapped({', '.join(args)})", f"weft_outside({', '.join(args)})"
    held = _held(n.type.dtype)
    value = call(f"{n.op}_fast", held, *args)
    return rounded(value, n.type.dtype), call(f"{n.op}_is_hard", held, *args)


def _held(dtype: str) -> str:
    return "float32" if dtype in HALF else dtype


def load(pointer: str, offset: str, dtype: str) -> str:
    if dtype in HALF:
        return f"weft_load_{suffix(dtype)}(&{pointer}[{offset}])"
    return f"{pointer}[{offset}]"


def store(pointer: str, offset: str, value: str, dtype: str) -> str:
    if dtype in HALF:
        return f"weft_store_{suffix(dtype)}(&{pointer}[{offset}], {value});"
    return f"{pointer}[{offset}] = {value};"


IDENTITY = {"sum": 0, "devsq": 0, "prod": 1, "any": False, "all": True}
LOWEST, HIGHEST = ("max", "argmax"), ("min",)  # folds that start from the least, the greatest value of the dtype
JOINS = {"any": "|", "max": "|", "sum": "|", "all": "&", "min": "&", "prod": "&"}  # what the folds of bools are


def identity(fold: str, dtype: str) -> str:
    """The value that a fold starts from."""
    if fold in IDENTITY:
        return literal(IDENTITY[fold], dtype)
    if fold not in LOWEST + HIGHEST:
        raise InternalError(f"nothing that a fold by {fold} starts from")
    kind, bits = DTYPES[dtype].kind, DTYPES[dtype].bits
    low = fold in LOWEST
    if kind == "f":
        return literal(-math.inf if low else math.inf, dtype)
    if kind == "b":
        return literal(not low, dtype)
    if kind == "u":
        return literal(0 if low else (1 << bits) - 1, dtype)
    return literal(-(1 << (bits - 1)) if low else (1 << (bits - 1)) - 1, dtype)


def fold_text(fold: str, dtype: str, a: str, b: str) -> str:
    """One step of a fold. Half types accumulate in float and are rounded once, at the end."""
    if fold not in JOINS:
        raise InternalError(f"no step of a fold by {fold}")
    wide = "float32" if dtype in HALF else dtype
    if fold in ("any", "all") or wide == "bool":
        return f"({a} {JOINS[fold]} {b})"
    if fold in ("sum", "prod"):
        name, sign = ("add", "+") if fold == "sum" else ("mul", "*")
        return f"({a} {sign} {b})" if wide in WIDE else f"weft_{name}_{suffix(wide)}({a}, {b})"
    return f"weft_{'maximum' if fold == 'max' else 'minimum'}_{suffix(wide)}({a}, {b})"


def rounded(value: str, dtype: str) -> str:
    """A float accumulator as the half value it stands for."""
    return f"weft_round_{suffix(dtype)}({value})" if dtype in HALF else value

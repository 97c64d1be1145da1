"""exp, sigmoid and softplus as TIR expressions that give the same bits on every processor.

A C library's expf differs between libraries, and LLVM contracts `a * b + c` differently for each target, so these
use nothing but IEEE add, multiply, divide and explicit fused multiply-adds, and no table.
"""

from typing import Any

from tvm import tirx

Expr = Any  # a TIR expression, whose Python class varies with its kind

# Adding and subtracting 1.5 * 2^23 leaves a float32 rounded to the nearest integer, ties to even, for |x| < 2^22.
ROUND = 12582912.0
LOG2_E = 1.44269504
# ln 2 in two parts: the first has 9 trailing zero bits, so that n * LN2_HIGH is exact for |n| <= 128.
LN2_HIGH = 0.693359375
LN2_LOW = -2.12194440e-4
# exp(r) on |r| <= ln(2) / 2 by its Taylor series to r^7: the truncation, 5e-9 relative, is below float32's rounding.
EXP_SERIES = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
# atanh(s) / s = 1 + s^2 / 3 + s^4 / 5 + ... on |s| <= 1/3, to s^14: 2e-8 relative.
ATANH_SERIES = (1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
LOWEST, HIGHEST = -87.0, 88.0


def f32(value: float) -> Expr:
    return tirx.const(value, "float32")


def fma(a: Expr, b: Expr, c: Expr) -> Expr:
    """a * b + c, rounded once."""
    return tirx.call_llvm_pure_intrin("float32", "llvm.fma", a, b, c)


def _horner(series: tuple[float, ...], x: Expr) -> Expr:
    result = f32(series[0])
    for coefficient in series[1:]:
        result = fma(result, x, f32(coefficient))
    return result


def round_even(x: Expr, factor: Expr | None = None) -> Expr:
    """x [times factor] to the nearest integer, ties to even, for results below 2^22.

    A multiply-add and not a sum, because TVM simplifies (x + c) - c to x.
    """
    return fma(x, f32(1.0) if factor is None else factor, f32(ROUND)) - f32(ROUND)


def exp(x: Expr) -> Expr:
    """e^x to 2 units in the last place; exactly 0 below LOWEST, e^HIGHEST above HIGHEST.

    Range reduction after Cody and Waite: x = n ln 2 + r, e^x = 2^n e^r, 2^n by setting the exponent bits.
    """
    clipped = tirx.max(tirx.min(x, f32(HIGHEST)), f32(LOWEST))
    n = round_even(clipped, f32(LOG2_E))
    r = fma(n, f32(-LN2_LOW), fma(n, f32(-LN2_HIGH), clipped))
    bits = (n.astype("int32") + tirx.const(127, "int32")) << tirx.const(23, "int32")
    power = tirx.reinterpret("float32", bits)
    return tirx.Select(x < f32(LOWEST), f32(0.0), _horner(EXP_SERIES, r) * power)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x)."""
    return f32(1.0) / (f32(1.0) + exp(f32(0.0) - x))


def softplus(x: Expr) -> Expr:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), with log1p(u) = 2 atanh(u / (2 + u))."""
    u = exp(tirx.min(x, f32(0.0) - x))
    s = u / (f32(2.0) + u)
    return fma(s + s, _horner(ATANH_SERIES, s * s), tirx.max(x, f32(0.0)))

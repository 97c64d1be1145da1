"""exp, sigmoid and softplus as TIR expressions that give the same bits on every processor.

A C library's expf differs between libraries, and LLVM contracts `a * b + c` differently for each target, so these
use nothing but IEEE add, multiply, divide and explicit fused multiply-adds, and no table.
"""

from collections.abc import Callable
from typing import Any

from tvm import tirx

Expr = Any  # a TIR expression, whose Python class varies with its kind

# Adding 1.5 * 2^23 leaves a float32 rounded to the nearest integer, ties to even, for |x| < 2^22: the low bits of the
# sum are that integer in two's complement.
ROUND = 12582912.0
LOG2_E = 1.44269504
# ln 2 in two parts: the first has 9 trailing zero bits, so that n * LN2_HIGH is exact for |n| <= 128.
LN2_HIGH = 0.693359375
LN2_LOW = -2.12194440e-4
# e^r = 1 + r + r^2 P(r) on |r| <= ln(2) / 2, P fitted for the least largest relative error, 3e-9: below float32's own.
EXP_TAIL = (0.00138145988, 0.00836871658, 0.0416683890, 0.166665211, 0.49999994)
# atanh(s) / s = 1 + s^2 / 3 + s^4 / 5 + ... on |s| <= 1/3, to s^14: 2e-8 relative.
ATANH_SERIES = (1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
# Between these, 2^n e^r neither overflows nor falls below the smallest normal number.
LOWEST, HIGHEST = -86.0, 88.0
MANTISSA_BITS = 23


def f32(value: float) -> Expr:
    return tirx.const(value, "float32")


def fma(a: Expr, b: Expr, c: Expr) -> Expr:
    """a * b + c, rounded once."""
    return tirx.call_llvm_pure_intrin("float32", "llvm.fma", a, b, c)


def let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """body(value), where the value is computed once: an expression is a tree, in which it would stand at each use."""
    name = tirx.Var("let", value.ty)
    return tirx.Let(name, value, body(name))


def _horner(series: tuple[float, ...], x: Expr) -> Expr:
    result = f32(series[0])
    for coefficient in series[1:]:
        result = fma(result, x, f32(coefficient))
    return result


def round_even(x: Expr, factor: Expr | None = None) -> Expr:
    """x [times factor] to the nearest integer, ties to even, for results below 2^22."""
    return _shifted(x, factor) - f32(ROUND)


def level(x: Expr, factor: Expr, zero: int) -> Expr:
    """round_even(x * factor) + zero as a byte, for a sum that fits into one, signed or not."""
    return tirx.reinterpret("int32", fma(x, factor, f32(ROUND + zero))).astype("int8")


def _shifted(x: Expr, factor: Expr | None = None) -> Expr:
    """ROUND + x [times factor]; a multiply-add and not a sum, because TVM simplifies (x + c) - c to x."""
    return fma(x, f32(1.0) if factor is None else factor, f32(ROUND))


def _reduced(x: Expr, body: Callable[[Expr, Expr], Expr]) -> Expr:
    """body(2^n's exponent bits, r) with x = n ln 2 + r, after Cody and Waite; LOWEST <= x <= HIGHEST."""

    def of_shifted(x: Expr, shifted: Expr) -> Expr:
        n = shifted - f32(ROUND)
        # All of ROUND's own bits are shifted out.
        exponent = tirx.reinterpret("int32", shifted) << tirx.const(MANTISSA_BITS, "int32")
        r = let(n, lambda n: fma(n, f32(-LN2_LOW), fma(n, f32(-LN2_HIGH), x)))
        return let(r, lambda r: body(exponent, r))

    return let(x, lambda x: let(_shifted(x, f32(LOG2_E)), lambda shifted: of_shifted(x, shifted)))


def exp(x: Expr) -> Expr:
    """e^x to 2 units in the last place; e^LOWEST below LOWEST, e^HIGHEST above HIGHEST."""

    def power(exponent: Expr, r: Expr) -> Expr:
        return tirx.reinterpret("float32", tirx.reinterpret("int32", _horner((*EXP_TAIL, 1.0, 1.0), r)) + exponent)

    return _reduced(tirx.max(tirx.min(x, f32(HIGHEST)), f32(LOWEST)), power)


def exp_minus_one(x: Expr) -> Expr:
    """e^x - 1 to 3 units in the last place for x <= 0, however small; -1 below LOWEST."""

    def power(exponent: Expr, r: Expr) -> Expr:
        two_n = tirx.reinterpret("float32", exponent + tirx.reinterpret("int32", f32(1.0)))
        return let(two_n, lambda two_n: fma(fma(r * r, _horner(EXP_TAIL, r), r), two_n, two_n - f32(1.0)))

    return _reduced(tirx.max(x, f32(LOWEST)), power)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x)."""
    return f32(1.0) / (f32(1.0) + exp(f32(0.0) - x))


def softplus(x: Expr) -> Expr:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), with log1p(u) = 2 atanh(u / (2 + u))."""

    def of_atanh(x: Expr, s: Expr) -> Expr:
        return fma(s + s, let(s * s, lambda square: _horner(ATANH_SERIES, square)), tirx.max(x, f32(0.0)))

    def of_exp(x: Expr, u: Expr) -> Expr:
        return let(u / (f32(2.0) + u), lambda s: of_atanh(x, s))

    return let(x, lambda x: let(exp(tirx.min(x, f32(0.0) - x)), lambda u: of_exp(x, u)))

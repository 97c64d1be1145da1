"""What the Triton kernels have in common. float32 throughout; `.to` where something else is loaded or stored."""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def chain(decay, value, next_decay, next_value):  # type: ignore[no-untyped-def]
    """Two links of x_t = decay_t x_(t-1) + value_t as one; the same from the end where times run backwards."""
    return decay * next_decay, next_decay * value + next_value


@triton.jit
def softplus(x):  # type: ignore[no-untyped-def]
    """log(1 + e^x) = max(x, 0) + 2 atanh(w / (2 + w)), w = e^-|x|: every digit of a small step is kept."""
    w = tl.exp(-tl.abs(x))
    s = w / (2.0 + w)
    q = s * s
    p = q * (1.0 / 13) + 1.0 / 11
    p = p * q + 1.0 / 9
    p = p * q + 1.0 / 7
    p = p * q + 1.0 / 5
    p = p * q + 1.0 / 3
    p = p * q + 1.0
    return tl.maximum(x, 0.0) + 2.0 * s * p


@triton.jit
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^-x), without an exponential that overflows."""
    w = tl.exp(-tl.abs(x))
    return tl.where(x >= 0.0, 1.0, w) / (1.0 + w)


@triton.jit
def silu_slope(x, s):  # type: ignore[no-untyped-def]
    """The derivative of x sigmoid(x), where s is sigmoid(x)."""
    return s * (1.0 + x * (1.0 - s))


@triton.jit
def end_of(lengths, row, time):  # type: ignore[no-untyped-def]
    """Where a row's padding starts."""
    end = time
    if lengths is not None:
        end = tl.minimum(tl.load(lengths + row).to(tl.int32), time)
    return end

"""Room in 16 bits: how large the weights of some inputs may be together.

Where there is no instruction for a whole dot product, bytes are multiplied to 16 bits, and every sum that still fits
there need not be widened to 32. Weights are known at export, so a row's scale can see to it that these always fit:

    AVX2  levels as bytes, q + 128 in 1..255, times the weights of two inputs of each of two steps: 255 * 128 < 2^15,
          so 128 for the positive ones of these four together, and for the negative ones
    NEON  levels q in -127..127 times the weights of one input of each of four steps: 127 * 258 < 2^15, so 258 for
          the four of them, whatever their signs

A step is four inputs, side by side as `edgegen.export.tir.dot` packs them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUTS = 4
AVX2_STEPS, AVX2_MOST = 2, 128
NEON_STEPS, NEON_MOST = 4, 258
ROUNDING = 2  # what rounding adds to four weights at most


def least_scales(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """The least scale of each row (n,) under which the rounded weights (n, k) have room."""
    avx2, neon = _most(weight)
    return np.maximum(avx2 / (AVX2_MOST - ROUNDING), neon / (NEON_MOST - ROUNDING))


def fits(weight: NDArray[np.int8]) -> bool:
    """Whether all sums of these weights (n, k) have room."""
    avx2, neon = _most(weight.astype(np.int32))
    return bool((avx2 <= AVX2_MOST).all() and (neon <= NEON_MOST).all())


def _most(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each row the largest sums (n,) that AVX2 and NEON make of weights (n, k)."""
    n, k = weight.shape
    inputs = INPUTS * max(AVX2_STEPS, NEON_STEPS)
    whole = np.pad(weight, ((0, 0), (0, -k % inputs)))
    pairs = whole.reshape(n, -1, AVX2_STEPS, INPUTS // 2, 2)
    one_sign = [np.maximum(part, 0).sum(axis=(2, 4)).max(axis=(1, 2), initial=0) for part in (pairs, -pairs)]
    either = np.abs(whole).reshape(n, -1, NEON_STEPS, INPUTS).sum(axis=2).max(axis=(1, 2), initial=0)
    return np.maximum(*one_sign), either

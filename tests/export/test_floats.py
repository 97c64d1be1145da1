"""Products of float32 in each instruction set, bit for bit against sums in the order of their inputs."""

import ctypes
import ctypes.util
import functools
from typing import Any

import compiled
import numpy as np
import pytest
from compiled import Array

from edgegen.export import tir
from edgegen.export.tir import dot

F32 = np.float32
ROWS = 3
# (inputs, rows of the weight): one block, several with padding, many inputs.
LINEARS = ((8, 16), (24, 5), (7, 130), (520, 48))
K, N = 24, 37
WIDE_ROWS = 7  # more than any tile has, and no multiple of one
HEAD = (24, 200)  # four groups of blocks, the last of them half padding
LEGAL = ([0, 200], [0, 64], [0, 0], [63, 65], [130, 131], [7, 7], [199, 200])


def kernels_of(instructions: str) -> dict[str, Any]:
    made = {f"linear_{k}_{n}": tir.linear(tir.Floats, ROWS, k, n, instructions) for k, n in LINEARS}
    return made | {
        "narrow": tir.linear(tir.Floats, 1, K, N, instructions),
        "wide": tir.linear(tir.Floats, WIDE_ROWS, K, N, instructions),
        "biased": tir.linear(tir.Floats, ROWS, K, N, instructions, (N,)),
        "residual": tir.linear(tir.Floats, ROWS, K, N, instructions, (ROWS, N)),
        "positive": tir.linear(tir.Floats, ROWS, K, N, instructions, (N,), positive=True),
        "head": tir.head(tir.Floats, WIDE_ROWS, *HEAD, instructions),
        "embedding": tir.float_embedding(ROWS, N, K),
    }


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(F32)


def packed(weight: Array) -> Array:
    return dot.pack(weight).reshape(-1)


@functools.cache
def _fmaf() -> Any:
    function = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    return function


def in_order(x: Array, weight: Array) -> Array:
    """x @ weight^T, each sum by one fused multiply-add an input, the C library's."""
    sums = [
        functools.reduce(lambda held, j: _fmaf()(w[j], row[j], held), range(len(w)), 0.0) for row in x for w in weight
    ]
    return np.array(sums, F32).reshape(len(x), len(weight))


@pytest.mark.parametrize(("k", "n"), LINEARS)
def test_sums_run_in_the_order_of_inputs(kernels: compiled.Kernels, k: int, n: int) -> None:
    x, weight = normal(ROWS, k), normal(n, k)
    (y, *_) = kernels(f"linear_{k}_{n}", [x, packed(weight)], [((ROWS, n), F32)])
    assert y.tobytes() == in_order(x, weight).tobytes()
    np.testing.assert_allclose(y, x.astype(np.float64) @ weight.T.astype(np.float64), rtol=1e-4, atol=1e-4)


def test_a_row_has_the_same_sums_in_every_tile(kernels: compiled.Kernels) -> None:
    x, weight = normal(WIDE_ROWS, K), normal(N, K)
    (wide, *_) = kernels("wide", [x, packed(weight)], [((WIDE_ROWS, N), F32)])
    assert wide.tobytes() == in_order(x, weight).tobytes()
    for row in range(WIDE_ROWS):
        (narrow, *_) = kernels("narrow", [x[row : row + 1], packed(weight)], [((1, N), F32)])
        assert narrow.tobytes() == wide[row].tobytes()
        # Rows that hold nothing are left alone, and change nothing.
        (some, *_) = kernels("wide", [x, packed(weight)], [((WIDE_ROWS, N), F32)], row + 1)
        assert some[: row + 1].tobytes() == wide[: row + 1].tobytes()
        assert (some[row + 1 :].view(np.uint8) == compiled.UNTOUCHED).all()


@pytest.mark.parametrize("name", ["biased", "residual", "positive"])
def test_what_a_linear_adds(kernels: compiled.Kernels, compiled_for: compiled.Compiled, name: str) -> None:
    x, weight, added = normal(ROWS, K), normal(N, K), normal(ROWS, N) if name == "residual" else normal(N)
    case = [x, packed(weight), added], [((ROWS, N), F32)]
    (y, *_) = kernels(name, *case)
    total = in_order(x, weight) + added
    if name == "positive":
        np.testing.assert_allclose(y, np.logaddexp(0, total.astype(np.float64)), rtol=2e-6, atol=1e-6)
        assert y.tobytes() == compiled_for("avx2")(name, *case)[0].tobytes()
    else:
        assert y.tobytes() == total.tobytes()


@pytest.mark.parametrize("turn", [0, 1, 4])
def test_a_head_computes_what_is_legal(kernels: compiled.Kernels, turn: int) -> None:
    k, n = HEAD
    x, weight = normal(WIDE_ROWS, k), normal(n, k)
    legal = np.roll(np.array(LEGAL, np.int32), turn, axis=0)
    (y, *_) = kernels("head", [x, packed(weight), legal], [((WIDE_ROWS, n), F32)])
    expected = in_order(x, weight)
    for row, (low, high) in enumerate(legal):
        assert y[row, low:high].tobytes() == expected[row, low:high].tobytes()
        if low == high:
            assert (y[row].view(np.uint8) == compiled.UNTOUCHED).all()


def test_embedding_reads_the_packed_table(kernels: compiled.Kernels) -> None:
    table, token = normal(N, K), np.array([0, N - 1, 17])
    (x, *_) = kernels("embedding", [packed(table), token], [((ROWS, K), F32)])
    assert (x == table[token]).all()

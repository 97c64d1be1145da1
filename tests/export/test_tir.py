"""Each kernel in each instruction set against numpy in float64, at sizes that fill no register evenly."""

from typing import Any

import compiled
import numpy as np
import pytest
from compiled import Array

from edgegen.errors import EdgegenError
from edgegen.export import headroom, tir
from edgegen.export.quantise import LARGEST, SMALLEST_ROW, quantise_rows
from edgegen.export.tir import dot
from edgegen.export.tir.lanes import LANES
from edgegen.export.tir.products import DOTS

F32, I8 = np.float32, np.int8
ROWS = 3
# (inputs, rows of the weight): one block, many that share no factor, padded ones in one group and in several; steps
# that are left over.
LINEARS = ((8, 16), (24, 5), (44, 176), (72, 37), (8, 130), (520, 48))
WIDE_ROWS = 7  # more than any tile has, and no multiple of one
HEAD = (24, 200)  # four groups of blocks, the last of them half padding
TURNS = np.array([1, -1])
EPS = 1e-5
HEADS, WIDTH, SLOTS, STEPS, TEMPERATURE = 3, 6, 2 * LANES, 19, 0.4
INNER, TAPS, STATE = 2 * LANES, 4, 6


def kernels_of(instructions: str) -> dict[str, Any]:
    zero = DOTS[instructions].ZERO
    made = {
        "row_quantise": tir.row_quantise(ROWS, 20, zero),
        "odd_row_quantise": tir.row_quantise(ROWS, 7, zero),
        "norm_quantise": tir.norm(ROWS, 36, EPS, zero),
        "gate_quantise": tir.gate(ROWS, 20, zero),
        "softmax_quantise": tir.softmax(ROWS, 20, zero),
        "attention_quantise": tir.attention(ROWS, HEADS, WIDTH, SLOTS, STEPS, TEMPERATURE, zero, instructions),
        "conv_quantise": tir.conv(ROWS, 20, TAPS, zero),
        "scan_quantise": tir.scan(ROWS, INNER, STATE, zero, instructions),
        "embedding": tir.embedding(ROWS, 37, 12),
        "lookup": tir.lookup(ROWS, STEPS, 20),
        "path_quantise": tir.path(ROWS, 20, zero),
        "refine": tir.refine(ROWS, 20, STEPS),
        "between": tir.refine(ROWS, 20, STEPS, kept=True),
        "norm": tir.norm(ROWS, 36, EPS, None),
        "gate": tir.gate(ROWS, 20, None),
        "softmax": tir.softmax(ROWS, 20, None),
        "attention": tir.attention(ROWS, HEADS, WIDTH, SLOTS, STEPS, TEMPERATURE, None, instructions),
        "conv": tir.conv(ROWS, 20, TAPS, None),
        "scan": tir.scan(ROWS, INNER, STATE, None, instructions),
        "path": tir.path(ROWS, 20, None),
        "head": tir.head(tir.Levels, WIDE_ROWS, *HEAD, instructions),
        "wide": tir.linear(tir.Levels, WIDE_ROWS, 24, 37, instructions),
    }
    for k, n in LINEARS:
        made[f"linear_{k}_{n}"] = tir.linear(tir.Levels, ROWS, k, n, instructions)
        made[f"narrow_{k}_{n}"] = tir.linear(tir.Levels, 1, k, n, instructions)
    made["biased"] = tir.linear(tir.Levels, ROWS, 24, 37, instructions, (37,))
    made["residual"] = tir.linear(tir.Levels, ROWS, 24, 37, instructions, (ROWS, 37))
    made["positive"] = tir.linear(tir.Levels, ROWS, 24, 37, instructions, (37,), positive=True)
    return made


def stored(kernels: compiled.Kernels, q: Array) -> Array:
    """Levels as the products of that instruction set want them in memory."""
    return (q.astype(int) + DOTS[kernels.variant.dot].ZERO).astype(np.uint8).view(I8)


def levels(kernels: compiled.Kernels, q: Array) -> Array:
    """Levels -127 .. 127 out of what a kernel has stored."""
    zero = DOTS[kernels.variant.dot].ZERO
    result: Array = q.view(np.uint8).astype(int) - zero if zero else q.astype(int)
    return result


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(F32)


def int8_row(b: int, size: int) -> list[tuple[tuple[int, ...], type]]:
    return [((b, size), I8), ((b, 1), F32)]


def silu(x: Array) -> Array:
    result: Array = x / (1 + np.exp(-x.astype(np.float64)))
    return result


def assert_quantises(q: Array, scale: Array, y: Array) -> None:
    """q * scale is y to half a level, at a scale that the largest of each row sets."""
    np.testing.assert_allclose(scale, np.abs(y).max(1, keepdims=True) / LARGEST, rtol=1e-5)
    assert (np.abs(q * scale.astype(np.float64) - y) <= scale * (0.5 + 1e-3)).all()
    assert (np.abs(q.astype(int)).max(1) == LARGEST).all()


@pytest.mark.parametrize(("name", "size"), [("row_quantise", 20), ("odd_row_quantise", 7)])
def test_row_quantise(kernels: compiled.Kernels, name: str, size: int) -> None:
    x = normal(ROWS, size) * F32(7)
    # The largest, exact halves of a level, and a row of zeros.
    x[1] = np.concatenate([[127, -127, 0.5, 1.5, -0.5, -2.5], np.zeros(size - 6)])
    x[2] = 0
    q, scale, _ = kernels(name, [x], int8_row(ROWS, size))
    largest = np.maximum(np.abs(x).max(1, keepdims=True), F32(SMALLEST_ROW))
    assert (scale == largest * F32(1 / LARGEST)).all()
    assert (levels(kernels, q) == np.rint(x.astype(np.float64) * (F32(LARGEST) / largest))).all()


def test_norm_quantise(kernels: compiled.Kernels) -> None:
    x, gain = normal(ROWS, 36) * F32(3), normal(36)
    q, scale, *_ = kernels("norm_quantise", [x, gain], int8_row(ROWS, 36))
    wide = x.astype(np.float64)
    assert_quantises(levels(kernels, q), scale, wide / np.sqrt((wide**2).mean(1, keepdims=True) + EPS) * gain)


def test_gate_quantise(kernels: compiled.Kernels) -> None:
    x = normal(ROWS, 40) * F32(5)
    q, scale, _ = kernels("gate_quantise", [x], int8_row(ROWS, 20))
    assert_quantises(levels(kernels, q), scale, silu(x[:, :20]) * x[:, 20:])


def test_softmax_quantise(kernels: compiled.Kernels) -> None:
    # Logits that are close, that differ by more than a float32's exponent holds, and far from nothing all together.
    x = normal(ROWS, 20) * np.array([[1], [90], [5]], F32) + np.array([[0], [0], [1e4]], F32)
    q, scale, _ = kernels("softmax_quantise", [x], int8_row(ROWS, 20))
    power = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert_quantises(levels(kernels, q), scale, power / power.sum(1, keepdims=True))


def rotated(x: Array, cos: Array, sin: Array) -> Array:
    """x (heads, width) turned by the angles of cos and sin (width / 2,)."""
    low, high = np.split(x.astype(np.float64), 2, axis=-1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)


def test_attention_quantise(kernels: compiled.Kernels) -> None:
    d = HEADS * WIDTH
    qkv, angle = normal(ROWS, 3 * d), normal(STEPS, WIDTH // 2)
    cos, sin = np.cos(angle), np.sin(angle)
    position = np.array([0, LANES - 1, STEPS - 1])
    key, value = normal(ROWS, SLOTS, d, seed=1), normal(ROWS, SLOTS, d, seed=2)
    for row, at in enumerate(position):
        # What stands at slots to come is of no account, whatever it is.
        key[row, at:], value[row, at:] = np.nan, np.nan
    # (batch, slots, d) as the kernel has it, (batch, slots / LANES, d, LANES), and back.
    laid = np.ascontiguousarray(key.reshape(ROWS, -1, LANES, d).swapaxes(2, 3))
    reads = [qkv, cos, sin, position, laid, value]
    q, scale, *_, new_key, new_value = kernels("attention_quantise", reads, int8_row(ROWS, d))
    new_key = new_key.swapaxes(2, 3).reshape(ROWS, SLOTS, d)
    for row, at in enumerate(position):
        parts = qkv[row].reshape(3, HEADS, WIDTH)
        turned_key = rotated(parts[1], cos[at], sin[at])
        np.testing.assert_allclose(new_key[row, at], turned_key.reshape(d), atol=1e-6)
        assert (new_value[row, at] == parts[2].reshape(d)).all()
        assert (new_key[row, :at] == key[row, :at]).all()
        assert (new_value[row, :at] == value[row, :at]).all()
        query = rotated(parts[0], cos[at], sin[at])
        keys = new_key[row, : at + 1].T.reshape(HEADS, WIDTH, at + 1).astype(np.float64)
        values = new_value[row, : at + 1].reshape(at + 1, HEADS, WIDTH).transpose(1, 0, 2)
        weights = np.exp(TEMPERATURE * np.einsum("hw,hwt->ht", query, keys))
        mixed = np.einsum("ht,htw->hw", weights / weights.sum(1, keepdims=True), values)
        assert_quantises(levels(kernels, q[row : row + 1]), scale[row : row + 1], mixed.reshape(1, d))


def test_conv_quantise(kernels: compiled.Kernels) -> None:
    e = 20
    u, weight, bias, past = normal(ROWS, e), normal(TAPS, e), normal(e), normal(ROWS, TAPS - 1, e)
    position = np.array([0, 1, 9])
    y, q, scale, *_, new = kernels(
        "conv_quantise", [u, weight, bias, position, past], [((ROWS, e), F32), *int8_row(ROWS, e)]
    )
    past[0] = 0
    window = np.concatenate([past, u[:, None]], 1)
    assert (new == window[:, 1:]).all()
    expected = silu((window.astype(np.float64) * weight).sum(1) + bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert_quantises(levels(kernels, q), scale, expected)


def test_scan_quantise(kernels: compiled.Kernels) -> None:
    delta, u, z = np.abs(normal(ROWS, INNER)) / 4, normal(ROWS, INNER, seed=1), normal(ROWS, INNER, seed=2)
    B, C, D = normal(ROWS, STATE), normal(ROWS, STATE, seed=1), normal(INNER)
    # Rates at which a channel forgets at once, and at which it hardly does.
    rate, state = -np.abs(normal(INNER)) * F32(8), normal(ROWS, INNER, STATE)
    rate[:3] = -1e-4, -50.0, -1e4
    A = rate[:, None] * np.arange(1, STATE + 1)
    position = np.array([5, 0, 1])

    def grouped(x: Array) -> Array:
        """(..., e, n) as the kernel has it, (..., e / LANES, n, LANES)."""
        return np.ascontiguousarray(x.reshape(*x.shape[:-2], -1, LANES, STATE).swapaxes(-1, -2))

    reads = [delta, u, z, B, C, rate, D, position, grouped(state)]
    q, scale, *_, new = kernels("scan_quantise", reads, int8_row(ROWS, INNER))
    state[1] = 0
    decay = np.exp(delta.astype(np.float64)[..., None] * A)
    expected = decay * state + (delta * u)[..., None] * B[:, None]
    np.testing.assert_allclose(new, grouped(expected), rtol=1e-5, atol=1e-6)
    assert_quantises(levels(kernels, q), scale, ((expected * C[:, None]).sum(-1) + D * u) * silu(z))


def weight_of(k: int, n: int) -> Array:
    """Random levels, and the rows whose sums in 16 bits are the largest that there may be."""
    weight, _ = quantise_rows(np.random.default_rng(n).normal(size=(n, k)).astype(F32))
    place = np.arange(k)
    sparse = np.where(place % 16 == 0, LARGEST, 0)
    for row, values in zip((0, 1, -2, -1), (32, -32, 64 * TURNS[place % 2], sparse), strict=True):
        weight[row] = values
    assert headroom.fits(weight)
    return weight


def activations(k: int, rows: int = ROWS) -> Array:
    q = np.random.default_rng(k).integers(-LARGEST, LARGEST + 1, (rows, k)).astype(I8)
    q[0], q[1], q[2] = LARGEST * TURNS[np.arange(k) % 2], LARGEST, -LARGEST
    return q


def packed(weight: Array) -> list[Array]:
    return [dot.pack(weight).reshape(-1), dot.offsets(weight)]


@pytest.mark.parametrize(("k", "n"), LINEARS)
def test_sums_are_exact_and_padding_is_not_written(kernels: compiled.Kernels, k: int, n: int) -> None:
    weight, q = weight_of(k, n), activations(k)
    expected = q.astype(int) @ weight.astype(int).T
    rest = [*packed(weight), np.ones(n, F32)]
    ones = np.ones((ROWS, 1), F32)
    (y, *_) = kernels(f"linear_{k}_{n}", [stored(kernels, q), ones, *rest], [((ROWS, n), F32)])
    assert (y == expected).all()
    for row in range(ROWS):
        (y, *_) = kernels(f"narrow_{k}_{n}", [stored(kernels, q[row : row + 1]), ones[:1], *rest], [((1, n), F32)])
        assert (y == expected[row : row + 1]).all()


def test_rows_beside_whole_tiles_are_summed_too(kernels: compiled.Kernels) -> None:
    weight, q = weight_of(24, 37), activations(24, WIDE_ROWS)
    reads = [stored(kernels, q), np.ones((WIDE_ROWS, 1), F32), *packed(weight), np.ones(37, F32)]
    (y, *_) = kernels("wide", reads, [((WIDE_ROWS, 37), F32)])
    assert (y == q.astype(int) @ weight.astype(int).T).all()


LEGAL = ([0, 200], [0, 64], [0, 0], [63, 65], [130, 131], [7, 7], [199, 200])


@pytest.mark.parametrize("turn", range(len(LEGAL)))
def test_a_head_computes_what_is_legal(kernels: compiled.Kernels, turn: int) -> None:
    k, n = HEAD
    weight, q = weight_of(k, n), activations(k, WIDE_ROWS)
    legal = np.roll(np.array(LEGAL, np.int32), turn, axis=0)
    if turn == 0:
        legal[:] = LEGAL[0]
    reads = [stored(kernels, q), np.ones((WIDE_ROWS, 1), F32), *packed(weight), np.ones(n, F32), legal]
    (y, *_) = kernels("head", reads, [((WIDE_ROWS, n), F32)])
    expected = q.astype(int) @ weight.astype(int).T
    for row, (low, high) in enumerate(legal):
        assert (y[row, low:high] == expected[row, low:high]).all()
        if low == high:
            assert (y[row].view(np.uint8) == compiled.UNTOUCHED).all()


@pytest.mark.parametrize("name", ["biased", "residual", "positive"])
def test_what_a_linear_adds(kernels: compiled.Kernels, name: str) -> None:
    k, n = 24, 37
    weight, q = weight_of(k, n), activations(k)
    scale, weight_scale = np.abs(normal(ROWS, 1)), np.abs(normal(n)) / F32(1e4)
    added = normal(ROWS, n) if name == "residual" else normal(n)
    reads = [stored(kernels, q), scale, *packed(weight), weight_scale, added]
    (y, *_) = kernels(name, reads, [((ROWS, n), F32)])
    total = (q.astype(int) @ weight.astype(int).T).astype(np.float64) * scale * weight_scale + added
    np.testing.assert_allclose(y, np.logaddexp(0, total) if name == "positive" else total, rtol=2e-6, atol=1e-6)


def test_embedding_reads_the_packed_table(kernels: compiled.Kernels) -> None:
    table, scale = weight_of(12, 37), np.abs(normal(37))
    token = np.array([0, 36, 17])
    (x, *_) = kernels("embedding", [packed(table)[0], scale, token], [((ROWS, 12), F32)])
    assert (x == table[token].astype(F32) * scale[token, None]).all()


def test_lookup(kernels: compiled.Kernels) -> None:
    table, position = normal(STEPS, 20), np.array([0, 18, 7])
    (y, *_) = kernels("lookup", [table, position], [((ROWS, 20), F32)])
    assert (y == table[position]).all()


def test_path_quantise(kernels: compiled.Kernels) -> None:
    """At position 0 whatever was expected before is forgotten, and may be no number."""
    codes, expected, position = normal(ROWS, 20), normal(ROWS, 20, seed=1), np.array([3, 0, 1])
    expected[1] = np.nan
    q, scale, *_ = kernels("path_quantise", [codes, expected, position], int8_row(ROWS, 40))
    both = np.concatenate([codes, np.where(position[:, None] == 0, F32(0), expected)], axis=1)
    assert np.abs(levels(kernels, q) * scale - both).max() <= 0.501 * scale.max()


def test_refine(kernels: compiled.Kernels) -> None:
    expected, codes, position = normal(ROWS, 20), normal(ROWS, 20, seed=1), np.array([0, 1, 18])
    shares = np.linspace(0.1, 1, STEPS, dtype=F32)[:, None]
    _, moved, *_ = kernels("refine", [expected, codes, shares, position], [])
    np.testing.assert_allclose(moved, codes + (expected - codes) * shares[position], rtol=1e-6, atol=1e-6)
    # At the last refinement all of the way is gone.
    np.testing.assert_allclose(moved[2], expected[2], rtol=1e-6, atol=1e-6)


def test_between_is_where_refine_moves_to(kernels: compiled.Kernels) -> None:
    reads, _ = cases()["refine"]
    y, *left = kernels("between", reads, [((ROWS, 20), F32)])
    assert (y == kernels("refine", reads, [])[1]).all()
    assert (left[1] == reads[1]).all()


def test_a_width_that_does_not_pack_is_refused() -> None:
    with pytest.raises(EdgegenError, match="multiples of 4"):
        dot.pack(np.zeros((16, 6), I8))


def test_weights_whose_sums_16_bits_do_not_hold_are_refused() -> None:
    with pytest.raises(EdgegenError, match="too large beside each other"):
        dot.pack(np.full((16, 8), 33, I8))


Case = tuple[list[Array], list[tuple[tuple[int, ...], type]]]


PLAIN = ("norm", "gate", "softmax", "attention", "conv", "scan", "path")


def cases() -> dict[str, Case]:
    """Reads and writes of every kernel that ends in a row, of int8 or as it is, and of the embedding."""
    d = HEADS * WIDTH
    position = np.array([0, 2, 18])
    made: dict[str, Case] = {
        "row_quantise": ([normal(ROWS, 20)], int8_row(ROWS, 20)),
        "norm_quantise": ([normal(ROWS, 36), normal(36)], int8_row(ROWS, 36)),
        "gate_quantise": ([normal(ROWS, 40) * F32(9)], int8_row(ROWS, 20)),
        "softmax_quantise": ([normal(ROWS, 20) * F32(9)], int8_row(ROWS, 20)),
        "attention_quantise": (
            [
                normal(ROWS, 3 * d),
                *(normal(STEPS, WIDTH // 2, seed=i) for i in range(2)),
                position,
                normal(ROWS, SLOTS // LANES, d, LANES),
                normal(ROWS, SLOTS, d),
            ],
            int8_row(ROWS, d),
        ),
        "conv_quantise": (
            [normal(ROWS, 20), normal(TAPS, 20), normal(20), position, normal(ROWS, TAPS - 1, 20)],
            [((ROWS, 20), F32), *int8_row(ROWS, 20)],
        ),
        "scan_quantise": (
            [
                *(np.abs(normal(ROWS, INNER, seed=i)) for i in range(3)),
                *(normal(ROWS, STATE, seed=i) for i in range(2)),
                -np.abs(normal(INNER)),
                normal(INNER),
                position,
                normal(ROWS, INNER // LANES, STATE, LANES),
            ],
            int8_row(ROWS, INNER),
        ),
        "embedding": (
            [packed(weight_of(12, 37))[0], np.abs(normal(37)), np.array([0, 36, 17])],
            [((ROWS, 12), F32)],
        ),
        "lookup": ([normal(STEPS, 20), position], [((ROWS, 20), F32)]),
        "path_quantise": ([normal(ROWS, 20), normal(ROWS, 20, seed=1), position], int8_row(ROWS, 40)),
        "refine": (
            [normal(ROWS, 20), normal(ROWS, 20, seed=1), np.abs(normal(STEPS, 1)) / F32(4), position],
            [],
        ),
    }
    made["between"] = made["refine"][0], [((ROWS, 20), F32)]
    for name in PLAIN:
        reads, writes = made[f"{name}_quantise"]
        made[name] = reads, [(shape, F32) for shape, kind in writes if kind is I8]
    return made


@pytest.mark.parametrize("name", PLAIN)
def test_levels_are_those_of_the_plain_row(kernels: compiled.Kernels, name: str) -> None:
    reads, writes = cases()[name]
    y, *left = kernels(name, reads, writes)
    quantised, at = cases()[f"{name}_quantise"][1], 1 if name == "conv" else 0
    made = kernels(f"{name}_quantise", reads, quantised)
    largest = np.maximum(np.abs(y).max(1, keepdims=True), F32(SMALLEST_ROW))
    assert (made[at + 1] == largest * F32(1 / LARGEST)).all()
    assert (levels(kernels, made[at]) == np.rint(y.astype(np.float64) * (F32(LARGEST) / largest))).all()
    assert [one.tobytes() for one in left] == [one.tobytes() for one in made[len(quantised) :]]


def a_linear(kernels: compiled.Kernels) -> Case:
    rest = [normal(ROWS, 1), *packed(weight_of(24, 37)), normal(37) / F32(1e4), normal(37)]
    return [stored(kernels, activations(24)), *rest], [((ROWS, 37), F32)]


@pytest.mark.parametrize("name", [name for name in compiled.DOTS if name != "avx2"])
def test_every_variant_gives_the_bits_of_avx2(compiled_for: compiled.Compiled, name: str) -> None:
    avx2, other = compiled_for("avx2"), compiled_for(name)
    for kernel, (reads, writes) in cases().items():
        one, two = avx2(kernel, reads, writes), other(kernel, reads, writes)
        for left, right, (_, kind) in zip(one, two, [*writes, *((x.shape, x.dtype.type) for x in reads)], strict=True):
            if kind is I8 and kernel != "embedding":
                assert (levels(avx2, left) == levels(other, right)).all(), kernel
            else:
                assert left.tobytes() == right.tobytes(), kernel
    sums = [k("positive", *a_linear(k))[0] for k in (avx2, other)]
    assert sums[0].tobytes() == sums[1].tobytes()


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_that_hold_nothing_are_left_alone(kernels: compiled.Kernels, rows: int) -> None:
    every = {**cases(), "positive": a_linear(kernels)}
    for name, (reads, writes) in every.items():
        whole, part = kernels(name, reads, writes), kernels(name, reads, writes, rows)
        for i, (one, other) in enumerate(zip(whole, part, strict=True)):
            if i < len(writes):
                assert one[:rows].tobytes() == other[:rows].tobytes(), name
                assert (other[rows:].view(np.uint8) == compiled.UNTOUCHED).all(), name
            elif len(one) == ROWS:
                assert one[:rows].tobytes() == other[:rows].tobytes(), name
                assert other[rows:].tobytes() == reads[i - len(writes)][rows:].tobytes(), name

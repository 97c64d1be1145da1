"""What each fused operator becomes in Relax: a call of its kernel, with its constants as the kernel wants them."""

from collections.abc import Callable

import numpy as np
from tvm import relax

from edgegen.errors import EdgegenError
from edgegen.export import tir
from edgegen.export.converter import Converter, Relax
from edgegen.export.tir import dot
from edgegen.export.tir.lanes import LANES


def _row(b: int, d: int, zero: int | None) -> list[tuple[tuple[int, ...], str]]:
    """The tensors that an Ending writes."""
    return [((b, d), "float32")] if zero is None else [((b, d), "int8"), ((b, 1), "float32")]


def _row_quantise(on: Converter, zero: int) -> Relax:
    b, d = on.shape(0)
    return on.call(tir.row_quantise(b, d, zero), on.inputs, _row(b, d, zero))


def _norm(on: Converter, zero: int | None = None) -> Relax:
    b, d = on.shape(0)
    return on.call(tir.norm(b, d, float(on.constant(2)), zero), on.inputs[:2], _row(b, d, zero))


def _gate(on: Converter, zero: int | None = None) -> Relax:
    b, f = on.shape(0)
    return on.call(tir.gate(b, f // 2, zero), on.inputs, _row(b, f // 2, zero))


def _softmax(on: Converter, zero: int | None = None) -> Relax:
    b, d = on.shape(0)
    return on.call(tir.softmax(b, d, zero), on.inputs, _row(b, d, zero))


def _embedding(on: Converter) -> Relax:
    (vocabulary, d), (b,) = on.shape(0), on.shape(2)
    table = relax.const(dot.pack(on.constant(0)).reshape(-1))
    return on.call(tir.embedding(b, vocabulary, d), [table, *on.inputs[1:]], [((b, d), "float32")])


def _float_embedding(on: Converter) -> Relax:
    (vocabulary, d), (b,) = on.shape(0), on.shape(1)
    table = relax.const(dot.pack(on.constant(0)).reshape(-1))
    return on.call(tir.float_embedding(b, vocabulary, d), [table, on.inputs[1]], [((b, d), "float32")])


def _packed(on: Converter) -> tuple[Relax, Relax]:
    # TVM's importer has folded the Transpose away: the constant is (k, n).
    weight = np.ascontiguousarray(on.constant(2).T)
    return relax.const(dot.pack(weight).reshape(-1)), relax.const(dot.offsets(weight))


def _packed_floats(on: Converter) -> Relax:
    return relax.const(dot.pack(on.constant(1)).reshape(-1))


def _head(on: Converter) -> Relax:
    q, scale, _, weight_scale, legal = on.inputs
    (b, k), n = on.shape(0), on.shape(3)[0]
    reads = [q, scale, *_packed(on), weight_scale, legal]
    return on.call(tir.head(tir.Levels, b, k, n, on.dot), reads, [((b, n), "float32")])


def _float_head(on: Converter) -> Relax:
    (b, k), (n, _) = on.shape(0), on.shape(1)
    reads = [on.inputs[0], _packed_floats(on), on.inputs[2]]
    return on.call(tir.head(tir.Floats, b, k, n, on.dot), reads, [((b, n), "float32")])


def _linear(on: Converter, positive: bool = False) -> Relax:
    q, scale, _, weight_scale, *added = on.inputs
    packed, offset = _packed(on)
    (b, k), n = on.shape(0), on.shape(3)[0]
    kernel = tir.linear(tir.Levels, b, k, n, on.dot, on.shape(4) if added else None, positive)
    return on.call(kernel, [q, scale, packed, offset, weight_scale, *added], [((b, n), "float32")])


def _float_linear(on: Converter, positive: bool = False) -> Relax:
    x, _, *added = on.inputs
    (b, k), (n, _) = on.shape(0), on.shape(1)
    kernel = tir.linear(tir.Floats, b, k, n, on.dot, on.shape(2) if added else None, positive)
    return on.call(kernel, [x, _packed_floats(on), *added], [((b, n), "float32")])


def _attention(on: Converter, zero: int | None = None) -> Relax:
    qkv, cos, sin, position, _, _, key, value = on.inputs
    (b, slots, d), heads, steps = on.shape(6), int(on.constant(5)[1]), on.shape(1)[0]
    kernel = tir.attention(b, heads, d // heads, slots, steps, float(on.constant(4)), zero, on.dot)
    reads = [qkv, cos, sin, position, on.view(key, (b, slots // LANES, d, LANES)), value]
    *row, key, value = on.results(kernel, reads, _row(b, d, zero), updates=(4, 5))
    return relax.Tuple([*row, on.view(key, (b, slots, d)), value])


def _conv(on: Converter, zero: int | None = None) -> Relax:
    u, _, bias, position, conv = on.inputs
    b, e, past = on.shape(4)
    weight = relax.const(np.ascontiguousarray(on.constant(1).T))
    reads = [u, weight, bias, position, on.view(conv, (b, past, e))]
    writes = _row(b, e, None) if zero is None else [*_row(b, e, None), *_row(b, e, zero)]
    *rows, new = on.results(tir.conv(b, e, past + 1, zero), reads, writes, updates=(4,))
    return relax.Tuple([*rows, on.view(new, (b, e, past))])


def _scan(on: Converter, zero: int | None = None) -> Relax:
    delta, u, z, B, C, _, D, position, ssm = on.inputs
    b, e, n = on.shape(8)
    A = on.constant(5)
    rate = np.ascontiguousarray(A[:, 0])
    if not np.allclose(A, rate[:, None] * np.arange(1, n + 1), rtol=1e-6, atol=0):
        raise EdgegenError("the step graph's state space has rates that are not 1, 2, ... times one of each channel")
    reads = [delta, u, z, B, C, relax.const(rate), D, position, on.view(ssm, (b, e // LANES, n, LANES))]
    *row, new = on.results(tir.scan(b, e, n, zero, on.dot), reads, _row(b, e, zero), updates=(8,))
    return relax.Tuple([*row, on.view(new, (b, e, n))])


def _lookup(on: Converter) -> Relax:
    (r, d), (b,) = on.shape(0), on.shape(1)
    return on.call(tir.lookup(b, r, d), on.inputs, [((b, d), "float32")])


def _path(on: Converter, zero: int | None = None) -> Relax:
    b, n = on.shape(0)
    return on.call(tir.path(b, n, zero), on.inputs, _row(b, 2 * n, zero))


def _refine(on: Converter) -> Relax:
    (b, n), (r, _) = on.shape(1), on.shape(2)
    if on.is_state(1):
        return on.call(tir.refine(b, n, r), on.inputs, [], updates=(1,))
    return on.call(tir.refine(b, n, r, kept=True), on.inputs, [((b, n), "float32")])


def _softplus_linear(on: Converter) -> Relax:
    return _linear(on, positive=True)


def _softplus_float_linear(on: Converter) -> Relax:
    return _float_linear(on, positive=True)


def _quantised(convert: Callable[[Converter, int], Relax]) -> Callable[[Converter], Relax]:
    """The conversion of what ends in the levels that the products of the instruction set read."""
    return lambda on: convert(on, on.zero)


CONVERSIONS: dict[str, Callable[[Converter], Relax]] = {
    "AddedFloatLinear": _float_linear,
    "AddedLinear": _linear,
    "Attention": _attention,
    "AttentionQuantise": _quantised(_attention),
    "Conv": _conv,
    "ConvQuantise": _quantised(_conv),
    "Embedding": _embedding,
    "FloatEmbedding": _float_embedding,
    "FloatHead": _float_head,
    "FloatLinear": _float_linear,
    "Gate": _gate,
    "GateQuantise": _quantised(_gate),
    "Head": _head,
    "Linear": _linear,
    "Lookup": _lookup,
    "Norm": _norm,
    "NormQuantise": _quantised(_norm),
    "Path": _path,
    "PathQuantise": _quantised(_path),
    "Refine": _refine,
    "RowQuantise": _quantised(_row_quantise),
    "Scan": _scan,
    "ScanQuantise": _quantised(_scan),
    "Softmax": _softmax,
    "SoftmaxQuantise": _quantised(_softmax),
    "SoftplusFloatLinear": _softplus_float_linear,
    "SoftplusLinear": _softplus_linear,
}

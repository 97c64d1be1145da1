"""Fused step graph -> Relax, at one batch width: every fused operator becomes a call of its kernel.

What is left of standard operators (a Split, the Transpose of a weight) goes through TVM's own ONNX importer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from edgegen.errors import EdgegenError
from edgegen.export import tir
from edgegen.export.fuse import ASKED, OUTPUTS, outputs_of
from edgegen.export.tir import dot
from edgegen.export.tir.lanes import LANES
from edgegen.export.tir.products import DOTS

Relax = Any  # a Relax expression
FRESH = -1  # an output that the kernel writes to a tensor of its own


class Importer:
    """One operator's inputs, and what its conversion may do with them; the last, how many rows there are, is apart."""

    def __init__(self, bb: relax.BlockBuilder, inputs: Sequence[Relax], dot: str) -> None:
        self.bb, self.dot = bb, dot
        *self.inputs, self.rows = inputs
        self.zero, self.lanes = DOTS[dot].ZERO, DOTS[dot].LANES
        self.optional = self.rows.name == ASKED

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.inputs[index].ty.shape)

    def constant(self, index: int) -> np.ndarray[Any, Any]:
        value = self.inputs[index]
        if not isinstance(value, tvm.ir.GenericConst):
            raise EdgegenError("the step graph computes what a kernel needs as a constant")
        result: np.ndarray[Any, Any] = value.value.numpy()
        return result

    def call(
        self,
        kernel: Any,
        reads: Sequence[Relax],
        writes: Sequence[tuple[tuple[int, ...], str]],
        updates: Sequence[int] = (),
    ) -> Relax:
        """A call of `kernel`; its results are `writes`, then reads[i] for i in `updates`, which it changes in place."""
        name = self.bb.add_func(kernel, str(kernel.attrs["global_symbol"]))
        types = [relax.TensorType(shape, dtype) for shape, dtype in writes]
        every = [self.rows, *reads]
        types += [relax.TensorType(tuple(reads[i].ty.shape), "float32") for i in updates]
        results = types if len(types) > 1 else types[0]
        if not updates:
            return relax.call_tir(name, every, results)
        places = [FRESH] * len(writes) + [i + 1 for i in updates]
        return relax.op.call_tir_inplace(name, every, places, results)

    def view(self, value: Relax, shape: tuple[int, ...]) -> Relax:
        """The same memory under another shape."""
        return self.bb.emit(relax.op.reshape(value, shape))


def _rows(b: int, d: int) -> list[tuple[tuple[int, ...], str]]:
    return [((b, d), "int8"), ((b, 1), "float32")]


def _row_quantise(on: Importer) -> Relax:
    b, d = on.shape(0)
    return on.call(tir.row_quantise(b, d, on.zero), on.inputs, _rows(b, d))


def _norm_quantise(on: Importer) -> Relax:
    b, d = on.shape(0)
    return on.call(tir.norm_quantise(b, d, float(on.constant(2)), on.zero), on.inputs[:2], _rows(b, d))


def _gate_quantise(on: Importer) -> Relax:
    b, f = on.shape(0)
    return on.call(tir.gate_quantise(b, f // 2, on.zero), on.inputs, _rows(b, f // 2))


def _embedding(on: Importer) -> Relax:
    (vocabulary, d), (b,) = on.shape(0), on.shape(2)
    table = relax.const(dot.pack(on.constant(0)).reshape(-1))
    return on.call(tir.embedding(b, vocabulary, d), [table, *on.inputs[1:]], [((b, d), "float32")])


def _packed(on: Importer) -> tuple[Relax, Relax]:
    # TVM's importer has folded the Transpose away: the constant is (k, n).
    weight = np.ascontiguousarray(on.constant(2).T)
    return relax.const(dot.pack(weight).reshape(-1)), relax.const(dot.offsets(weight))


def _head(on: Importer) -> Relax:
    q, scale, _, weight_scale, legal = on.inputs
    (b, k), n = on.shape(0), on.shape(3)[0]
    reads = [q, scale, *_packed(on), weight_scale, legal]
    return on.call(tir.head(b, k, n, on.dot), reads, [((b, n), "float32")])


def _linear(on: Importer, positive: bool = False) -> Relax:
    q, scale, _, weight_scale, *added = on.inputs
    packed, offset = _packed(on)
    (b, k), n = on.shape(0), on.shape(3)[0]
    kernel = tir.linear(b, k, n, on.dot, on.shape(4) if added else None, positive, on.optional)
    return on.call(kernel, [q, scale, packed, offset, weight_scale, *added], [((b, n), "float32")])


def _softplus_linear(on: Importer) -> Relax:
    return _linear(on, positive=True)


def _attention_quantise(on: Importer) -> Relax:
    qkv, cos, sin, position, _, _, key, value = on.inputs
    (b, slots, d), heads, steps = on.shape(6), int(on.constant(5)[1]), on.shape(1)[0]
    kernel = tir.attention_quantise(b, heads, d // heads, slots, steps, float(on.constant(4)), on.zero)
    reads = [qkv, cos, sin, position, on.view(key, (b, slots // LANES, d, LANES)), value]
    results = on.bb.emit(on.call(kernel, reads, _rows(b, d), updates=(4, 5)))
    return relax.Tuple([results[0], results[1], on.view(results[2], (b, slots, d)), results[3]])


def _conv_quantise(on: Importer) -> Relax:
    u, _, bias, position, conv = on.inputs
    b, e, past = on.shape(4)
    weight = relax.const(np.ascontiguousarray(on.constant(1).T))
    reads = [u, weight, bias, position, on.view(conv, (b, past, e))]
    kernel = tir.conv_quantise(b, e, past + 1, on.zero)
    results = on.bb.emit(on.call(kernel, reads, [((b, e), "float32"), *_rows(b, e)], updates=(4,)))
    return relax.Tuple([results[0], results[1], results[2], on.view(results[3], (b, e, past))])


def _scan_quantise(on: Importer) -> Relax:
    delta, u, z, B, C, _, D, position, ssm = on.inputs
    b, e, n = on.shape(8)
    A = on.constant(5)
    rate = np.ascontiguousarray(A[:, 0])
    if not np.allclose(A, rate[:, None] * np.arange(1, n + 1), rtol=1e-6, atol=0):
        raise EdgegenError("the step graph's state space has rates that are not 1, 2, ... times one of each channel")
    reads = [delta, u, z, B, C, relax.const(rate), D, position, on.view(ssm, (b, e // LANES, n, LANES))]
    kernel = tir.scan_quantise(b, e, n, on.lanes, on.zero)
    results = on.bb.emit(on.call(kernel, reads, _rows(b, e), updates=(8,)))
    return relax.Tuple([results[0], results[1], on.view(results[2], (b, e, n))])


def _lookup(on: Importer) -> Relax:
    (r, d), (b,) = on.shape(0), on.shape(1)
    return on.call(tir.lookup(b, r, d), on.inputs, [((b, d), "float32")])


def _path_quantise(on: Importer) -> Relax:
    b, n = on.shape(0)
    return on.call(tir.path_quantise(b, n, on.zero), on.inputs, _rows(b, 2 * n))


def _refine(on: Importer) -> Relax:
    (b, n), (r, _) = on.shape(1), on.shape(2)
    return on.call(tir.refine(b, n, r), on.inputs, [], updates=(1,))


CONVERSIONS: dict[str, Callable[[Importer], Relax]] = {
    "AddedLinear": _linear,
    "AttentionQuantise": _attention_quantise,
    "ConvQuantise": _conv_quantise,
    "Embedding": _embedding,
    "GateQuantise": _gate_quantise,
    "Head": _head,
    "Linear": _linear,
    "Lookup": _lookup,
    "NormQuantise": _norm_quantise,
    "PathQuantise": _path_quantise,
    "Refine": _refine,
    "RowQuantise": _row_quantise,
    "ScanQuantise": _scan_quantise,
    "SoftplusLinear": _softplus_linear,
}


@contextmanager
def _conversions(instructions: str) -> Iterator[None]:
    """TVM's importer takes no conversions from outside: its table is widened while it runs."""
    stock = onnx_frontend._get_convert_map

    def converter(name: str) -> type:
        def convert(bb: Any, inputs: Any, attr: Any, params: Any) -> Relax:
            return bb.normalize(CONVERSIONS[name](Importer(bb, list(inputs), instructions)))

        return type(name, (onnx_frontend.OnnxOpConverter,), {"_impl_v1": staticmethod(convert)})

    onnx_frontend._get_convert_map = lambda: {**stock(), **{name: converter(name) for name in CONVERSIONS}}
    try:
        yield
    finally:
        onnx_frontend._get_convert_map = stock


def import_step(model: onnx.ModelProto, width: int, instructions: str) -> tvm.IRModule:
    """The Relax module of a fused step graph at batch `width`, its products in `instructions` (tir.products.DOTS)."""
    # A dimension without a number is the batch, or as many times the batch as a step has outputs.
    sizes = {OUTPUTS: width * outputs_of(model)}
    shapes = {
        v.name: [d.dim_value or sizes.get(d.dim_param, width) for d in v.type.tensor_type.shape.dim]
        for v in model.graph.input
    }
    with _conversions(instructions):
        return onnx_frontend.from_onnx(model, shape_dict=shapes)

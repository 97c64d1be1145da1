"""ONNX step graph -> Relax, at one batch width, with the importer's costly conversions replaced.

The stock importer widens int8 weights to int32 and guards every Cast and Gather against values that a step graph
never holds; over a hundred matrix products that is most of a step's time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, te
from tvm.relax.frontend.onnx import onnx_frontend

Relax = Any  # a Relax expression
OUT_ELEMENTWISE_FUSABLE = 4  # TVM's pattern kind for a product whose output may absorb elementwise operators


def linear_rows(x: te.Tensor, weight: te.Tensor) -> te.Tensor:
    """int32 (batch, N) = int8 x (batch, K) times int8 weight (N, K), transposed; the weight stays int8."""
    k = te.reduce_axis((0, x.shape[1]), "k")
    return te.compute(
        (x.shape[0], weight.shape[0]),
        lambda b, n: te.sum(x[b, k].astype("int32") * weight[n, k].astype("int32"), axis=k),
        name="linear",
    )


def _matmul_integer(bb: relax.BlockBuilder, inputs: Any, attr: Any, params: Any) -> Relax:
    if len(inputs) > 2 and any(zero is not None for zero in inputs[2:]):
        raise ValueError("an int8 step graph has no zero points")
    # The importer has folded the Transpose before it; rows are what the kernels and the embedding want.
    rows = relax.const(np.ascontiguousarray(inputs[1].value.numpy().T))
    return bb.call_te(linear_rows, inputs[0], rows, primfunc_attrs={"op_pattern": OUT_ELEMENTWISE_FUSABLE})


def _cast(bb: relax.BlockBuilder, inputs: Any, attr: Any, params: Any) -> Relax:
    return relax.op.astype(inputs[0], onnx_frontend.get_type(attr["to"]))


def _max(bb: relax.BlockBuilder, inputs: Any, attr: Any, params: Any) -> Relax:
    left, right = inputs
    return relax.op.maximum(left, right)


def _gather(bb: relax.BlockBuilder, inputs: Any, attr: Any, params: Any) -> Relax:
    return bb.normalize(relax.op.take(inputs[0], inputs[1], attr.get("axis", 0), mode="fast"))


def _gather_nd(bb: relax.BlockBuilder, inputs: Any, attr: Any, params: Any) -> Relax:
    index = bb.normalize(relax.op.squeeze(inputs[1], [-1]))
    return bb.normalize(relax.op.take(inputs[0], index, 0, mode="fast"))


CONVERSIONS: dict[str, Callable[..., Relax]] = {
    "Cast": _cast,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "MatMulInteger": _matmul_integer,
    "Max": _max,
}


@contextmanager
def _conversions() -> Iterator[None]:
    stock = onnx_frontend._get_convert_map

    def ours() -> dict[str, Any]:
        table = dict(stock())
        for name, function in CONVERSIONS.items():
            table[name] = type(name, (onnx_frontend.OnnxOpConverter,), {"_impl_v1": staticmethod(function)})
        return table

    onnx_frontend._get_convert_map = ours
    try:
        yield
    finally:
        onnx_frontend._get_convert_map = stock


def import_step(model: onnx.ModelProto, width: int) -> tvm.IRModule:
    """The Relax module of an int8 step graph whose batch dimension is `width`."""
    shapes = {
        value.name: [width, *(d.dim_value for d in value.type.tensor_type.shape.dim[1:])] for value in model.graph.input
    }
    with _conversions():
        return onnx_frontend.from_onnx(model, shape_dict=shapes)

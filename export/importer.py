"""Fused step graph -> Relax, at one batch width: every fused operator becomes a call of its kernel.

What is left of standard operators (a Split, the Transpose of a weight) goes through TVM's own ONNX importer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import tvm
from tvm.relax.frontend.onnx import onnx_frontend

from edgegen.export.conversions import CONVERSIONS
from edgegen.export.converter import Converter, Relax
from edgegen.export.fuse import PLACES, outputs_of


@contextmanager
def _conversions(instructions: str) -> Iterator[None]:
    """TVM's importer takes no conversions from outside: its table is widened while it runs."""
    stock = onnx_frontend._get_convert_map

    def converter(name: str) -> type:
        def convert(bb: Any, inputs: Any, attr: Any, params: Any) -> Relax:
            return bb.normalize(CONVERSIONS[name](Converter(bb, list(inputs), instructions)))

        return type(name, (onnx_frontend.OnnxOpConverter,), {"_impl_v1": staticmethod(convert)})

    onnx_frontend._get_convert_map = lambda: {**stock(), **{name: converter(name) for name in CONVERSIONS}}
    try:
        yield
    finally:
        onnx_frontend._get_convert_map = stock


def import_step(model: onnx.ModelProto, width: int, instructions: str) -> tvm.IRModule:
    """The Relax module of a fused step graph at batch `width`, its products in `instructions` (tir.products.DOTS)."""
    # A dimension without a number is the batch, or as many times the batch as a step has outputs.
    sizes = {PLACES: width * outputs_of(model)}
    shapes = {
        v.name: [d.dim_value or sizes.get(d.dim_param, width) for d in v.type.tensor_type.shape.dim]
        for v in model.graph.input
    }
    with _conversions(instructions):
        return onnx_frontend.from_onnx(model, shape_dict=shapes)

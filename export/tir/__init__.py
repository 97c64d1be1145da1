"""The kernels of a step, one for each fused operator of export/fuse.py, as TIR that every target compiles.

Every kernel gives the same bits on every processor: no expression leaves it to a compiler whether to contract a product
and a sum (each is an explicit `fma`; the only plain product that is ever added is one by a power of two, which rounds
nothing), and every sum runs over a fixed number of lanes in a fixed order.

Shapes: b rows of the batch, d width, e inner width, n state, s slots of the cache.
"""

from edgegen.export.tir.attention import attention_quantise
from edgegen.export.tir.mamba import conv_quantise, scan_quantise
from edgegen.export.tir.products import embedding, head, linear
from edgegen.export.tir.refine import lookup, path_quantise, refine
from edgegen.export.tir.rows import gate_quantise, norm_quantise, row_quantise

__all__ = [
    "attention_quantise",
    "conv_quantise",
    "embedding",
    "gate_quantise",
    "head",
    "linear",
    "lookup",
    "norm_quantise",
    "path_quantise",
    "refine",
    "row_quantise",
    "scan_quantise",
]

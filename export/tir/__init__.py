"""The kernels of a step, one for each fused operator of export/fuse.py, as TIR that every target compiles.

Every kernel gives the same bits on every processor: no expression leaves it to a compiler whether to contract a product
and a sum (each is an explicit `fma`; the only plain product that is ever added is one by a power of two, which rounds
nothing), and every sum runs over a fixed number of lanes in a fixed order.

Shapes: b rows of the batch, d width, e inner width, n state, s slots of the cache.
"""

from edgegen.export.tir.attention import attention
from edgegen.export.tir.floats import Floats, float_embedding
from edgegen.export.tir.levels import Levels, embedding
from edgegen.export.tir.mamba import conv, scan
from edgegen.export.tir.products import head, linear
from edgegen.export.tir.refine import lookup, path, refine
from edgegen.export.tir.rows import gate, norm, row_quantise, softmax

__all__ = [
    "Floats",
    "Levels",
    "attention",
    "conv",
    "embedding",
    "float_embedding",
    "gate",
    "head",
    "linear",
    "lookup",
    "norm",
    "path",
    "refine",
    "row_quantise",
    "scan",
    "softmax",
]

"""What a conversion of one fused operator is given, and how it calls a kernel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

from edgegen.errors import EdgegenError
from edgegen.export.tir.products import DOTS

Relax = Any  # a Relax expression
FRESH = -1  # an output that the kernel writes to a tensor of its own


class Converter:
    """One operator's inputs, and what its conversion may do with them; the last, how many rows there are, is apart."""

    def __init__(self, bb: relax.BlockBuilder, inputs: Sequence[Relax], dot: str) -> None:
        self.bb, self.dot = bb, dot
        *self.inputs, self.rows = inputs
        self.zero = DOTS[dot].ZERO

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.inputs[index].ty.shape)

    def constant(self, index: int) -> np.ndarray[Any, Any]:
        value = self.inputs[index]
        if not isinstance(value, tvm.ir.GenericConst):
            raise EdgegenError("the step graph computes what a kernel needs as a constant")
        result: np.ndarray[Any, Any] = value.value.numpy()
        return result

    def is_state(self, index: int) -> bool:
        """Whether it is what the step was given, and not something on the way."""
        value = self.inputs[index]
        return isinstance(value, relax.Var) and self.bb.lookup_binding(value) is None

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

    def results(
        self,
        kernel: Any,
        reads: Sequence[Relax],
        writes: Sequence[tuple[tuple[int, ...], str]],
        updates: Sequence[int],
    ) -> list[Relax]:
        """Each result of a `call` that has several."""
        made = self.bb.emit(self.call(kernel, reads, writes, updates))
        return [made[i] for i in range(len(made.ty.fields))]

    def view(self, value: Relax, shape: tuple[int, ...]) -> Relax:
        """The same memory under another shape."""
        return self.bb.emit(relax.op.reshape(value, shape))

"""Relax module -> a straight list of calls to TIR kernels, with every tensor's place fixed.

There is no virtual machine and no TVM on the device: what is left after this file is PrimFuncs, constants, and
which of them reads and writes which tensor, in order.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax, te, topi
from tvm.relax import transform as passes

from edgegen.errors import EdgegenError
from edgegen.export import maths
from edgegen.export.importer import import_step


@dataclass(frozen=True)
class Tensor:
    """A tensor of the step: `kind` is input, output, constant or scratch; names are unique in their kind."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Call:
    """One kernel call: its name, the tensors it reads, and those it writes, in the kernel's parameter order."""

    kernel: str
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]


@dataclass(frozen=True)
class Program:
    """One step at one batch width.

    kernels:   PrimFuncs by name, for any target
    calls:     in order
    constants: name -> array
    inputs, outputs: as in the ONNX graph, in its order
    """

    width: int
    kernels: dict[str, tvm.tirx.PrimFunc]
    calls: tuple[Call, ...]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def _elementwise(expression: Any, name: str) -> Any:
    def legalize(bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        def compute(x: te.Tensor) -> te.Tensor:
            return te.compute(x.shape, lambda *i: expression(x(*i)), name=name)

        return bb.call_te(compute, call.args[0], primfunc_name_hint=name)

    return legalize


def _softmax(bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Softmax over the last axis as three kernels: a single one would want a work area of its own."""
    x = call.args[0]
    largest = bb.emit_te(lambda x: topi.max(x, axis=-1, keepdims=True), x, primfunc_name_hint="softmax_max")

    def weigh(x: te.Tensor, largest: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda *i: maths.exp(x(*i) - largest(*i[:-1], 0)), name="weight")

    weight = bb.emit_te(weigh, x, largest, primfunc_name_hint="softmax_exp")
    total = bb.emit_te(lambda w: topi.sum(w, axis=-1, keepdims=True), weight, primfunc_name_hint="softmax_sum")
    return bb.call_te(lambda w, s: topi.divide(w, s), weight, total, primfunc_name_hint="softmax_divide")


def _take(bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Slices of a table along one axis, by indices that the host has checked: no wrapping, no clamping."""
    axis = int(call.attrs.axis)

    def take(table: te.Tensor, index: te.Tensor) -> te.Tensor:
        rank = len(index.shape)
        shape = [*table.shape[:axis], *index.shape, *table.shape[axis + 1 :]]
        return te.compute(
            shape, lambda *i: table(*i[:axis], index(*i[axis : axis + rank]), *i[axis + rank :]), name="take"
        )

    return bb.call_te(take, *call.args, primfunc_name_hint="take")


def _power(bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    exponent = call.args[1]
    if not (isinstance(exponent, tvm.ir.GenericConst) and float(exponent.value.numpy()) == 2.0):
        raise EdgegenError("the step graph has a power other than a square, which no kernel computes")
    return _elementwise(lambda x: x * x, "square")(bb, call)


LEGAL_FORMS = {
    "relax.power": _power,
    "relax.take": _take,
    "relax.exp": _elementwise(maths.exp, "exp"),
    "relax.sigmoid": _elementwise(maths.sigmoid, "sigmoid"),
    "relax.nn.silu": _elementwise(lambda x: x * maths.sigmoid(x), "silu"),
    "relax.nn.softplus": _elementwise(maths.softplus, "softplus"),
    "relax.round": _elementwise(maths.round_even, "round"),
    "relax.nn.softmax": _softmax,
}


def lower(model: onnx.ModelProto, width: int) -> Program:
    """The program of an int8 step graph at one batch width; EdgegenError where a kernel would need a C library."""
    module = tvm.transform.Sequential(
        [
            passes.LegalizeOps(LEGAL_FORMS),
            passes.FoldConstant(),
            passes.AnnotateTIROpPattern(),
            passes.FuseOps(),
            passes.FuseTIR(),
            passes.DeadCodeElimination(["main"]),
            passes.ToNonDataflow(),
            passes.RemovePurityChecking(),
        ]
    )(import_step(model, width))
    return _Walk(model, module, width).program()


class _Walk:
    """Reads the bindings of `main`: each is a kernel call, a reshape, a tuple or a part of one."""

    def __init__(self, model: onnx.ModelProto, module: tvm.IRModule, width: int) -> None:
        self.module, self.width = module, width
        self.main = module["main"]
        self.output_names = [value.name for value in model.graph.output]
        self.bound: dict[Any, Any] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.by_content: dict[bytes, str] = {}
        self.calls: list[Call] = []
        self.kernels: dict[str, tvm.tirx.PrimFunc] = {}

    def program(self) -> Program:
        inputs = []
        names = [value.name for value in self.main.params]
        for name, var in zip(names, self.main.params, strict=True):
            self.bound[var] = tensor = Tensor(name, "input", *_shape_and_type(var.ty))
            inputs.append(tensor)
        body = self.main.body
        for block in body.blocks:
            for binding in block.bindings:
                self.bound[binding.var] = self._value(binding.value)
        results = self._value(body.body)
        outputs = tuple(
            Tensor(name, "output", t.shape, t.dtype) for name, t in zip(self.output_names, results, strict=True)
        )
        renamed = {t.name: out.name for t, out in zip(results, outputs, strict=True) if t.kind == "scratch"}
        if len(renamed) != len(outputs):
            raise EdgegenError("the step graph returns an input, a constant or one tensor twice")

        def rename(t: Tensor) -> Tensor:
            made_here = t.kind == "scratch" and t.name in renamed
            return Tensor(renamed[t.name], "output", t.shape, t.dtype) if made_here else t

        calls = tuple(Call(c.kernel, tuple(map(rename, c.reads)), tuple(map(rename, c.writes))) for c in self.calls)
        return Program(self.width, self.kernels, calls, self.constants, tuple(inputs), outputs)

    def _value(self, value: Any) -> Any:
        if isinstance(value, relax.Var):
            return self.bound[value]
        if isinstance(value, tvm.ir.GenericConst):
            return self._constant(value.value.numpy())
        if isinstance(value, relax.Tuple):
            return tuple(self._value(field) for field in value.fields)
        if isinstance(value, relax.TupleGetItem):
            return self._value(value.tuple_value)[value.index]
        if isinstance(value, relax.Call):
            return self._call(value)
        raise EdgegenError(f"the lowered step holds a {type(value).__name__}, which is no kernel call")

    def _call(self, call: Any) -> Any:
        operator = getattr(call.op, "name", str(call.op))
        if operator == "relax.reshape":
            return self._view(self._value(call.args[0]), call.ty)
        if operator != "relax.call_tir":
            raise EdgegenError(f"the lowered step calls {operator}, which is no kernel")
        kernel = call.args[0].name_hint
        self.kernels[kernel] = self.module[call.args[0]]
        reads = self._value(call.args[1])
        types = list(call.ty_args)
        if len(types) == 1 and isinstance(types[0], relax.TupleType):
            types = list(types[0].fields)
        writes = tuple(Tensor(f"t{len(self.calls)}_{i}", "scratch", *_shape_and_type(t)) for i, t in enumerate(types))
        self.calls.append(Call(kernel, reads, writes))
        return writes if len(writes) > 1 else writes[0]

    def _view(self, tensor: Tensor, kind: Any) -> Tensor:
        shape, _ = _shape_and_type(kind)
        return Tensor(tensor.name, tensor.kind, shape, tensor.dtype)

    def _constant(self, array: NDArray[Any]) -> Tensor:
        key = array.tobytes() + str((array.shape, array.dtype)).encode()
        name = self.by_content.setdefault(key, f"constant_{len(self.by_content)}")
        self.constants[name] = array
        return Tensor(name, "constant", tuple(array.shape), str(array.dtype))


def _shape_and_type(kind: Any) -> tuple[tuple[int, ...], str]:
    return tuple(int(d) for d in kind.shape), str(kind.dtype)

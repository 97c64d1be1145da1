"""Fused step graph -> a straight list of kernel calls.

There is no virtual machine and no TVM on the device: what is left after this file is PrimFuncs, constants, and
which of them reads and writes which tensor, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax import transform as passes

from edgegen.errors import EdgegenError
from edgegen.export.fuse import LEGAL, PLACES, ROWS, strays
from edgegen.export.importer import import_step


@dataclass(frozen=True)
class Tensor:
    """A tensor of the step: `kind` is input, output, constant or scratch. Two with one name share their memory."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Call:
    """A kernel's name and its arguments in its own order.

    updates: those of the reads that it changes in place, states
    needed: for which of the step's results
    """

    kernel: str
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    updates: tuple[Tensor, ...] = ()
    needed: frozenset[str] = frozenset()


# The inputs of every step, before its states.
HEAD = ("token", "position", ROWS, PLACES, LEGAL)
# What a call may be needed for.
LOGITS, STATES = "logits", "states"


@dataclass(frozen=True)
class Program:
    """One step at one batch width.

    kernels:   PrimFuncs by name, for any target
    calls:     in order
    constants: name -> array
    inputs:    token, position, rows, places and legal (see fuse), then the states, which the calls update in place
    logits:    (width, vocabulary), or (width, steps, vocabulary)
    """

    width: int
    kernels: dict[str, tvm.tirx.PrimFunc]
    calls: tuple[Call, ...]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[Tensor, ...]
    logits: Tensor

    @property
    def states(self) -> tuple[Tensor, ...]:
        return self.inputs[len(HEAD) :]


def lower(fused: onnx.ModelProto, width: int, instructions: str) -> Program:
    """The program of a fused step graph at batch `width`, its products in `instructions` (tir.products.DOTS).

    Raises EdgegenError where the graph holds something that is no kernel, or a state that no kernel updates in place.
    """
    found = strays(fused)
    if found:
        raise EdgegenError(f"the step graph has operators that no kernel computes: {', '.join(found)}")
    module = tvm.transform.Sequential(
        [
            # A reshape stays one: it is another view of the same memory, not a kernel.
            passes.LegalizeOps({"relax.reshape": lambda bb, call: call}),
            passes.FoldConstant(),
            passes.DeadCodeElimination(["main"]),
            passes.ToNonDataflow(),
            passes.RemovePurityChecking(),
        ]
    )(import_step(fused, width, instructions))
    return _Walk(module, width).program()


class _Walk:
    """Reads the bindings of `main`: each is a kernel call, a view, a tuple or a part of one."""

    def __init__(self, module: tvm.IRModule, width: int) -> None:
        self.module, self.width = module, width
        self.bound: dict[Any, Any] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.by_content: dict[bytes, str] = {}
        self.calls: list[Call] = []
        self.kernels: dict[str, tvm.tirx.PrimFunc] = {}

    def program(self) -> Program:
        main = self.module["main"]
        inputs = tuple(Tensor(var.name, "input", *_shape_and_type(var.ty)) for var in main.params)
        self.bound.update(zip(main.params, inputs, strict=True))
        for block in main.body.blocks:
            for binding in block.bindings:
                self.bound[binding.var] = self._value(binding.value)
        logits, *states = self._value(main.body.body)
        if not any(tensor.name == LEGAL for call in self.calls for tensor in call.reads):
            raise EdgegenError("the step graph does not end in a product that gives the logits")
        output = Tensor(logits.name, "output", logits.shape, logits.dtype)
        places = {logits.name: output}
        for state, new in zip(inputs[len(HEAD) :], states, strict=True):
            if new.name != state.name:
                self._check_overwritten(state, new)
                places[new.name] = state
        calls = _with_needs([_moved(call, places) for call in self.calls], output, inputs[len(HEAD) :])
        return Program(self.width, self.kernels, calls, self.constants, inputs, output)

    def _check_overwritten(self, state: Tensor, new: Tensor) -> None:
        """A state that no kernel updates in place is written anew, where it lies: nothing may read the old one then."""
        written = [i for i, call in enumerate(self.calls) if any(t.name == new.name for t in call.writes)]
        read = [i for i, call in enumerate(self.calls) if any(t.name == state.name for t in call.reads)]
        if not written or (new.shape, new.dtype) != (state.shape, state.dtype) or max(read, default=-1) >= written[0]:
            raise EdgegenError("the step graph changes a state in a form that no kernel updates in place")

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
            tensor: Tensor = self._value(call.args[0])
            return Tensor(tensor.name, tensor.kind, _shape_and_type(call.ty)[0], tensor.dtype)
        if operator not in ("relax.call_tir", "relax.call_tir_inplace"):
            raise EdgegenError(f"the lowered step calls {operator}, which is no kernel")
        kernel = call.args[0].name_hint
        self.kernels[kernel] = self.module[call.args[0]]
        reads = self._value(call.args[1])
        types = list(call.ty_args)
        if len(types) == 1 and isinstance(types[0], relax.TupleType):
            types = list(types[0].fields)
        places = [-1] * len(types)
        if operator == "relax.call_tir_inplace":
            places = [int(place) for place in call.attrs.inplace_indices]
        results = tuple(
            reads[place] if place >= 0 else Tensor(f"t{len(self.calls)}_{i}", "scratch", *_shape_and_type(kind))
            for i, (place, kind) in enumerate(zip(places, types, strict=True))
        )
        made = [tensor for place, tensor in zip(places, results, strict=True) if place < 0]
        updates = [tensor for place, tensor in zip(places, results, strict=True) if place >= 0]
        self.calls.append(Call(kernel, reads, tuple(made), tuple(updates)))
        return results if len(results) > 1 else results[0]

    def _constant(self, array: NDArray[Any]) -> Tensor:
        key = array.tobytes() + str((array.shape, array.dtype)).encode()
        name = self.by_content.setdefault(key, f"constant_{len(self.by_content)}")
        self.constants[name] = array
        return Tensor(name, "constant", tuple(array.shape), str(array.dtype))


def _moved(call: Call, places: dict[str, Tensor]) -> Call:
    """The call with the memory of some of its tensors, by name, in other places."""

    def moved(tensor: Tensor) -> Tensor:
        place = places.get(tensor.name)
        return Tensor(place.name, place.kind, tensor.shape, tensor.dtype) if place else tensor

    reads, writes, updates = (tuple(map(moved, tensors)) for tensors in (call.reads, call.writes, call.updates))
    return replace(call, reads=reads, writes=writes, updates=updates)


def _with_needs(calls: list[Call], logits: Tensor, states: Sequence[Tensor]) -> tuple[Call, ...]:
    """The calls, each with the results for which it is needed."""
    wanted = {LOGITS: {logits.name}, STATES: {state.name for state in states}}
    told: list[Call] = []
    for call in reversed(calls):
        made = {tensor.name for tensor in (*call.writes, *call.updates)}
        needed = frozenset(result for result, names in wanted.items() if names & made)
        for result in needed:
            wanted[result] |= {tensor.name for tensor in call.reads}
        told.append(replace(call, needed=needed))
    return tuple(reversed(told))


def _shape_and_type(kind: Any) -> tuple[tuple[int, ...], str]:
    return tuple(int(d) for d in kind.shape), str(kind.dtype)

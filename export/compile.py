"""TIR kernels -> one object file for a target, each kernel a plain C function on pointers.

TVM's own entry points check and unpack an argument array on every call and want its runtime to report errors to.
A step makes hundreds of calls a token with arguments fixed at export, so the kernels are given the C ABI instead:
`void kernel(const void *read, ..., void *written)`, with no undefined symbol left.
"""

from pathlib import Path
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.ir import PointerType, PrimType

from edgegen.export.lower import Program
from edgegen.export.targets import Target, Variant

RAW_POINTERS = 2  # TVM's calling convention whose parameters are passed as they are

LOWERING = (
    s_tir.transform.CanonicalizeLoop,
    s_tir.transform.LowerInitBlock,
    s_tir.transform.PlanAndUpdateBufferAllocationLocation,
    s_tir.transform.ConvertBlocksToOpaque,
    s_tir.transform.CompactBufferAllocation,
    s_tir.transform.LowerMatchBuffer,
    s_tir.transform.StmtSimplify,
    s_tir.transform.LowerOpaqueBlock,
    tirx.transform.FlattenBuffer,
    lambda: tirx.transform.NarrowDataType(32),
    s_tir.transform.LoopPartition,
    tirx.transform.VectorizeLoop,
    tirx.transform.StorageRewrite,
    s_tir.transform.HoistIfThenElse,
    tirx.transform.UnrollLoop,
    s_tir.transform.RenormalizeSplitPattern,
    tirx.transform.StmtSimplify,
    tirx.transform.RemoveNoOp,
    s_tir.transform.RewriteUnsafeSelect,
    tirx.transform.CommonSubexprElim,
    tirx.transform.VerifyMemory,
)


def symbol(variant: Variant, program: Program, kernel: str) -> str:
    """The C name of a kernel."""
    return f"{variant.name}_w{program.width}_{kernel}"


def compile_kernels(programs: list[Program], target: Target, variant: Variant, path: Path) -> None:
    """Writes the object file of all kernels of `programs` for one variant."""
    llvm = {"kind": "llvm", "mtriple": target.triple, "mcpu": variant.mcpu, "mattr": list(variant.mattr)}
    if target.float_abi:
        llvm["mfloat-abi"] = target.float_abi
    tvm_target = tvm.target.Target(llvm)
    functions = {
        symbol(variant, program, name): kernel.with_attr("target", tvm_target)
        for program in programs
        for name, kernel in program.kernels.items()
    }
    module = tvm.IRModule({name: f.with_attr("global_symbol", name) for name, f in functions.items()})
    module = tvm.transform.Sequential([make() for make in LOWERING])(module)
    module = tvm.IRModule({name: _on_pointers(module[name]) for name in functions})
    module = tirx.transform.LowerIntrin()(module)
    tvm.get_global_func("target.build.llvm")(module, tvm_target).write_to_file(str(path))


def _on_pointers(function: Any) -> Any:
    """The flattened `function` with a raw pointer for each buffer parameter."""
    pointers = {
        parameter: tirx.Var(f"{parameter.name}_data", PointerType(PrimType(str(parameter.ty.dtype))))
        for parameter in function.params
    }
    body = [
        tirx.DeclBuffer(statement.buffer, data=pointers[statement.data.args[0]])
        if isinstance(statement, tirx.DeclBuffer) and statement.data.args[0] in pointers
        else statement
        for statement in (function.body.seq if isinstance(function.body, tirx.SeqStmt) else [function.body])
    ]
    raw = tirx.PrimFunc(list(pointers.values()), tirx.SeqStmt(body), attrs=function.attrs)
    return raw.with_attr("calling_conv", RAW_POINTERS)

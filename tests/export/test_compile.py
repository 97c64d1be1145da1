"""What is inside the objects of whole steps."""

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from compiled import VARIANTS, X86_64

from edgegen.export.compile import compile_kernels, symbol
from edgegen.export.fuse import fuse
from edgegen.export.lower import Program, lower
from edgegen.export.quantise import quantise

ARCHS = pytest.mark.parametrize("arch", ["llama", "mamba"])
DOTS = pytest.mark.parametrize("dot", VARIANTS)
# LLVM copies and clears with these, and every C library has them.
ALLOWED = {"memcpy", "memset"}

Objects = Callable[[str, str], tuple[Program, Path]]


@pytest.fixture(scope="module")
def objects(graphs: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Objects:
    folder = tmp_path_factory.mktemp("objects")

    def write(arch: str, dot: str) -> tuple[Program, Path]:
        program = lower(fuse(quantise(onnx.load(graphs(arch, "tiny")))), 1, dot)
        path = folder / f"{arch}-{dot}.o"
        compile_kernels([program], X86_64, VARIANTS[dot], path)
        return program, path

    return functools.cache(write)


def objdump(*arguments: str | Path) -> str:
    if not shutil.which("objdump"):
        pytest.skip("objdump (binutils) is missing")
    return subprocess.run(["objdump", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@ARCHS
@DOTS
def test_an_object_defines_its_kernels_and_needs_nothing(objects: Objects, arch: str, dot: str) -> None:
    program, path = objects(arch, dot)
    lines = [line.split() for line in objdump("-t", path).splitlines()]
    undefined = {line[-1] for line in lines if "*UND*" in line}
    assert undefined <= ALLOWED
    functions = {line[-1] for line in lines if ".text" in line and "F" in line and "g" in line}
    assert functions == {symbol(VARIANTS[dot], program, kernel) for kernel in program.kernels}


@ARCHS
@DOTS
def test_products_are_the_processors_own(objects: Objects, arch: str, dot: str) -> None:
    code = objdump("-d", "--no-show-raw-insn", objects(arch, dot)[1])
    wide = "%zmm" in code
    if dot == "vnni":
        assert wide
        assert code.count("vpdpbusd") > 30
    else:
        assert not wide
        assert min(code.count(name) for name in ("vpmaddubsw", "vpmaddwd")) > 30
    # A product in doubles would be a kernel gone astray.
    assert "vmulpd" not in code
    assert "vmulsd" not in code

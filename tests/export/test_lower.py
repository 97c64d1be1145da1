import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgegen.errors import EdgegenError
from edgegen.export.fuse import fuse
from edgegen.export.lower import LOGITS, STATES, Call, Program, Tensor, lower
from edgegen.export.plan import ALIGNMENT, Plan, plan
from edgegen.export.quantise import quantise

Graphs = Callable[[str, str], Path]
Programs = Callable[[str, int, str], Program]
ARCHS = pytest.mark.parametrize("arch", ["llama", "mamba", "diffusion"])


@pytest.fixture(scope="module")
def programs(graphs: Graphs) -> Programs:
    fused = functools.cache(lambda arch: fuse(quantise(onnx.load(graphs(arch, "tiny")))))
    return functools.cache(lambda arch, width, dot: lower(fused(arch), width, dot))


@ARCHS
@pytest.mark.parametrize("width", [1, 5])
def test_a_call_reads_what_is_there(programs: Programs, arch: str, width: int) -> None:
    program = programs(arch, width, "avx2")
    known = {tensor.name for tensor in program.inputs} | set(program.constants)
    for call in program.calls:
        assert call.kernel in program.kernels
        assert {tensor.name for tensor in call.reads} <= known
        # The only one that is there before it is written is a state that is written anew.
        states = {tensor.name for tensor in program.states}
        assert known.isdisjoint({tensor.name for tensor in call.writes} - states)
        known |= {tensor.name for tensor in call.writes}
    assert sum(tensor.name == program.logits.name for call in program.calls for tensor in call.writes) == 1
    assert (program.logits.kind, program.logits.shape[0]) == ("output", width)


@ARCHS
def test_states_are_updated_in_place_by_one_call_each(programs: Programs, arch: str) -> None:
    program = programs(arch, 2, "avx2")
    states = {tensor.name for tensor in program.states}
    readers = Counter(tensor.name for call in program.calls for tensor in call.reads if tensor.name in states)
    # Codes and guess are read as a whole; between the codes and the new guess is the estimate; and the codes are moved.
    codes, *others = (tensor.name for tensor in program.states)
    assert readers == ({codes: 3} | dict.fromkeys(others, 2) if arch == "diffusion" else dict.fromkeys(states, 1))
    assert len(states) == {"llama": 4, "mamba": 6, "diffusion": 2}[arch]


@ARCHS
@pytest.mark.parametrize(("result", "other"), [(LOGITS, STATES), (STATES, LOGITS)])
def test_a_result_is_made_without_the_calls_that_only_another_needs(
    programs: Programs, arch: str, result: str, other: str
) -> None:
    program = programs(arch, 2, "avx2")
    left_out = [call for call in program.calls if call.needed == {other}]
    left = [call for call in program.calls if call not in left_out]
    gone = {tensor.name for call in left_out for tensor in call.writes}
    assert not any(tensor.name in gone for call in left for tensor in call.reads)
    made = {tensor.name for call in left for tensor in (*call.writes, *call.updates)}
    assert made >= ({program.logits.name} if result == LOGITS else {tensor.name for tensor in program.states})
    names = {call.kernel for call in left_out}
    if other == STATES:
        assert ("softmax_quantise" in names) == (arch == "diffusion"), "the last refinement needs no odds over kinds"
    else:
        assert "head" in names


@ARCHS
def test_a_constant_is_there_once(graphs: Graphs, programs: Programs, arch: str) -> None:
    program = programs(arch, 1, "vnni")
    contents = Counter((array.tobytes(), array.shape, str(array.dtype)) for array in program.constants.values())
    assert set(contents.values()) == {1}
    embedding, head = (next(c for c in program.calls if c.kernel == name) for name in ("embedding", "head"))
    assert embedding.reads[1].name == head.reads[3].name, "embedding and head share their table"
    model = quantise(onnx.load(graphs(arch, "tiny")))
    weights = [numpy_helper.to_array(t) for t in model.graph.initializer]
    int8 = sum(array.size for array in weights if array.dtype == np.int8)
    kept = sum(array.size for array in program.constants.values() if array.dtype == np.int8)
    rest = sum(array.nbytes for array in program.constants.values()) - kept
    # Rows of zeros fill blocks of 16.
    assert int8 <= kept < 1.1 * int8
    assert rest < 0.5 * int8


@ARCHS
def test_all_variants_and_widths_make_the_same_calls(programs: Programs, arch: str) -> None:
    calls = [[call.kernel for call in programs(arch, *form).calls] for form in ((1, "avx2"), (1, "vnni"), (5, "avx2"))]
    assert calls[0] == calls[1] == calls[2]


def test_a_state_that_no_kernel_updates_is_refused(graphs: Graphs) -> None:
    model = fuse(quantise(onnx.load(graphs("llama", "tiny"))))
    key = next(node for node in model.graph.node if "next_key_0" in node.output)
    key.output[:] = ["written" if name == "next_key_0" else name for name in key.output]
    model.graph.node.append(helper.make_node("Transpose", ["written"], ["next_key_0"], perm=[0, 1, 2]))
    with pytest.raises(EdgegenError, match="changes a state in a form that no kernel updates in place"):
        lower(model, 1, "avx2")


def assert_no_live_tensors_overlap(program: Program, made: Plan) -> None:
    last = {t.name: i for i, call in enumerate(program.calls) for t in (*call.reads, *call.writes)}
    kept = {tensor.name: tensor for tensor in (*program.inputs, program.logits)}
    alive = dict(kept)
    for i, call in enumerate(program.calls):
        alive = {name: t for name, t in alive.items() if name in kept or last[name] >= i}
        alive |= {t.name: t for t in call.writes}
        end = 0
        for name, tensor in sorted(alive.items(), key=lambda item: (made.offsets[item[0]], item[1].bytes)):
            assert made.offsets[name] >= end, f"{name} overlaps at call {i}"
            assert made.offsets[name] % ALIGNMENT == 0
            end = made.offsets[name] + tensor.bytes
        assert end <= made.total


@ARCHS
@pytest.mark.parametrize("width", [1, 5])
def test_no_two_live_tensors_of_a_step_overlap(programs: Programs, arch: str, width: int) -> None:
    program = programs(arch, width, "avx2")
    made = plan(program)
    assert_no_live_tensors_overlap(program, made)
    constants = {tensor.name for call in program.calls for tensor in call.reads if tensor.kind == "constant"}
    assert constants.isdisjoint(made.offsets)
    written = sum(tensor.bytes for call in program.calls for tensor in call.writes)
    held = sum(-(-t.bytes // ALIGNMENT) * ALIGNMENT for t in (*program.inputs, program.logits))
    assert made.total - held < written, "memory is used again"


@st.composite
def step(draw: st.DrawFn) -> Program:
    """Calls that read any earlier tensors and write new ones of any size."""
    token, state = Tensor("token", "input", (3,), "int64"), Tensor("state", "input", (17,), "float32")
    logits = Tensor("logits", "output", (9,), "float32")
    known, calls = [token, state], []
    for i in range(draw(st.integers(1, 12))):
        reads = draw(st.lists(st.sampled_from(known), max_size=4))
        sizes = draw(st.lists(st.integers(1, 300), min_size=1, max_size=3))
        writes = [Tensor(f"t{i}_{k}", "scratch", (size,), "int8") for k, size in enumerate(sizes)]
        calls.append(Call("kernel", tuple(reads), tuple(writes)))
        known += writes
    calls.append(Call("kernel", (known[-1],), (logits,)))
    return Program(1, {}, tuple(calls), {}, (token, state), logits)


@given(step())
def test_no_two_live_tensors_of_any_step_overlap(program: Program) -> None:
    assert_no_live_tensors_overlap(program, plan(program))


def test_logits_that_are_no_product_are_refused(graphs: Graphs) -> None:
    model = quantise(onnx.load(graphs("llama", "tiny")))
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    last.output[0] = "below"
    model.graph.node.append(helper.make_node("Transpose", ["below"], ["logits"], perm=[0, 1]))
    with pytest.raises(EdgegenError, match="does not end in a product that gives the logits"):
        lower(fuse(model), 1, "avx2")


def test_an_operator_that_no_kernel_computes_is_refused(graphs: Graphs) -> None:
    model = fuse(quantise(onnx.load(graphs("llama", "tiny"))))
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    last.output[0] = "below"
    model.graph.node.append(helper.make_node("Relu", ["below"], ["logits"]))
    with pytest.raises(EdgegenError, match="no kernel computes: Relu"):
        lower(model, 1, "avx2")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgegen.errors import EdgegenError
from edgegen.export import headroom
from edgegen.export.quantise import LARGEST, SMALLEST_ROW, quantise, quantise_rows

Weight = NDArray[np.float32]

WEIGHTS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-1.0, 1.0, width=32),
)


@given(WEIGHTS)
def test_no_weight_is_off_by_more_than_half_a_level(weight: Weight) -> None:
    q, scale = quantise_rows(weight)
    assert (q.dtype, q.shape, scale.dtype, scale.shape) == (np.int8, weight.shape, np.float32, weight.shape[:1])
    assert np.abs(q.astype(int)).max() <= LARGEST
    error = np.abs(q * scale[:, None].astype(np.float64) - weight)
    # The quotient is rounded to float32 before it is rounded to a level.
    assert (error <= scale[:, None] * (0.5 + LARGEST * 2.0**-23)).all()


@given(WEIGHTS)
def test_each_row_uses_all_the_room_there_is_whatever_the_others_hold(weight: Weight) -> None:
    q, scale = quantise_rows(weight)
    for row in range(len(weight)):
        alone, scale_alone = quantise_rows(weight[row : row + 1])
        assert (alone[0] == q[row]).all()
        assert scale_alone[0] == scale[row]
        if np.abs(weight[row]).max() >= SMALLEST_ROW:
            largest = np.abs(alone.astype(int)).max()
            assert largest % 2 == 1
            next_odd = np.abs(weight[row]).max() / (largest + 2)
            assert largest == LARGEST or next_odd < headroom.least_scales(weight[row : row + 1])[0] * (1 + 1e-6)
    assert headroom.fits(q)


def test_a_row_of_zeros_stays_zeros() -> None:
    q, scale = quantise_rows(np.zeros((2, 5), np.float32))
    assert (q == 0).all()
    assert (scale > 0).all()


def linear_graph(weight: Weight, bias: Weight | None = None, **attributes: object) -> onnx.ModelProto:
    """y = Gemm(x, weight[, bias]), x (batch, k)."""
    inputs = ["x", "weight"] + ([] if bias is None else ["bias"])
    n, k = weight.shape if attributes.get("transB") else weight.shape[::-1]
    graph = helper.make_graph(
        [helper.make_node("Gemm", inputs, ["y"], name="linear", **attributes)],
        "one linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", n])],
        [
            numpy_helper.from_array(array, name)
            for array, name in ((weight, "weight"), (bias, "bias"))
            if array is not None
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, x: Weight, *outputs: tuple[str, int]) -> list[NDArray[Any]]:
    """What ONNX Runtime gives for `outputs`, inner tensors of the graph with their types."""
    for name, kind in outputs:
        if name not in {value.name for value in model.graph.output}:
            model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results: list[NDArray[Any]] = session.run([name for name, _ in outputs], {"x": x})
    return results


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 33), st.integers(1, 19), st.booleans(), st.integers(0, 2**32 - 1))
def test_onnxruntime_takes_the_integer_sums_that_numpy_takes(b: int, k: int, n: int, biased: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    weight, x = random.normal(size=(n, k)).astype(np.float32), random.normal(size=(b, k)).astype(np.float32)
    x[0] *= np.float32(1e-3)
    x[-1] *= np.float32(random.integers(2))
    bias = random.normal(size=n).astype(np.float32) if biased else None
    q, total, scale, y = run(
        quantise(linear_graph(weight, bias, transB=1)),
        x,
        ("x_q", TensorProto.INT8),
        ("y_sum", TensorProto.INT32),
        ("x_scale", TensorProto.FLOAT),
        ("y", TensorProto.FLOAT),
    )
    largest = np.maximum(np.abs(x).max(1, keepdims=True), np.float32(SMALLEST_ROW))
    levels = np.rint(x * (np.float32(LARGEST) / largest)).astype(np.int8)
    q_weight, weight_scale = quantise_rows(weight)
    assert (q == levels).all()
    assert (total == levels.astype(np.int32) @ q_weight.astype(np.int32).T).all()
    assert (scale == largest * np.float32(1 / LARGEST)).all()
    expected = total.astype(np.float32) * scale * weight_scale + (np.float32(0) if bias is None else bias)
    assert (y == expected).all()


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    random = np.random.default_rng(0)
    x = (random.normal(size=(7, 12)) * 10.0 ** np.arange(-3, 4)[:, None]).astype(np.float32)
    model = quantise(linear_graph(random.normal(size=(5, 12)).astype(np.float32), transB=1))
    (together,) = run(model, x, ("y", TensorProto.FLOAT))
    for row in range(len(x)):
        (alone,) = run(model, x[row : row + 1], ("y", TensorProto.FLOAT))
        assert (alone[0] == together[row]).all()


@pytest.mark.parametrize("attributes", [{}, {"transB": 1, "alpha": 0.5}, {"transB": 1, "beta": 2.0}])
def test_a_linear_of_another_form_is_refused(attributes: dict[str, object]) -> None:
    with pytest.raises(EdgegenError, match="the linear linear has a form that int8 export does not know"):
        quantise(linear_graph(np.ones((4, 4), np.float32), np.ones(4, np.float32), **attributes))


def test_nothing_stays_fp32_unnamed() -> None:
    model = linear_graph(np.ones((4, 4), np.float32))
    model.graph.node[0].op_type = "MatMul"
    with pytest.raises(EdgegenError, match="multiplies by weight in a form"):
        quantise(model)


@pytest.mark.parametrize("arch", ["llama", "mamba"])
def test_embedding_and_head_share_one_table(graphs: Callable[[str, str], Path], arch: str) -> None:
    fp32 = onnx.load(graphs(arch, "tiny"))
    model = quantise(fp32)
    assert {opset.domain for opset in model.opset_import} == {""}
    arrays_by_name = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    rows = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    tables = {name for name, array in arrays_by_name.items() if array.ndim == 2 and len(array) == rows}
    (table,) = tables
    assert arrays_by_name[table].dtype == np.int8
    assert sorted(n.op_type for n in model.graph.node if table in n.input) == ["Gather", "Transpose"]
    linears = [n for n in fp32.graph.node if n.op_type == "Gemm"]
    assert len([n for n in model.graph.node if n.op_type == "MatMulInteger"]) == len(linears) > 5
    weights = sum(array.size for array in arrays_by_name.values() if array.dtype == np.int8)
    assert model.ByteSize() < weights * 1.25 + 60_000
    assert {name for name in arrays_by_name if name in {n.input[1] for n in linears}} == set()

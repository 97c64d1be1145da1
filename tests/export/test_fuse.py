from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgegen.export.fuse import DOMAIN, LEGAL, PLACES, ROWS, fuse, strays
from edgegen.export.quantise import quantise

Graphs = Callable[[str, str], Path]

LAYERS = {("llama", "tiny"): 2, ("llama", "base"): 6, ("mamba", "tiny"): 3, ("diffusion", "tiny"): 2}


# The blocks: the table, the last norm, the head.
AROUND = ["Embedding", "NormQuantise", "Head"]


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node if node.domain == DOMAIN)


def expected(arch: str, layers: int) -> dict[str, int]:
    if arch == "llama":
        each = {"AttentionQuantise": 1, "GateQuantise": 1, "NormQuantise": 2, "AddedLinear": 2, "Linear": 2}
    elif arch == "mamba":
        each = {"ConvQuantise": 1, "ScanQuantise": 1, "NormQuantise": 1, "RowQuantise": 1, "SoftplusLinear": 1}
        each |= {"AddedLinear": 1, "Linear": 2}
    else:
        each = {"GateQuantise": 1, "NormQuantise": 1, "AddedLinear": 1, "Linear": 1}
        # Codes, label and time in; the guess; vectors of the trunk and of every code, their kinds, and the path out.
        around = ["PathQuantise", "RowQuantise", "AddedLinear", "AddedLinear", "Lookup", "Linear", "Refine"]
        around += ["Linear", "RowQuantise", "AddedLinear", "RowQuantise", "Linear", "SoftmaxQuantise", "Linear"]
        around += ["RowQuantise", "Refine", "Refine"]
        # Kinds are told by a block as the network has them.
        return dict(Counter({op: (layers + 1) * n for op, n in each.items()}) + Counter([*around, *AROUND]))
    every = Counter({op: layers * count for op, count in each.items()})
    return dict(every + Counter(AROUND))


@pytest.mark.parametrize(("arch", "size"), LAYERS)
def test_every_operator_is_fused(graphs: Graphs, arch: str, size: str) -> None:
    model = quantise(onnx.load(graphs(arch, size)))
    fused = fuse(model)
    assert operators(fused) == expected(arch, LAYERS[arch, size])
    weights = {t.name for t in model.graph.initializer}
    for node in fused.graph.node:
        assert node.domain == DOMAIN or node.op_type in ("Split", "Reshape") or node.input[0] in weights
        assert node.domain == DOMAIN or node.op_type in ("Split", "Transpose", "Reshape")
    assert [value.name for value in fused.graph.output] == [value.name for value in model.graph.output]
    token, position, *states = (value.name for value in model.graph.input)
    assert [value.name for value in fused.graph.input] == [token, position, ROWS, PLACES, LEGAL, *states]
    counts = Counter(node.input[-1] for node in fused.graph.node if node.domain == DOMAIN)
    # Each position has its vector, the odds of its kinds, and its logits.
    places = {PLACES: 12} if arch == "diffusion" else {}
    assert counts == {ROWS: sum(counts.values()) - sum(places.values())} | places


@pytest.mark.parametrize(("arch", "size"), [form for form in LAYERS if form[1] == "tiny"])
def test_every_operator_is_fused_where_nothing_is_quantised(graphs: Graphs, arch: str, size: str) -> None:
    fused = fuse(onnx.load(graphs(arch, size)))
    assert strays(fused) == []
    plain: Counter[str] = Counter()
    for op, count in expected(arch, LAYERS[arch, size]).items():
        if op != "RowQuantise":
            plain[op.removesuffix("Quantise").replace("Linear", "FloatLinear")] += count
    for op in ("Embedding", "Head"):
        plain[f"Float{op}"] = plain.pop(op)
    assert operators(fused) == plain


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("beta", 2.0), ("transA", 1), ("transB", 0)])
def test_a_linear_in_another_form_is_not_fused(graphs: Graphs, name: str, value: float) -> None:
    model = onnx.load(graphs("llama", "tiny"))
    with_attribute(model, "Gemm", name, value)
    assert "Gemm" in strays(fuse(model))


@pytest.mark.parametrize("arch", ["llama", "mamba"])
def test_nodes_stand_after_what_they_read(graphs: Graphs, arch: str) -> None:
    fused = fuse(quantise(onnx.load(graphs(arch, "tiny"))))
    known = {value.name for value in fused.graph.input} | {t.name for t in fused.graph.initializer}
    for node in fused.graph.node:
        assert set(node.input) <= known
        known |= set(node.output)
    assert {value.name for value in fused.graph.output} <= known


def with_attribute(model: onnx.ModelProto, op: str, name: str, value: object, was: object = None) -> None:
    """Changes an attribute of the first node of that kind, or of the first where it is `was`."""

    def is_meant(attribute: onnx.AttributeProto) -> bool:
        return attribute.name == name and (was is None or helper.get_attribute_value(attribute) == was)

    node = next(n for n in model.graph.node if n.op_type == op and any(map(is_meant, n.attribute)))
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def with_constant(model: onnx.ModelProto, op: str, index: int, value: object, was: object = None) -> None:
    """Gives the first node of that kind another constant as input `index`; `was` picks the node by its constant."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == op and len(node.input) > index and node.input[index] in constants:
            old = constants[node.input[index]]
            if was is None or (old.size == 1 and np.isclose(old, np.asarray(was, old.dtype)).all()):
                other = numpy_helper.from_array(np.full_like(old, value), f"{node.input[index]}_other")
                model.graph.initializer.append(other)
                node.input[index] = other.name
                return
    raise AssertionError(f"no {op} with such a constant")


MUTATIONS = {
    "axis of a norm's mean": ("llama", "NormQuantise", lambda m: with_constant(m, "ReduceMean", 1, 0)),
    "kept axis of a norm's mean": ("llama", "NormQuantise", lambda m: with_attribute(m, "ReduceMean", "keepdims", 0)),
    "smallest row": ("llama", "NormQuantise", lambda m: with_constant(m, "Max", 1, 1e-3)),
    "levels": ("llama", "NormQuantise", lambda m: with_constant(m, "Div", 0, 63.0)),
    "worth of a level": ("llama", "NormQuantise", lambda m: with_constant(m, "Mul", 1, 1 / 63, 1 / 127)),
    "axis of the softmax": ("llama", "AttentionQuantise", lambda m: with_attribute(m, "Softmax", "axis", 2)),
    "score of what is not seen": ("llama", "AttentionQuantise", lambda m: with_constant(m, "Where", 2, -1.0, -1e9)),
    "thirds of the attention": ("llama", "AttentionQuantise", lambda m: with_attribute(m, "Split", "axis", 0)),
    "order of the keys' axes": (
        "llama",
        "AttentionQuantise",
        lambda m: with_attribute(m, "Transpose", "perm", [0, 2, 1, 3], [0, 2, 3, 1]),
    ),
    "threshold of softplus": ("mamba", "SoftplusLinear", lambda m: with_constant(m, "Greater", 1, 10.0)),
    "first position": ("mamba", "ConvQuantise", lambda m: with_constant(m, "Equal", 1, 1)),
    "start of the kept inputs": ("mamba", "ConvQuantise", lambda m: with_constant(m, "Slice", 1, 0)),
    "end of the kept inputs": ("mamba", "ConvQuantise", lambda m: with_constant(m, "Slice", 2, 3)),
    "axis of the kept inputs": ("mamba", "ConvQuantise", lambda m: with_constant(m, "Slice", 3, 1)),
    "step of the kept inputs": ("mamba", "ConvQuantise", lambda m: with_constant(m, "Slice", 4, 2)),
    "axis of the convolution's sum": ("mamba", "ConvQuantise", lambda m: with_constant(m, "ReduceSum", 1, 1)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_differs_in_a_constant_does_not_match(graphs: Graphs, name: str) -> None:
    arch, op, mutate = MUTATIONS[name]
    model = quantise(onnx.load(graphs(arch, "tiny")))
    before = operators(fuse(model))[op]
    mutate(model)
    assert operators(fuse(model))[op] < before


def test_the_order_of_factors_does_not_matter(graphs: Graphs) -> None:
    model = quantise(onnx.load(graphs("llama", "tiny")))
    before = operators(fuse(model))
    for node in model.graph.node:
        if node.op_type in ("Mul", "Add", "Max"):
            node.input[:] = node.input[::-1]
    assert operators(fuse(model)) == before

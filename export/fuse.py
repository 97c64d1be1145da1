"""Step graph, int8 or fp32 -> the same graph in a dozen operators of our own, each of which is one kernel."""

from typing import Any

import onnx
from onnx import NodeProto, helper, numpy_helper

from edgegen.export.match import Graph
from edgegen.export.notation import Pattern
from edgegen.export.patterns import PATTERNS

DOMAIN = "edgegen"
# Standard operators that may stay: they only move numbers, so they give the same bits anywhere.
MOVES = {"Reshape", "Split", "Transpose"}
# What the product that gives the logits becomes.
HEADS = {"Linear": "Head", "FloatLinear": "FloatHead"}
# Inputs that fusing adds to the graph, in this order, after token and position.
ROWS, PLACES, LEGAL = "rows", "places", "legal"


def fuse(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every match of every pattern replaced by its fused operator.

    The product that gives the logits becomes a head, which has one input more: legal int32 (places, 2), the tokens
    low .. high - 1 whose logits are wanted of a row. And every fused operator has as its last input how many rows it
    is to compute, the first ones, int32 (1,): `rows` of them hold a flow, and where a step refines whole flows, these
    have `places` positions together.
    """
    nodes = list(model.graph.node)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if len(t.raw_data) <= 64}
    results = [value.name for value in model.graph.output]
    for pattern in PATTERNS:
        nodes = _replace(pattern, nodes, constants, results)
    _mark_head(nodes, results[0])
    many = _of_places(nodes, results[0])
    for node in nodes:
        if node.domain == DOMAIN:
            node.input.append(PLACES if node.output[0] in many else ROWS)
    token, position, *states = model.graph.input
    shapes: dict[str, list[Any]] = {ROWS: [1], PLACES: [1], LEGAL: [PLACES, 2]}
    added = [helper.make_tensor_value_info(name, onnx.TensorProto.INT32, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(
        nodes,
        model.graph.name,
        [token, position, *added, *states],
        model.graph.output,
        list(model.graph.initializer),
    )
    opsets = [*model.opset_import, helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


def outputs_of(model: onnx.ModelProto) -> int:
    """Rows of logits that a step gives for a row of the batch: 1, or one for each position of a flow."""
    _, *positions, _ = model.graph.output[0].type.tensor_type.shape.dim
    return int(positions[0].dim_value) if positions else 1


def _mark_head(nodes: list[NodeProto], logits: str) -> None:
    """Turns the product that gives the logits into a head, and a look-up in the floats of that into an embedding."""
    views = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Reshape"}
    for node in nodes:
        if node.op_type in HEADS and node.output[0] in (logits, views.get(logits)):
            for other in nodes:
                if other.op_type == "Lookup" and other.input[0] == node.input[1]:
                    other.op_type = "FloatEmbedding"
            node.op_type = HEADS[node.op_type]
            node.input.append(LEGAL)


def _of_places(nodes: list[NodeProto], logits: str) -> set[str]:
    """The outputs of nodes that have a row for each position of a flow, and not one for each flow."""
    many: set[str] = set()
    if any(node.op_type == "Reshape" and logits in node.output for node in nodes):
        # A reshape gives each position a row of its own, or, of such rows, each flow one again.
        for node in nodes:
            if (node.op_type == "Reshape") != bool(many & set(node.input)):
                many |= set(node.output)
    return many


def strays(fused: onnx.ModelProto) -> list[str]:
    """The operators of a fused graph that compute something in no kernel of ours."""
    return sorted({node.op_type for node in fused.graph.node if node.domain != DOMAIN} - MOVES)


def _replace(
    pattern: Pattern, nodes: list[NodeProto], constants: dict[str, Any], results: list[str]
) -> list[NodeProto]:
    graph = Graph(nodes, constants)
    for binding in graph.matches(pattern):
        outputs = [binding[name] for name in pattern.outputs]
        fused = helper.make_node(
            pattern.op, [binding[name] for name in pattern.inputs], outputs, name=outputs[0], domain=DOMAIN
        )
        nodes = [node for node in nodes if not set(node.output) & set(outputs)] + [fused]
    return _in_order(nodes, results)


def _in_order(nodes: list[NodeProto], results: list[str]) -> list[NodeProto]:
    """The nodes that `results` need, each after those it reads."""
    producer = {name: node for node in nodes for name in node.output}
    ordered: list[NodeProto] = []
    done: set[str] = set()

    def visit(name: str) -> None:
        node = producer.get(name)
        if node is None or node.output[0] in done:
            return
        done.add(node.output[0])
        for source in node.input:
            visit(source)
        ordered.append(node)

    for name in results:
        visit(name)
    return ordered

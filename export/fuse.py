"""int8 step graph -> the same graph in a dozen operators of our own, each of which is one kernel.

A pattern is ONNX written as Python assignments. A name that no line assigns is an input of the fused operator, a
literal must equal a constant of the graph, a keyword must equal an attribute. What a fused operator computes is
therefore written down once, here, in standard operators; `export/tir` computes the same in one pass.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

DOMAIN = "edgegen"
# Standard operators that may stay: they only move numbers, so they give the same bits anywhere.
MOVES = {"Reshape", "Split", "Transpose"}
COMMUTATIVE = {"Add", "Max", "Mul"}
FLOAT, INT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8

Binding = dict[str, str]


@dataclass(frozen=True)
class Line:
    """One operator of a pattern; an input is a name or a literal."""

    op: str
    inputs: tuple[Any, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Pattern:
    """op: the fused operator; inputs, outputs: names of the pattern, in the fused operator's order."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str
    lines: tuple[Line, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(_line(s) for s in ast.parse(self.source).body))


def _line(statement: Any) -> Line:
    call, target = statement.value, statement.targets[0]
    names: list[Any] = target.elts if isinstance(target, ast.Tuple) else [target]
    inputs = tuple(a.id if isinstance(a, ast.Name) else np.array(ast.literal_eval(a)) for a in call.args)
    attributes = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    return Line(call.func.id, inputs, tuple(n.id for n in names), attributes)


ROW_QUANTISE = """
absolute = Abs(x)
most = ReduceMax(absolute, [-1], keepdims=1)
largest = Max(most, 1e-30)
inverse = Div(127.0, largest)
scale = Mul(largest, 0.007874015718698502)
wide = Mul(x, inverse)
rounded = Round(wide)
q = Cast(rounded, to=3)
"""

LOGISTIC = """
negative = Neg(x)
power = Exp(negative)
above = Add(power, 1.0)
y = Div(1.0, above)
"""

EMBEDDING = """
q = Gather(table, token, axis=0)
scale = Gather(table_scale, token, axis=0)
wide = Cast(q, to=1)
column = Unsqueeze(scale, [-1])
x = Mul(wide, column)
"""

LINEAR = """
total = MatMulInteger(q, weight)
wide = Cast(total, to=1)
scaled = Mul(wide, scale)
y = Mul(scaled, weight_scale)
"""

ADDED_LINEAR = """
plain = Linear(q, scale, weight, weight_scale)
y = Add(plain, added)
"""

# Softplus as PyTorch exports it: the identity above 20, where log(1 + e^x) rounds to x.
SOFTPLUS_LINEAR = """
y = AddedLinear(q, scale, weight, weight_scale, bias)
soft = Softplus(y)
above = Greater(y, 20.0)
positive = Where(above, y, soft)
"""

NORM_QUANTISE = """
square = Mul(x, x)
mean = ReduceMean(square, [-1], keepdims=1)
shifted = Add(mean, eps)
root = Sqrt(shifted)
inverse = Reciprocal(root)
unit = Mul(x, inverse)
y = Mul(unit, gain)
q, scale = RowQuantise(y)
"""

GATE_QUANTISE = """
gate, up = Split(x, axis=1, num_outputs=2)
open = Logistic(gate)
silu = Mul(gate, open)
y = Mul(silu, up)
q, scale = RowQuantise(y)
"""

ROTATE = """
{x}_low, {x}_high = Split({x}_heads, axis=2, num_outputs=2)
{x}_1 = Mul({x}_low, cos)
{x}_2 = Mul({x}_high, sin)
{x}_new_low = Sub({x}_1, {x}_2)
{x}_3 = Mul({x}_high, cos)
{x}_4 = Mul({x}_low, sin)
{x}_new_high = Add({x}_3, {x}_4)
{x}_turned = Concat({x}_new_low, {x}_new_high, axis=-1)
"""

ATTENTION_QUANTISE = f"""
cos_row = Gather(cos_table, position, axis=0)
cos = Unsqueeze(cos_row, [1])
sin_row = Gather(sin_table, position, axis=0)
sin = Unsqueeze(sin_row, [1])
column = Unsqueeze(position, [-1])
at = Equal(slots, column)
here = Unsqueeze(at, [-1])
before = LessOrEqual(slots, column)
seen = Unsqueeze(before, [1, 2])
q, k, v = Split(qkv, axis=1, num_outputs=3)
q_heads = Reshape(q, heads_shape)
{ROTATE.format(x="q")}
k_heads = Reshape(k, heads_shape)
{ROTATE.format(x="k")}
k_row = Reshape(k_turned, row_shape)
next_key = Where(here, k_row, key)
v_row = Reshape(v, row_shape)
next_value = Where(here, v_row, value)
keys = Reshape(next_key, cache_shape)
keys_by_head = Transpose(keys, perm=[0, 2, 3, 1])
values = Reshape(next_value, cache_shape)
values_by_head = Transpose(values, perm=[0, 2, 1, 3])
queries = Reshape(q_turned, query_shape)
products = MatMul(queries, keys_by_head)
scores = Mul(products, temperature)
masked = Where(seen, scores, -1e9)
weights = Softmax(masked, axis=-1)
mixed = MatMul(weights, values_by_head)
y = Reshape(mixed, out_shape)
y_q, y_scale = RowQuantise(y)
"""

CONV_QUANTISE = """
first = Equal(position, 0)
first_row = Unsqueeze(first, [-1])
fresh = Unsqueeze(first_row, [-1])
past = Where(fresh, 0.0, conv)
newest = Unsqueeze(u, [-1])
window = Concat(past, newest, axis=-1)
products = Mul(window, weight)
total = ReduceSum(products, [-1], keepdims=0)
shifted = Add(total, bias)
open = Logistic(shifted)
y = Mul(shifted, open)
next_conv = Slice(window, [1], [9223372036854775807], [2], [1])
q, scale = RowQuantise(y)
"""

SCAN_QUANTISE = """
first = Equal(position, 0)
first_row = Unsqueeze(first, [-1])
fresh = Unsqueeze(first_row, [-1])
delta_column = Unsqueeze(delta, [-1])
exponent = Mul(delta_column, A)
decay = Exp(exponent)
past = Where(fresh, 0.0, ssm)
kept = Mul(decay, past)
scaled = Mul(delta, u)
scaled_column = Unsqueeze(scaled, [-1])
B_row = Unsqueeze(B, [1])
added = Mul(scaled_column, B_row)
next_ssm = Add(kept, added)
C_row = Unsqueeze(C, [1])
read = Mul(next_ssm, C_row)
total = ReduceSum(read, [-1], keepdims=0)
skip = Mul(D, u)
sum = Add(total, skip)
open = Logistic(z)
gate = Mul(z, open)
y = Mul(sum, gate)
q, scale = RowQuantise(y)
"""

LOOKUP = """
y = Gather(table, position, axis=0)
"""

PATH_QUANTISE = """
first = Equal(position, 0)
fresh = Unsqueeze(first, [-1])
past = Where(fresh, 0.0, expected)
both = Concat(codes, past, axis=1)
q, scale = RowQuantise(both)
"""

REFINE = """
way = Sub(expected, codes)
share = Gather(shares, position, axis=0)
part = Mul(way, share)
next_codes = Add(codes, part)
"""

LINEAR_INPUTS = ("q", "scale", "weight", "weight_scale")

# In this order: later patterns are written in terms of earlier ones.
PATTERNS = (
    Pattern("RowQuantise", ("x",), ("q", "scale"), ROW_QUANTISE),
    Pattern("Logistic", ("x",), ("y",), LOGISTIC),
    Pattern("Embedding", ("table", "table_scale", "token"), ("x",), EMBEDDING),
    Pattern("Linear", LINEAR_INPUTS, ("y",), LINEAR),
    Pattern("AddedLinear", (*LINEAR_INPUTS, "added"), ("y",), ADDED_LINEAR),
    Pattern("SoftplusLinear", (*LINEAR_INPUTS, "bias"), ("positive",), SOFTPLUS_LINEAR),
    Pattern("NormQuantise", ("x", "gain", "eps"), ("q", "scale"), NORM_QUANTISE),
    Pattern("GateQuantise", ("x",), ("q", "scale"), GATE_QUANTISE),
    Pattern(
        "AttentionQuantise",
        ("qkv", "cos_table", "sin_table", "position", "temperature", "heads_shape", "key", "value"),
        ("y_q", "y_scale", "next_key", "next_value"),
        ATTENTION_QUANTISE,
    ),
    Pattern(
        "ConvQuantise", ("u", "weight", "bias", "position", "conv"), ("y", "q", "scale", "next_conv"), CONV_QUANTISE
    ),
    Pattern(
        "ScanQuantise",
        ("delta", "u", "z", "B", "C", "A", "D", "position", "ssm"),
        ("q", "scale", "next_ssm"),
        SCAN_QUANTISE,
    ),
    Pattern("PathQuantise", ("codes", "expected", "position"), ("q", "scale"), PATH_QUANTISE),
    Pattern("Refine", ("expected", "codes", "shares", "position"), ("next_codes",), REFINE),
    Pattern("Lookup", ("table", "position"), ("y",), LOOKUP),
)


# Inputs that fusing adds to the graph, in this order, after token and position.
ROWS, ASKED, OUTPUTS, LEGAL = "rows", "asked", "outputs", "legal"


def fuse(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every match of every pattern replaced by its fused operator.

    The product that gives the logits becomes a Head, which has one input more: legal int32 (outputs, 2), the tokens
    low .. high - 1 whose logits are wanted of a row. And every fused operator has as its last input how many rows it
    is to compute, the first ones, int32 (1,): `rows` of them hold a flow; where a step refines whole flows, what only
    the logits need is computed for `asked` of them, all or none, and a row of logits for each of their `outputs`.
    """
    nodes = list(model.graph.node)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if len(t.raw_data) <= 64}
    results = [value.name for value in model.graph.output]
    for pattern in PATTERNS:
        nodes = _replace(pattern, nodes, constants, results)
    _mark_head(nodes, results[0])
    counts = _counts(nodes, results)
    for node in nodes:
        if node.domain == DOMAIN:
            node.input.append(counts[node.output[0]])
    token, position, *states = model.graph.input
    shapes: dict[str, list[Any]] = {ROWS: [1], ASKED: [1], OUTPUTS: [1], LEGAL: [OUTPUTS, 2]}
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
    """Turns the product that gives the logits into a Head."""
    views = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Reshape"}
    for node in nodes:
        if node.op_type == "Linear" and node.output[0] in (logits, views.get(logits)):
            node.op_type = "Head"
            node.input.append(LEGAL)


def _counts(nodes: list[NodeProto], results: list[str]) -> dict[str, str]:
    """First output of a node -> which of the counts says how many rows it computes."""
    logits, *states = results
    kept = {node.output[0] for node in _in_order(nodes, states)}
    many: set[str] = set()
    for node in nodes:
        if node.op_type == "Reshape" or many & set(node.input):
            many |= set(node.output)
    refining = logits in many
    return {
        name: ROWS if not refining or name in kept else OUTPUTS if name in many else ASKED
        for name in (node.output[0] for node in nodes)
    }


def strays(fused: onnx.ModelProto) -> list[str]:
    """The operators of a fused graph that compute something in no kernel of ours."""
    return sorted({node.op_type for node in fused.graph.node if node.domain != DOMAIN} - MOVES)


def _replace(
    pattern: Pattern, nodes: list[NodeProto], constants: dict[str, Any], results: list[str]
) -> list[NodeProto]:
    graph = _Graph(nodes, constants)
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


class _Graph:
    def __init__(self, nodes: list[NodeProto], constants: dict[str, Any]) -> None:
        self.nodes, self.constants = nodes, constants
        self.producer = {name: node for node in nodes for name in node.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in nodes:
            for name in node.input:
                self.consumers[name].append(node)

    def matches(self, pattern: Pattern) -> Iterator[Binding]:
        """One binding of pattern names to graph names for each place that matches."""
        *rest, last = pattern.lines
        for node in self.nodes:
            for binding in self._unify(last, node, {}):
                found = next(self._solve(rest, binding), None)
                if found is not None:
                    yield found
                    break

    def _solve(self, lines: list[Line], binding: Binding) -> Iterator[Binding]:
        if not lines:
            yield binding
            return
        line, candidates = self._next(lines, binding)
        rest = [other for other in lines if other is not line]
        for node in candidates:
            for wider in self._unify(line, node, binding):
                yield from self._solve(rest, wider)

    def _next(self, lines: list[Line], binding: Binding) -> tuple[Line, list[NodeProto]]:
        """A line that touches what is bound, and the nodes that it may be: its producer first, which is one."""
        for line in reversed(lines):
            for name in line.outputs:
                if name in binding:
                    producer = self.producer.get(binding[name])
                    return line, [producer] if producer is not None else []
        for line in lines:
            for name in line.inputs:
                if isinstance(name, str) and name in binding:
                    return line, self.consumers[binding[name]]
        raise AssertionError("a pattern is not connected")

    def _unify(self, line: Line, node: NodeProto, binding: Binding) -> Iterator[Binding]:
        if node.op_type != line.op or len(node.output) != len(line.outputs):
            return
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if any(attributes.get(name) != value for name, value in line.attributes.items()):
            return
        orders = [list(node.input)]
        if line.op in COMMUTATIVE:
            orders.append(orders[0][::-1])
        for order in orders:
            wider = self._bind((*line.inputs, *line.outputs), [*order, *node.output], binding)
            if wider is not None:
                yield wider

    def _bind(self, names: tuple[Any, ...], values: list[str], binding: Binding) -> Binding | None:
        if len(names) != len(values):
            return None
        wider = dict(binding)
        for name, value in zip(names, values, strict=True):
            if isinstance(name, str):
                if wider.setdefault(name, value) != value:
                    return None
            elif not self._equals(value, name):
                return None
        return wider

    def _equals(self, name: str, literal: Any) -> bool:
        value = self.constants.get(name)
        return (
            value is not None and value.shape == literal.shape and bool(np.allclose(value, literal, rtol=1e-6, atol=0))
        )

"""fp32 step graph -> int8 step graph, in standard ONNX operators only.

Every linear becomes an integer product: weights int8 with one scale per output row, activations int8 with one
symmetric scale per row of the batch, accumulated in int32 by MatMulInteger (the engine adds a few products in 16
bits first, which is why `headroom` has a say in the weights' scales):

    inverse = 127 / max(|x|)                      per row of the batch
    q       = int8(round(x * inverse))
    y       = float(q @ W_q) * (max(|x|) / 127) * w_scale + bias

A scale per row, and not ONNX's DynamicQuantizeLinear (one per tensor), is what makes a flow independent of the
flows it shares a batch with. The token table is stored once, int8, and serves both as embedding and as head.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgegen.errors import EdgegenError
from edgegen.export import headroom

LARGEST = 127
# Below any activation that carries information, above what would overflow 127 / x in float32.
SMALLEST_ROW = 1e-30


def quantise_rows(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 rows and their float32 scales: weight (N, K) ~ q (N, K) * scale (N, 1).

    The largest of a row gets the highest odd level that there is room for. An odd one, because rows of the table are
    quantised again, some of them as they are: 127 q / largest is then never half way between two levels.
    """
    largest = np.maximum(np.abs(weight).max(axis=1), SMALLEST_ROW)
    room = largest / np.maximum(largest / LARGEST, headroom.least_scales(weight))
    level = np.floor((room - 1) / 2) * 2 + 1
    scale = (largest / level).astype(np.float32)[:, None]
    q = np.clip(np.rint(weight / scale), -LARGEST, LARGEST).astype(np.int8)
    return q, scale[:, 0]


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The int8 form of a fp32 step graph.

    Raises EdgegenError where the graph has a matrix product by a constant that this pass does not know: nothing
    stays fp32 without being named.
    """
    builder = _Builder(model)
    for node in model.graph.node:
        builder.convert(node)
    builder.check()
    return builder.finish()


class _Builder:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.floats = {t.name: t for t in model.graph.initializer}
        self.nodes: list[NodeProto] = []
        self.added: dict[str, TensorProto] = {}
        self.rows: dict[str, tuple[str, str]] = {}
        self.weights: dict[str, tuple[str, str]] = {}
        self.tables = {n.input[1] for n in model.graph.node if n.op_type == "Gemm"}
        self._constant("q_largest", np.float32(LARGEST))
        self._constant("q_inverse_largest", np.float32(1 / LARGEST))
        self._constant("q_smallest_row", np.float32(SMALLEST_ROW))
        self._constant("q_one", np.float32(1))
        self._constant("q_last_axis", np.array([-1], np.int64))

    def convert(self, node: NodeProto) -> None:
        if node.op_type == "Gemm" and node.input[1] in self.floats:
            self._linear(node)
        elif node.op_type in ("Gather", "GatherND") and node.input[0] in self.tables:
            self._embedding(node)
        elif node.op_type == "Sigmoid":
            self._sigmoid(node)
        else:
            self.nodes.append(node)

    def check(self) -> None:
        for node in self.nodes:
            if node.op_type not in ("MatMul", "Gemm"):
                continue
            constant = [name for name in node.input if name in self.floats]
            if constant:
                raise EdgegenError(
                    f"the step graph multiplies by {constant[0]} in a form that int8 export does not know"
                )

    def finish(self) -> onnx.ModelProto:
        used = {name for node in self.nodes for name in node.input}
        kept = [t for t in self.model.graph.initializer if t.name in used]
        graph = helper.make_graph(
            self.nodes,
            self.model.graph.name,
            self.model.graph.input,
            self.model.graph.output,
            [*kept, *(t for name, t in self.added.items() if name in used)],
        )
        result = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        onnx.checker.check_model(result, full_check=True)
        return result

    def _linear(self, node: NodeProto) -> None:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
        if not (plain and attributes.get("transB", 0) == 1 and attributes.get("transA", 0) == 0):
            raise EdgegenError(f"the linear {node.name or node.output[0]} has a form that int8 export does not know")
        x, out = node.input[0], node.output[0]
        q, row_scale = self._row(x)
        weight, weight_scale = self._weight(node.input[1])
        transposed = f"{node.input[1]}_q_t"
        if not any(transposed in n.output for n in self.nodes):
            self._add("Transpose", [weight], transposed, perm=[1, 0])
        self._add("MatMulInteger", [q, transposed], f"{out}_sum")
        self._add("Cast", [f"{out}_sum"], f"{out}_float", to=TensorProto.FLOAT)
        self._add("Mul", [f"{out}_float", row_scale], f"{out}_scaled")
        biased = len(node.input) == 3
        self._add("Mul", [f"{out}_scaled", weight_scale], f"{out}_plain" if biased else out)
        if biased:
            self._add("Add", [f"{out}_plain", node.input[2]], out)

    def _embedding(self, node: NodeProto) -> None:
        weight, scale = self._weight(node.input[0])
        index, out = node.input[1], node.output[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        # Names of their own: a linear that reads the row quantises it again.
        self._add(node.op_type, [weight, index], f"{out}_stored", **attributes)
        self._add(node.op_type, [scale, index], f"{out}_stored_scale", **attributes)
        self._add("Cast", [f"{out}_stored"], f"{out}_float", to=TensorProto.FLOAT)
        self._add("Unsqueeze", [f"{out}_stored_scale", "q_last_axis"], f"{out}_scale_column")
        self._add("Mul", [f"{out}_float", f"{out}_scale_column"], out)

    def _sigmoid(self, node: NodeProto) -> None:
        """1 / (1 + e^-x), spelt out: ONNX Runtime's Sigmoid is an approximation that its Exp is much closer than.

        What is left of the difference to the engine falls on the edge between two int8 levels the more often, the
        larger it is.
        """
        x, out = node.input[0], node.output[0]
        self._add("Neg", [x], f"{out}_negative")
        self._add("Exp", [f"{out}_negative"], f"{out}_exp")
        self._add("Add", [f"{out}_exp", "q_one"], f"{out}_above")
        self._add("Div", ["q_one", f"{out}_above"], out)

    def _row(self, x: str) -> tuple[str, str]:
        """Names of x in int8 and of its scale (batch, 1); shared by all linears that read x."""
        if x not in self.rows:
            self._add("Abs", [x], f"{x}_abs")
            self._add("ReduceMax", [f"{x}_abs", "q_last_axis"], f"{x}_most", keepdims=1)
            self._add("Max", [f"{x}_most", "q_smallest_row"], f"{x}_largest")
            self._add("Div", ["q_largest", f"{x}_largest"], f"{x}_inverse")
            self._add("Mul", [f"{x}_largest", "q_inverse_largest"], f"{x}_scale")
            self._add("Mul", [x, f"{x}_inverse"], f"{x}_wide")
            self._add("Round", [f"{x}_wide"], f"{x}_round")
            self._add("Cast", [f"{x}_round"], f"{x}_q", to=TensorProto.INT8)
            self.rows[x] = f"{x}_q", f"{x}_scale"
        return self.rows[x]

    def _weight(self, name: str) -> tuple[str, str]:
        if name not in self.weights:
            weight = numpy_helper.to_array(self.floats[name]).astype(np.float32)
            q, scale = quantise_rows(weight)
            self._constant(f"{name}_q", q)
            self._constant(f"{name}_scale", scale)
            self.weights[name] = f"{name}_q", f"{name}_scale"
        return self.weights[name]

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> None:
        self.added[name] = numpy_helper.from_array(np.asarray(value), name)

    def _add(self, op: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{op}_{output}", **attributes))

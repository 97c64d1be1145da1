"""Where a pattern occurs in a graph."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from edgegen.export.notation import Line, Pattern

COMMUTATIVE = {"Add", "Max", "Mul"}

Binding = dict[str, str]


class Graph:
    """The nodes of a graph by what they make and read; constants: by name, those that literals are compared with."""

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

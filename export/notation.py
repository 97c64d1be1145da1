"""How patterns are written: ONNX as Python assignments.

A name that no line assigns is an input of the fused operator, a literal must equal a constant of the graph, a keyword
must equal an attribute.
"""

import ast
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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

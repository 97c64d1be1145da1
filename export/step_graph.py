"""Checkpoint -> ONNX: one step with explicit state, for any batch width.

The loop, the grammar and the random numbers live outside the graph: they are the engine's.
"""

import io
import logging
import warnings
from contextlib import redirect_stdout

import onnx
import torch
from torch import Tensor, nn

from edgegen.models import Generator

OPSET = 20
WIDEST = 1024


class _Step(nn.Module):
    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, position: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self.model.step(token, position, *state)


def step_graph(model: Generator) -> onnx.ModelProto:
    """The fp32 step graph of `model`, whose table is folded into one by the way.

    Inputs:  token, position int64 (batch,), then each state by its name
    Outputs: logits float32 (batch, vocabulary), then next_<state> in the same order
    """
    model = model.eval()
    model.fold()
    names = model.state_names()
    batch = torch.export.Dim("batch", min=1, max=WIDEST)
    token, position = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    # Tensors of their own: the exporter takes one that is passed twice for one input.
    state = tuple(tensor.clone() for tensor in model.initial_state(2))
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        # The exporter's remarks about its own internals say nothing that a user could act on.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Step(model).eval(),
            (token, position, *state),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=["token", "position", *names],
            output_names=["logits", *(f"next_{name}" for name in names)],
            dynamic_shapes=({0: batch}, {0: batch}, tuple({0: batch} for _ in names)),
        )
    assert program is not None
    graph = program.model_proto
    # Traces of the machine that exported: they would make the same checkpoint give different bytes.
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in graph.graph.value_info:
        del value.metadata_props[:]
    onnx.checker.check_model(graph, full_check=True)
    return graph

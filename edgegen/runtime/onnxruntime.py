"""ONNX Runtime as a stepper: the step graph of a bundle, on one thread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgegen.errors import EdgegenError
from edgegen.runtime.loop import no_memory

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
}


class OnnxStepper:
    """The step graph in `path`, `width` rows at a time; optimised: after ONNX Runtime's own changes to the graph.

    Inputs: token (batch,) and position (batch,) int64, then states; outputs: logits (batch, vocabulary) or (batch,
    steps, vocabulary), then the next states in the same order, each named next_<state>. The graph itself resets a
    row's states at position 0.

    states: by name, (width, ...) each; what the last step left behind, which the next one starts from
    """

    def __init__(self, path: str, width: int, optimised: bool = True) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EdgegenError(
                "engine onnxruntime needs the package onnxruntime: pip install 'edgegen[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # What fails is raised; it need not be printed, too.
        options.log_severity_level = 4
        for pool in ("intra_op", "inter_op"):
            options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
        self.width = width
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        states = self._session.get_inputs()[2:]
        self._outputs = ["logits", *(f"next_{state.name}" for state in states)]
        try:
            self.states = {state.name: _zeros(state, width) for state in states}
        # The second is numpy's for a size beyond all addresses.
        except (MemoryError, ValueError) as error:
            raise no_memory(width) from error

    @property
    def noise_size(self) -> int:
        return int(next(iter(self.states.values())).shape[1])

    def start(self, noise: NDArray[np.float32]) -> None:
        """The first state is what a flow is refined from."""
        self.states[next(iter(self.states))] = noise

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits (width, vocabulary) from tokens (width,) at positions (width,)."""
        feeds = {"token": tokens.astype(np.int64), "position": positions.astype(np.int64), **self.states}
        try:
            logits, *states = self._session.run(self._outputs, feeds)
        except Exception as error:
            # ONNX Runtime has one exception for whatever fails.
            if "allocate memory" not in str(error):
                raise
            raise no_memory(self.width) from error
        self.states = dict(zip(self.states, states, strict=True))
        return np.asarray(logits, np.float32)


def _zeros(state: Any, width: int) -> NDArray[Any]:
    """A cleared state; its one symbolic dimension is the batch."""
    return np.zeros([size if isinstance(size, int) else width for size in state.shape], _TYPES[state.type])

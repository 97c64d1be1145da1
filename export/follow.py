"""ONNX Runtime in another's footsteps: each step of a graph from the states that another form of the model has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgegen.export.tir.lanes import LANES
from edgegen.models.stepper import TorchStepper
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.onnxruntime import OnnxStepper

Array = NDArray[Any]

# What a state is in the step graph -> the same from the engine's memory, whose kernels want their lanes innermost
# (conversions.py makes these views): a function of the engine's numbers and the graph's shape.
LAYOUTS: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "key": lambda x, shape: x.reshape(shape[0], shape[1] // LANES, shape[2], LANES).swapaxes(2, 3),
    "value": lambda x, shape: x,
    "conv": lambda x, shape: x.reshape(shape[0], shape[2], shape[1]).swapaxes(1, 2),
    "codes": lambda x, shape: x,
    "guess": lambda x, shape: x,
    "ssm": lambda x, shape: x.reshape(shape[0], shape[1] // LANES, shape[2], LANES).swapaxes(2, 3),
}


class Follower:
    """A stepper whose logits are those of the graph at `path`, each step from the states that `leader` has there.

    So a difference is one step's own, and not what a difference of earlier steps has grown to.
    """

    def __init__(self, leader: NativeEngine | TorchStepper | OnnxStepper, path: Path) -> None:
        self.leader, self.width = leader, leader.width
        self.graph = OnnxStepper(str(path), leader.width)

    @property
    def noise_size(self) -> int:
        return self.leader.noise_size

    def start(self, noise: NDArray[np.float32]) -> None:
        self.leader.start(noise)

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits of the graph."""
        if isinstance(self.leader, NativeEngine):
            self.graph.states = _states_of(self.leader, self.graph.states)
        else:
            self.graph.states = self.leader.states
        self.leader.step(tokens, positions)
        return self.graph.step(tokens, positions)


def _states_of(engine: NativeEngine, like: dict[str, Array]) -> dict[str, Array]:
    """The engine's states, a copy, in the forms of a graph's."""
    made = {}
    for (name, state), memory in zip(like.items(), engine.states(), strict=True):
        found = LAYOUTS[name.rsplit("_", 1)[0]](memory.view(state.dtype), state.shape)
        made[name] = np.ascontiguousarray(found.reshape(state.shape))
    return made

"""A model in PyTorch as a stepper: what the compiled forms are compared with."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgegen.models.base import Generator


class TorchStepper:
    """See edgegen.runtime.loop: a Stepper of `width` rows."""

    def __init__(self, model: Generator, width: int) -> None:
        self.width = width
        self._model = model.eval()
        self._state = model.initial_state(width)

    @property
    def noise_size(self) -> int:
        return self._state[0].shape[1]

    @property
    def states(self) -> dict[str, NDArray[Any]]:
        """By name, (width, ...) each, as the last step left them."""
        return {name: state.numpy() for name, state in zip(self._model.state_names(), self._state, strict=True)}

    def start(self, noise: NDArray[np.float32]) -> None:
        self._state = (torch.from_numpy(noise), *self._state[1:])

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            token, position = (torch.from_numpy(ids.astype(np.int64)) for ids in (tokens, positions))
            logits, *state = self._model.step(token, position, *self._state)
        self._state = tuple(state)
        made: NDArray[np.float32] = logits.numpy()
        return made

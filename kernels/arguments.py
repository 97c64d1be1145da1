"""What every implementation of the selective scan is given, and how it lays out what it returns."""

from typing import NamedTuple

import torch
from torch import Tensor


class Scan(NamedTuple):
    """The arguments of `reference.selective_scan`; tensors in any layout and of any floating type."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    delta_softplus: bool
    initial_state: Tensor | None
    lengths: Tensor | None

    @property
    def precision(self) -> torch.dtype:
        """That of the state and of all arithmetic, whatever that of the inputs."""
        return torch.float64 if self.A.dtype == torch.float64 else torch.float32


def channels_last(x: Tensor) -> Tensor:
    """Room for a tensor of the shape of x (batch, channels, time), its channels contiguous."""
    return x.new_empty(x.shape[0], x.shape[2], x.shape[1]).transpose(1, 2)

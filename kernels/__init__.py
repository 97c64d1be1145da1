"""Mamba's kernels: the selective scan, one step of it, and the causal convolution before it.

CUDA tensors take Triton, CPU tensors take C where there is a compiler and else torch; `path` says which. reference.py
is the definition of right.
"""

from typing import Any

from torch import Tensor

from edgegen.kernels import operators
from edgegen.kernels.operators import path

__all__ = ["causal_conv1d", "path", "selective_scan", "selective_step"]


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """As `reference.selective_scan`, in float32 for inputs of any type, in float64 where A is.

    y has the type of u; the last state that of the arithmetic.
    """
    made: tuple[Tensor, Tensor] = operators.selective_scan(
        u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, lengths
    )
    return made if return_last_state else made[0]


def selective_step(
    state: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `reference.selective_step`: the scan of a single time."""
    times = [None if x is None else x.unsqueeze(-1) for x in (u, delta, B, C, z)]
    one: list[Any] = times
    y, state = operators.selective_scan(
        one[0], one[1], A, one[2], one[3], D, one[4], delta_bias, delta_softplus, state, None
    )
    return y.squeeze(-1), state


def causal_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
    """As `reference.causal_conv1d`, in float32 for inputs of any type but float64; the result has the type of x."""
    made: Tensor = operators.causal_conv1d(x, weight, bias, lengths)
    return made

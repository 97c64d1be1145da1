"""Muon: gradient descent with momentum, whose steps are orthogonal matrices.

Jordan et al. 2024, with the scale of Liu et al. (arXiv 2502.16982). torch.optim.Muon does the same, but in bf16, which
most processors only emulate: there a training step took twenty times as long.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
# Newton-Schulz iteration, x to a x + b x x' x + c x x' x x' x: singular values from 0.001 to 1 come near 1 in five.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
# Root mean square of a step's numbers, as it is of AdamW's as a rule: one learning rate serves both.
RMS = 0.2


class Muon(torch.optim.Optimizer):
    """For matrices within a network, (n, m) each; not for tables, whose rows have little to do with each other."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = {}
            for parameter in group["params"]:
                alike.setdefault((min(parameter.shape), max(parameter.shape)), []).append(parameter)
            for (_, longer), parameters in alike.items():
                # Matrices of one size are worked on together: one at a time is too little work for a call.
                steps = orthogonal(torch.stack([_wide(self.ahead(parameter)) for parameter in parameters]))
                for parameter, step in zip(parameters, steps, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    _wide(parameter).add_(step, alpha=-group["lr"] * RMS * longer**0.5)

    def ahead(self, parameter: Tensor) -> Tensor:
        """The parameter's gradient and what earlier ones have left, by Nesterov."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        momentum: Tensor = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
        return parameter.grad.lerp(momentum, MOMENTUM)


def orthogonal(x: Tensor) -> Tensor:
    """The matrices x (b, n, m), n <= m, with their singular values brought to between 0.68 and 1.14.

    Values under a thousandth of the root of all their squares stay smaller. Factors are polynomials of x x', (n, n):
    they are multiplied first, which is less work than to iterate on x where m is larger.
    """
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    square = x @ x.mT
    factor = product = _factor(square)
    for _ in range(ITERATIONS - 1):
        square = factor @ square @ factor
        factor = _factor(square)
        product = product @ factor
    return product @ x


def _factor(square: Tensor) -> Tensor:
    """What one iteration multiplies x by, from x x'."""
    factor = torch.baddbmm(square, square, square, beta=B, alpha=C)
    factor.diagonal(dim1=1, dim2=2).add_(A)
    return factor


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT

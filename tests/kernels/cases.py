"""Inputs of the kernels, and everything that comes out of one, gradients included."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
OPTIONAL = ("D", "z", "delta_bias", "initial_state", "lengths")


def scan_inputs(batch: int, dim: int, state: int, time: int, absent: tuple[str, ...] = ()) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch * dim * state * time)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    made = {
        "u": normal(batch, dim, time),
        "delta": normal(batch, dim, time),
        "A": -3 * torch.rand(dim, state, generator=generator, dtype=torch.float64),
        "B": normal(batch, state, time),
        "C": normal(batch, state, time),
        "D": normal(dim),
        "z": normal(batch, dim, time),
        "delta_bias": normal(dim),
        "initial_state": normal(batch, dim, state),
        "lengths": torch.randint(0, time + 1, (batch,), generator=generator),
    }
    return {name: tensor for name, tensor in made.items() if name not in absent}


def conv_inputs(batch: int, dim: int, taps: int, time: int, absent: tuple[str, ...] = ()) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch * dim * taps * time)
    made = {
        "x": torch.randn(batch, dim, time, generator=generator, dtype=torch.float64),
        "weight": torch.randn(dim, taps, generator=generator, dtype=torch.float64),
        "bias": torch.randn(dim, generator=generator, dtype=torch.float64),
        "lengths": torch.randint(0, time + 1, (batch,), generator=generator),
    }
    return {name: tensor for name, tensor in made.items() if name not in absent}


def outcome(kernel: Callable[..., Any], given: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Every output, and every gradient of a weighted sum of them."""
    leaves = {
        name: tensor.detach().to(dtype, copy=True).requires_grad_() if tensor.is_floating_point() else tensor
        for name, tensor in given.items()
    }
    made = kernel(**leaves)
    outputs = made if isinstance(made, tuple) else (made,)
    loss = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        # A product and not a plain sum, so that a NaN anywhere in the output is seen.
        weights = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view(output.shape)
        loss = loss + (output.double() * weights).sum()
    loss.backward()
    grads = {f"gradient of {name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return {f"output {i}": output.detach() for i, output in enumerate(outputs)} | grads


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        error = (actual[name].double() - tensor).norm() / tensor.norm().clamp(min=1e-12)
        assert error < tolerance, f"{name}: relative error {error:.1e}"

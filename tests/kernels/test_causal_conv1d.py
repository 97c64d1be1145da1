"""Every path of the causal convolution against the reference in float64."""

import itertools
from collections.abc import Callable

import pytest
import torch
from cases import assert_close, conv_inputs, outcome
from torch import Tensor

from edgegen import kernels
from edgegen.kernels import reference


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 60, 4, 7), (2, 40, 4, 37), (2, 100, 3, 2)])
def test_shapes(shape: tuple[int, int, int, int]) -> None:
    given = conv_inputs(*shape)
    expected = outcome(reference.causal_conv1d, given, torch.float64)
    assert_close(outcome(kernels.causal_conv1d, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("absent", [s for n in range(3) for s in itertools.combinations(("bias", "lengths"), n)])
def test_optional_arguments(absent: tuple[str, ...]) -> None:
    given = conv_inputs(3, 20, 4, 9, absent)
    expected = outcome(reference.causal_conv1d, given, torch.float64)
    assert_close(outcome(kernels.causal_conv1d, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    halved = {
        name: x.to(dtype).double() if x.is_floating_point() else x for name, x in conv_inputs(3, 20, 4, 9).items()
    }
    expected = outcome(reference.causal_conv1d, halved, torch.float64)
    assert_close(outcome(kernels.causal_conv1d, halved, dtype), expected, 2e-2)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("which", [kernels.causal_conv1d, reference.causal_conv1d])
def test_padding_is_neither_read_nor_written(which: Callable[..., Tensor]) -> None:
    given = conv_inputs(4, 20, 4, 9)
    clean = outcome(which, given, torch.float32)
    padding = torch.arange(9) >= given["lengths"][:, None, None]
    found = outcome(which, given | {"x": given["x"].masked_fill(padding, float("nan"))}, torch.float32)
    assert not found["output 0"][padding.expand(4, 20, 9)].any()
    for name, tensor in clean.items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.parametrize("which", [kernels.causal_conv1d, reference.causal_conv1d])
def test_gradients_are_right(which: Callable[..., Tensor]) -> None:
    given = conv_inputs(2, 3, 4, 5)
    leaves = tuple(given[name].requires_grad_() for name in ("x", "weight", "bias"))
    assert torch.autograd.gradcheck(lambda *tensors: which(*tensors, given["lengths"]), leaves)

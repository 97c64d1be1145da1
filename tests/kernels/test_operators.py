"""The operators as torch sees them: their checks, torch.compile and torch.export through them, and the dispatch."""

from typing import Any

import pytest
import torch
from cases import conv_inputs, scan_inputs
from torch import Tensor, nn

from edgegen import kernels
from edgegen.kernels import native, operators

SCAN_OPTIONS = [(), ("D", "z"), ("initial_state", "lengths", "delta_bias")]


def scan_arguments(absent: tuple[str, ...]) -> list[Any]:
    given = scan_inputs(2, 6, 4, 5, absent)
    names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
    floats = [given[name].float().requires_grad_() if name in given else None for name in names]
    first = given["initial_state"].float().requires_grad_() if "initial_state" in given else None
    return [*floats, True, first, given.get("lengths")]


@pytest.mark.parametrize("absent", SCAN_OPTIONS)
def test_the_scan_is_a_sound_operator(absent: tuple[str, ...]) -> None:
    arguments = scan_arguments(absent)
    torch.library.opcheck(operators.selective_scan, arguments)
    gradients = [torch.randn(2, 6, 5), torch.randn(2, 6, 4)]
    plain = [x.detach() if isinstance(x, Tensor) else x for x in arguments]
    torch.library.opcheck(operators.selective_scan_backward, (*gradients, *plain))


@pytest.mark.parametrize("absent", [(), ("bias", "lengths")])
def test_the_convolution_is_a_sound_operator(absent: tuple[str, ...]) -> None:
    given = conv_inputs(2, 6, 4, 5, absent)
    arguments = [given["x"].float().requires_grad_(), given["weight"].float().requires_grad_()]
    bias = given["bias"].float() if "bias" in given else None
    torch.library.opcheck(operators.causal_conv1d, (*arguments, bias, given.get("lengths")))
    plain = [x.detach() for x in arguments]
    torch.library.opcheck(operators.causal_conv1d_backward, (torch.randn(2, 6, 5), *plain, bias, given.get("lengths")))


class Layer(nn.Module):
    """What a model makes of both."""

    def __init__(self) -> None:
        super().__init__()
        self.A = nn.Parameter(-torch.rand(6, 4))
        self.weight = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor, delta: Tensor, B: Tensor, C: Tensor) -> Tensor:
        u = kernels.causal_conv1d(x, self.weight)
        y = kernels.selective_scan(u * 2, delta, self.A, B, C, delta_softplus=True)
        assert isinstance(y, Tensor)
        return y + 1


def layer_inputs() -> list[Tensor]:
    given = scan_inputs(2, 6, 4, 5)
    return [given[name].float() for name in ("u", "delta", "B", "C")]


def test_compile_sees_through_them() -> None:
    layer, given = Layer(), layer_inputs()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected, found = layer(*given), compiled(*given)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    through = layer.A.grad
    layer.A.grad = None
    expected.sum().backward()
    torch.testing.assert_close(through, layer.A.grad)


def test_export_sees_through_them() -> None:
    layer, given = Layer(), layer_inputs()
    program = torch.export.export(layer, tuple(given))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {"edgegen.causal_conv1d.default", "edgegen.selective_scan.default"} <= called
    torch.testing.assert_close(program.module()(*given), layer(*given))


def test_the_path_is_said() -> None:
    assert kernels.path(torch.zeros(1)) == ("torch" if native.library() is None else "c")
    assert kernels.path(torch.zeros(1, dtype=torch.float64)) == "torch"

"""The kernels as operators of torch with gradients, so that torch.compile and torch.export see through them.

An operator asks `implementation` who computes it. All take (batch, channels, time) tensors in any layout and return
theirs with the channels contiguous, which is how a model's linear layers leave and want them.
"""

from typing import Any

import torch
from torch import Tensor

from edgegen.kernels import loops, native
from edgegen.kernels.arguments import Scan, channels_last


def path(x: Tensor) -> str:
    """What computes the kernels on the device and in the precision of `x`: "triton", "c" or "torch"."""
    if x.is_cuda:
        return "triton"
    return "c" if x.dtype != torch.float64 and native.library() is not None else "torch"


def implementation(x: Tensor) -> Any:
    """The module behind `path`: scan_forward, scan_backward, conv_forward, conv_backward."""
    name = path(x)
    if name == "triton":
        from edgegen.kernels import gpu

        return gpu
    return native if name == "c" else loops


@torch.library.custom_op("edgegen::selective_scan", mutates_args=())
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`reference.selective_scan`: y in the type of u, and the last state in that of the arithmetic."""
    scan = Scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, lengths)
    made: tuple[Tensor, Tensor] = implementation(A).scan_forward(scan)
    return made


@torch.library.custom_op("edgegen::selective_scan_backward", mutates_args=())
def selective_scan_backward(
    dy: Tensor,
    dlast: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, delta, A, B, C, D, z, delta_bias and initial_state; an empty tensor for one that is absent."""
    scan = Scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, lengths)
    made = implementation(A).scan_backward(scan, dy, dlast)
    return tuple(u.new_empty(0) if gradient is None else gradient for gradient in made)  # type: ignore[return-value]


@selective_scan.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor]:
    scan = Scan(*arguments)
    return channels_last(scan.u), scan.A.new_empty(len(scan.u), *scan.A.shape, dtype=scan.precision)


@selective_scan_backward.register_fake
def _(dy: Tensor, dlast: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    scan = Scan(*arguments)

    def room(x: Tensor | None, plain: bool = False) -> Tensor:
        if x is None:
            return scan.u.new_empty(0)
        return x.new_empty(x.shape) if plain or x.ndim < 3 else channels_last(x)

    gradients = [room(x) for x in (*scan[:7], scan.delta_bias)]
    return (*gradients, room(scan.initial_state, plain=True))


def _save_scan(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    scan = Scan(*inputs)
    ctx.set_materialize_grads(False)
    ctx.delta_softplus = scan.delta_softplus
    ctx.save_for_backward(*scan._replace(delta_softplus=None))  # type: ignore[arg-type]


def _scan_gradients(ctx: Any, dy: Tensor | None, dlast: Tensor | None) -> tuple[Tensor | None, ...]:
    scan = Scan(*ctx.saved_tensors)._replace(delta_softplus=ctx.delta_softplus)
    if dy is None:
        dy = torch.zeros_like(scan.u)
    made = selective_scan_backward(dy, dlast, *scan)
    given = (*scan[:8], scan.initial_state)
    of_inputs = [gradient if x is not None else None for x, gradient in zip(given, made, strict=True)]
    return (*of_inputs[:8], None, of_inputs[8], None)


selective_scan.register_autograd(_scan_gradients, setup_context=_save_scan)


@torch.library.custom_op("edgegen::causal_conv1d", mutates_args=())
def causal_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    """`reference.causal_conv1d`, in the type of x."""
    made: Tensor = implementation(x).conv_forward(x, weight, bias, lengths)
    return made


@torch.library.custom_op("edgegen::causal_conv1d_backward", mutates_args=())
def causal_conv1d_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; an empty tensor where there is no bias."""
    dx, dweight, dbias = implementation(x).conv_backward(dy, x, weight, bias, lengths)
    return dx, dweight, x.new_empty(0) if dbias is None else dbias


@causal_conv1d.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    return channels_last(x)


@causal_conv1d_backward.register_fake
def _(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> tuple[Tensor, ...]:
    dbias = x.new_empty(0) if bias is None else bias.new_empty(bias.shape)
    return channels_last(x), weight.new_empty(weight.shape), dbias


def _save_conv(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _conv_gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, lengths = ctx.saved_tensors
    dx, dweight, dbias = causal_conv1d_backward(dy, x, weight, bias, lengths)
    return dx, dweight, None if bias is None else dbias, None


causal_conv1d.register_autograd(_conv_gradients, setup_context=_save_conv)

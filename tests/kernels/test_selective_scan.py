"""Every path of the selective scan against the reference in float64."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from cases import NAMES, OPTIONAL, assert_close, outcome, scan_inputs
from torch import Tensor

from edgegen import kernels
from edgegen.kernels import native, operators, reference

both = {"delta_softplus": True, "return_last_state": True}
reference_scan = partial(reference.selective_scan, **both)
scan = partial(kernels.selective_scan, **both)

# (batch, dim, state, time)
SHAPES = [(1, 1, 1, 1), (2, 60, 4, 7), (1, 5, 16, 63), (1, 40, 4, 17)]

# What is left out alone, with one other, and with all others; the rest is shown in part by these.
SUBSETS = [
    pytest.param(subset, marks=[pytest.mark.slow] if n in (3, 4) else [])
    for n in range(len(OPTIONAL) + 1)
    for subset in itertools.combinations(OPTIONAL, n)
]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: tuple[int, int, int, int]) -> None:
    given = scan_inputs(*shape)
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.parametrize("path", ["c", "torch"], indirect=True)
@pytest.mark.usefixtures("path")
def test_the_shape_of_a_model() -> None:
    given = scan_inputs(5, 256, 16, 32)
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.parametrize("path", ["triton"], indirect=True)
@pytest.mark.parametrize("absent", [(), ("initial_state", "lengths"), ("z", "D")])
@pytest.mark.usefixtures("path")
def test_long_rows_are_done_in_chunks(absent: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    from edgegen.kernels import gpu

    monkeypatch.setattr(gpu, "CHUNK", 16)
    monkeypatch.setattr(gpu, "TILE", 64)
    given = scan_inputs(2, 3, 4, 37, absent)
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("absent", SUBSETS)
def test_optional_arguments(absent: tuple[str, ...]) -> None:
    given = scan_inputs(2, 5, 4, 5, absent)
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
def test_steps_without_softplus() -> None:
    given = scan_inputs(2, 20, 4, 9)
    given["delta"], given["delta_bias"] = given["delta"].abs(), given["delta_bias"].abs()
    expected = outcome(partial(reference_scan, delta_softplus=False), given, torch.float64)
    assert_close(outcome(partial(scan, delta_softplus=False), given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
def test_rates_that_are_multiples_of_their_first() -> None:
    given = scan_inputs(1, 20, 16, 9)
    given["A"] = given["A"][:, :1] * torch.arange(1, 17)
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_keep_a_full_precision_state(dtype: torch.dtype) -> None:
    given = scan_inputs(2, 20, 4, 20)
    halved = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in given.items()}
    exact = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in halved.items()}
    y, last = scan(**halved)
    assert (y.dtype, last.dtype) == (dtype, torch.float32)
    assert_close(outcome(scan, exact, dtype), outcome(reference_scan, exact, torch.float64), 2e-2)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("layout", ["time innermost", "channels innermost", "every second"])
def test_layouts(layout: str) -> None:
    given = scan_inputs(2, 20, 4, 9)
    expected = outcome(reference_scan, given, torch.float64)

    def laid_out(**arguments: Any) -> Any:
        for name in ("u", "delta", "z", "B", "C"):
            x = arguments[name]
            if layout == "channels innermost":
                x = x.transpose(1, 2).contiguous().transpose(1, 2)
            if layout == "every second":
                x = torch.stack([x, torch.full_like(x, float("nan"))], dim=2).flatten(1, 2)[:, ::2]
            arguments[name] = x
        return scan(**arguments)

    assert_close(outcome(laid_out, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("which", [scan, reference_scan])
def test_padding_is_neither_read_nor_written(which: Callable[..., tuple[Tensor, Tensor]]) -> None:
    given = scan_inputs(4, 20, 4, 9)
    clean = outcome(which, given, torch.float32)
    poisoned = dict(given)
    padding = torch.arange(9) >= given["lengths"][:, None, None]
    for name in ("u", "delta", "z", "B", "C"):
        poisoned[name] = given[name].masked_fill(padding, float("nan"))
    found = outcome(which, poisoned, torch.float32)
    assert not found["output 0"][padding.expand(4, 20, 9)].any()
    for name, tensor in clean.items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.usefixtures("path")
def test_nothing_is_left_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is asked for holds NaN until it is written, so that a forgotten element is one in the results."""
    given = scan_inputs(3, 20, 4, 9)
    expected = outcome(reference_scan, given, torch.float64)
    new_empty, empty, empty_like = Tensor.new_empty, torch.empty, torch.empty_like

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*arguments: Any, **options: Any) -> Tensor:
            room = make(*arguments, **options)
            return room.fill_(float("nan")) if room.is_floating_point() else room

        return made

    monkeypatch.setattr(Tensor, "new_empty", poisoned(new_empty))
    monkeypatch.setattr(torch, "empty", poisoned(empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(empty_like))
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
def test_large_and_small_steps() -> None:
    """Decays that underflow to 0 and that stay at 1."""
    given = scan_inputs(2, 20, 8, 12, ("lengths",))
    given["delta"] = given["delta"] * 100
    expected = outcome(reference_scan, given, torch.float64)
    assert_close(outcome(scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
def test_a_step_is_a_scan_of_one_time() -> None:
    given = scan_inputs(3, 20, 4, 1, ("lengths",))
    step = {name: x.squeeze(-1) if x.ndim == 3 and x.shape[-1] == 1 else x for name, x in given.items()}
    step["state"] = step.pop("initial_state")
    expected = outcome(partial(reference.selective_step, delta_softplus=True), step, torch.float64)
    assert_close(outcome(partial(kernels.selective_step, delta_softplus=True), step, torch.float32), expected, 1e-5)
    y, last = reference_scan(**given)
    torch.testing.assert_close(expected["output 0"], y.squeeze(-1))
    torch.testing.assert_close(expected["output 1"], last)


def test_threads_do_not_change_the_output() -> None:
    given = {name: tensor.float() for name, tensor in scan_inputs(5, 64, 16, 12, ("lengths",)).items()}
    before = torch.get_num_threads()
    outputs = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            outputs.append(kernels.selective_scan(**given, delta_softplus=True))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize("which", [reference_scan, scan])
def test_gradients_are_right(which: Callable[..., Any]) -> None:
    given = scan_inputs(2, 3, 2, 4)
    leaves = tuple(given[name].requires_grad_() for name in NAMES)
    assert operators.path(leaves[0]) == "torch"

    def of_leaves(*tensors: Tensor) -> Any:
        return which(**dict(zip(NAMES, tensors, strict=True)), lengths=given["lengths"])

    assert torch.autograd.gradcheck(of_leaves, leaves)


def test_a_compiler_that_fails_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for compiler in ("false", "no-such-compiler"):
        monkeypatch.setenv("CC", compiler)
        native.compiled.cache_clear()
        assert native.library() is None
        assert str(native.compiled()).startswith(f"{compiler} compiles nothing (")
        assert kernels.path(torch.zeros(1)) == "torch"
    native.compiled.cache_clear()

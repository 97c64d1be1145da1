"""Every path of the selective scan against the reference in float64."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from edgegen.kernels import cpu, native, reference

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
OPTIONAL = ("D", "z", "delta_bias", "initial_state", "lengths")


def inputs(batch: int, dim: int, state: int, time: int, absent: tuple[str, ...] = ()) -> dict[str, Tensor]:
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


def outcome(
    scan: Callable[..., tuple[Tensor, Tensor]], given: dict[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Output, last state and every gradient of a weighted sum of both."""
    leaves = {name: given[name].detach().to(dtype, copy=True).requires_grad_() for name in NAMES if name in given}
    options = {"lengths": given["lengths"]} if "lengths" in given else {}
    y, last = scan(**leaves, **options, delta_softplus=True, return_last_state=True)
    weights = torch.linspace(-1, 1, y.numel(), dtype=dtype).view(y.shape)
    # A product and not a plain sum, so that a NaN anywhere in the output is seen.
    ((y * weights).sum() + last.pow(2).sum()).backward()
    grads = {f"grad of {name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return {"y": y.detach(), "last": last.detach()} | grads


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        error = (actual[name].double() - tensor).norm() / tensor.norm().clamp(min=1e-12)
        assert error < tolerance, f"{name}: relative error {error:.1e}"


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("no C compiler on this machine")
    return str(request.param)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 60, 4, 7), (3, 128, 16, 63), (5, 100, 16, 32)])
def test_shapes(shape: tuple[int, int, int, int]) -> None:
    given = inputs(*shape)
    expected = outcome(reference.selective_scan, given, torch.float64)
    assert_close(outcome(cpu.selective_scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("absent", list(itertools.combinations(OPTIONAL, 3)))
def test_optional_arguments(absent: tuple[str, ...]) -> None:
    given = inputs(3, 20, 4, 9, absent)
    expected = outcome(reference.selective_scan, given, torch.float64)
    assert_close(outcome(cpu.selective_scan, given, torch.float32), expected, 1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("scan", [cpu.selective_scan, reference.selective_scan])
def test_padding_is_neither_read_nor_written(scan: Callable[..., tuple[Tensor, Tensor]]) -> None:
    given = inputs(4, 20, 4, 9)
    clean = outcome(scan, given, torch.float32)
    poisoned = dict(given)
    padding = torch.arange(9) >= given["lengths"][:, None, None]
    for name in ("u", "delta", "z", "B", "C"):
        poisoned[name] = given[name].masked_fill(padding, float("nan"))
    found = outcome(scan, poisoned, torch.float32)
    assert not found["y"][padding.expand(4, 20, 9)].any()
    for name, tensor in clean.items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.usefixtures("path")
def test_half_precision_inputs_keep_a_full_precision_state() -> None:
    given = inputs(2, 32, 16, 30, ("lengths",))
    arguments = {name: given[name].to(torch.bfloat16 if given[name].ndim == 3 else torch.float32) for name in given}
    arguments["initial_state"] = given["initial_state"].float()
    y, last = cpu.selective_scan(**arguments, delta_softplus=True, return_last_state=True)
    assert (y.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    exact = {name: tensor.double() for name, tensor in arguments.items()}
    expected, _ = reference.selective_scan(**exact, delta_softplus=True, return_last_state=True)
    assert (y.double() - expected).norm() / expected.norm() < 2e-2


def test_large_and_small_steps() -> None:
    """Decays that underflow to 0 and that stay at 1."""
    given = inputs(2, 64, 16, 12, ("lengths",))
    given["delta"] = given["delta"] * 100
    expected = outcome(reference.selective_scan, given, torch.float64)
    assert_close(outcome(cpu.selective_scan, given, torch.float32), expected, 1e-5)


def test_threads_do_not_change_the_output() -> None:
    given = {name: tensor.float() for name, tensor in inputs(5, 64, 16, 12, ("lengths",)).items()}
    before = torch.get_num_threads()
    outputs = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            outputs.append(cpu.selective_scan(**given, delta_softplus=True))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(outputs[0], outputs[1])


def test_gradients_of_the_reference_are_right() -> None:
    given = inputs(2, 3, 2, 4)
    leaves = tuple(given[name].requires_grad_() for name in NAMES)

    def scan(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        arguments = dict(zip(NAMES, tensors, strict=True))
        made = reference.selective_scan(
            **arguments, lengths=given["lengths"], delta_softplus=True, return_last_state=True
        )
        assert isinstance(made, tuple)
        return made

    assert torch.autograd.gradcheck(scan, leaves)


def test_gradients_of_the_scan_in_torch_are_right() -> None:
    given = inputs(3, 4, 3, 5)
    arguments = [given[name].transpose(1, 2).contiguous() for name in ("u", "delta", "B", "C")]
    x, delta, B, C = arguments
    leaves = [x, delta.abs(), given["A"].t().contiguous(), B, C, given["initial_state"].transpose(1, 2).contiguous()]
    assert torch.autograd.gradcheck(cpu.Scan.apply, [leaf.requires_grad_() for leaf in leaves])


def test_a_compiler_that_fails_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for compiler in ("false", "no-such-compiler"):
        monkeypatch.setenv("CC", compiler)
        native.library.cache_clear()
        assert native.library() is None
    native.library.cache_clear()

"""Muon beside torch's own, which is the same in bf16, and beside what it approximates."""

import pytest
import torch
from torch import Tensor

from edgegen.muon import ITERATIONS, A, B, C, Muon, orthogonal

SHAPES = ((128, 512), (96, 96), (384, 128), (8, 256))


def matrices(shape: tuple[int, int], seed: int = 0) -> Tensor:
    """Three of them, whose singular values are as far apart as those of gradients."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = sorted(shape)
    scales = torch.logspace(-1.5, 1, rows)[:, None]
    narrow, wide = (torch.randn(3, rows, count, generator=generator) for count in (rows, columns))
    return narrow @ (scales * wide)


@pytest.mark.parametrize("shape", SHAPES)
def test_as_iterated_on_the_matrices_themselves(shape: tuple[int, int]) -> None:
    x = matrices(shape).double()
    expected = x / x.norm(dim=(1, 2), keepdim=True)
    for _ in range(ITERATIONS):
        square = expected @ expected.mT
        expected = A * expected + B * square @ expected + C * square @ square @ expected
    torch.testing.assert_close(orthogonal(x), expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(orthogonal(x.float()), expected.float(), rtol=0, atol=2e-3)


def test_singular_values_come_near_one() -> None:
    x = torch.randn(4, 64, 256, generator=torch.Generator().manual_seed(1))
    found = torch.linalg.svdvals(orthogonal(x))
    assert found.min() > 0.65
    assert found.max() < 1.2
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    aligned = (orthogonal(x) * (left @ right)).sum((1, 2)) / 64  # 1 for what it approximates
    assert aligned.min() > 0.8
    assert aligned.max() < 1.1


def test_no_gradient_is_no_step() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 4, 8)), torch.zeros(2, 4, 8))


def test_steps_are_those_of_torch() -> None:
    """Up to bf16: of what three steps change, a hundredth or two is another."""
    start = [matrices(shape)[0] for shape in SHAPES]
    ours = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    theirs = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    optimisers = (
        Muon(ours, lr=1e-2, weight_decay=0.05),
        torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    )
    for seed in range(3):
        for parameters in (ours, theirs):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        for optimiser in optimisers:
            optimiser.step()
    for matrix, left, right in zip(start, ours, theirs, strict=True):
        assert (left - right).norm() < 0.03 * (right - matrix).norm()


def test_a_tall_matrix_is_a_wide_one_on_its_side() -> None:
    wide, tall = torch.nn.Parameter(matrices((32, 64))[0]), torch.nn.Parameter(matrices((32, 64))[0].mT.clone())
    wide.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(3))
    tall.grad = wide.grad.mT.clone()
    Muon([wide, tall], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(wide.data, tall.data.mT)

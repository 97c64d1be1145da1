from collections.abc import Callable
from typing import Any

import compiled
import numpy as np
import pytest
from numpy.typing import NDArray

from edgegen.export import maths
from edgegen.export.tir.lanes import Kernel, fill

POINTS = 1 << 16
FUNCTIONS = {
    "exp": maths.exp,
    "exp_minus_one": maths.exp_minus_one,
    "sigmoid": maths.sigmoid,
    "softplus": maths.softplus,
    "round_even": maths.round_even,
}

Floats = NDArray[np.float32]


def elementwise(name: str) -> Any:
    with Kernel(name) as kernel:
        x, y = kernel.tensor("x", (POINTS,)), kernel.tensor("y", (POINTS,))
        fill(y, POINTS, lambda i: FUNCTIONS[name](x[i]))
    return kernel.function


def kernels_of(instructions: str) -> dict[str, Any]:
    return {name: elementwise(name) for name in FUNCTIONS}


def apply(kernels: compiled.Kernels, name: str, x: Floats) -> Floats:
    padded = np.zeros(-(-len(x) // POINTS) * POINTS, np.float32)
    padded[: len(x)] = x
    parts = [
        kernels(name, [part], [((POINTS,), np.float32)], compiled.NO_ROWS)[0] for part in padded.reshape(-1, POINTS)
    ]
    result: Floats = np.concatenate(parts)[: len(x)]
    return result


def everywhere(low: float, high: float) -> Floats:
    """Evenly spread points, and floats of every exponent."""
    random = np.random.default_rng(0)
    small = random.normal(size=POINTS) * 2.0 ** random.integers(-40, 7, POINTS)
    points = np.concatenate([np.linspace(low, high, 3 * POINTS), small]).astype(np.float32)
    return points[(points >= low) & (points <= high)]


REFERENCES: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "exp_minus_one": np.expm1,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_within_three_units_of_the_last_place(kernels: compiled.Kernels, name: str) -> None:
    x = everywhere(-85.9, 0.0 if name == "exp_minus_one" else 87.9)
    reference = REFERENCES[name](x.astype(np.float64))
    error = np.abs(apply(kernels, name, x) - reference) / np.spacing(np.abs(reference).astype(np.float32))
    assert error.max() <= 3


@pytest.mark.parametrize("name", REFERENCES)
def test_never_falls(kernels: compiled.Kernels, name: str) -> None:
    y = apply(kernels, name, np.linspace(-200, 0 if name == "exp_minus_one" else 200, 40_001, dtype=np.float32))
    assert (np.diff(y) >= 0).all()
    assert np.isfinite(y).all()


def test_the_ends(kernels: compiled.Kernels) -> None:
    far = np.array([-np.inf, -1e30, -1000.0, 1000.0, 1e30], np.float32)
    low, high = apply(kernels, "exp", np.array([-86, 88], np.float32))
    assert 0 < low < 1e-37
    assert apply(kernels, "exp", far).tolist() == [low] * 3 + [high] * 2
    assert apply(kernels, "exp_minus_one", far[:3]).tolist() == [-1, -1, -1]
    assert apply(kernels, "exp_minus_one", np.zeros(1, np.float32))[0] == 0
    assert apply(kernels, "softplus", far).tolist() == [low, low, low, 1000.0, far[-1]]
    low, *_, high = apply(kernels, "sigmoid", far)
    assert 0 <= low <= 1e-37
    assert high == 1
    assert apply(kernels, "exp", np.zeros(1, np.float32))[0] == 1
    assert apply(kernels, "sigmoid", np.zeros(1, np.float32))[0] == 0.5


def test_halves_round_to_even(kernels: compiled.Kernels) -> None:
    x = np.concatenate([np.arange(-127.5, 128, 0.5), everywhere(-127, 127)]).astype(np.float32)
    assert (apply(kernels, "round_even", x) == np.rint(x)).all()


@pytest.mark.parametrize("name", [name for name in compiled.DOTS if name != "avx2"])
def test_every_variant_gives_the_bits_of_avx2(compiled_for: compiled.Compiled, name: str) -> None:
    avx2, other = compiled_for("avx2"), compiled_for(name)
    x = np.concatenate([everywhere(-120, 120), np.array([-np.inf, np.inf, -0.0], np.float32)])
    for function in REFERENCES:
        points = x[x <= 0] if function == "exp_minus_one" else x
        assert apply(avx2, function, points).tobytes() == apply(other, function, points).tobytes()

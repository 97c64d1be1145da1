"""Made-up flows whose figures are known."""

import numpy as np

from edgegen.evaluate.arrays import Arrays, arrays
from edgegen.flow import Flow

LABELS = ("a", "b")


def made(n: int, seed: int, shift: int = 0, sessions: int = 10) -> list[Flow]:
    """`n` flows of each label: of label a requests and long answers, of b a chatter of short packets."""
    random = np.random.default_rng(seed)
    flows = []
    for i in range(n):
        count = int(random.integers(3, 9))
        up = (random.integers(100, 180, count) + shift).tolist()
        turn = [j % 2 for j in range(count)]
        long = [size if side == 0 else 1000 + int(random.integers(0, 400)) for size, side in zip(up, turn, strict=True)]
        iat = [0.0, *random.lognormal(-5, 1, count - 1).tolist()]
        flows.append(Flow("a", long, turn, iat, 6, f"a{seed}-{i % sessions}"))
        count = int(random.integers(5, 16))
        short = (random.integers(20, 90, count) + shift).tolist()
        side = [0, *(random.random(count - 1) < 0.4).astype(int).tolist()]
        iat = [0.0, *random.lognormal(-2, 1, count - 1).tolist()]
        flows.append(Flow("b", short, side, iat, 17, f"b{seed}-{i % sessions}"))
    return flows


def table(n: int, seed: int, shift: int = 0) -> Arrays:
    """The same as arrays of up to 10 packets."""
    return arrays(made(n, seed, shift), LABELS, 10)

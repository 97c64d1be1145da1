"""What the tests of this folder share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Lets the tests of this folder import toy.py.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Toy flows are told apart by a fifth of the trees that real ones take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgegen.evaluate.classifiers.TREES", 20)
        yield

import sys
from pathlib import Path

import pytest

# The mock model and the C host around it serve these tests too.
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import mock_host

from edgegen.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle for this machine around the mock model."""
    return mock_host.make_bundle(tmp_path / "m.edgegen")

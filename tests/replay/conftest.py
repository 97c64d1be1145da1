import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The mock model and the C host around it serve these tests too.
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import mock_host

from bench import veth


@pytest.fixture(scope="session")
def pair() -> Iterator[veth.Veth]:
    """A veth pair in two network namespaces."""
    if shutil.which("ip") is None:
        pytest.skip("ip is missing: apt-get install iproute2")
    if os.geteuid() != 0:
        pytest.skip("root is missing: network namespaces need it")
    with veth.joined() as joined:
        yield joined


@pytest.fixture
def receiver(pair: veth.Veth) -> Iterator[veth.Receiver]:
    """What arrives at the far end from now on."""
    with veth.Receiver(pair) as opened:
        yield opened


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that generates here, around the mock model."""
    return mock_host.make_bundle(tmp_path_factory.mktemp("replay") / "m.edgegen").path

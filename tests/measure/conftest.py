import sys
from pathlib import Path

import pytest

# The mock model and the C host around it serve these tests too.
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import mock_host

from edgegen.bundle import Bundle, Golden, Manifest, Target, this_target
from edgegen.bundle_writer import write_bundle

CODEC = mock_host.CODECS["times"]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle for this machine around the mock model."""
    here = this_target()
    target = Target(f"{here}/edgegen", f"{here}/libmodel.so", mock_host.WIDTHS, ("mock",))
    golden = Golden(*mock_host.GOLDEN, {"native": mock_host.golden_hash(CODEC)})
    manifest = Manifest("mock", CODEC, golden, {here: target}, {"size": "tiny"}, {})
    executable = mock_host.build("times", shared=False)
    return write_bundle(tmp_path / "m.edgegen", {target.executable: executable, target.library: b"none"}, manifest)

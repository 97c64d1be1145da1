"""A bundle with the mock model, and servers around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import CODEC, Server, Start, mock_host

from edgegen.bundle import Golden, Manifest, Target, this_target
from edgegen.bundle_writer import write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = this_target()
    target = Target(f"{here}/edgegen", f"{here}/libmodel.so", mock_host.WIDTHS, ("mock",))
    golden = Golden(*mock_host.GOLDEN, {"native": mock_host.golden_hash(CODEC)})
    manifest = Manifest("mock", CODEC, golden, {here: target}, {"size": "tiny"}, {})
    files = {
        target.executable: mock_host.build("times", shared=False),
        target.library: mock_host.build("times", shared=True),
    }
    path = tmp_path_factory.mktemp("bundle") / "mock.edgegen"
    write_bundle(path, files, manifest)
    return path


@pytest.fixture
def start(bundle: Path) -> Iterator[Start]:
    started: list[Server] = []

    def server(*flags: str, **environment: str) -> Server:
        started.append(Server(bundle, *flags, **environment))
        return started[-1]

    yield server
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    """One for tests that only ask; it ends well and has had nothing to say."""
    running = Server(bundle)
    yield running
    assert running.stop() == (0, "")

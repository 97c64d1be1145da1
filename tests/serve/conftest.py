"""A real server in a process of its own, around a bundle with the mock model."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The mock model and the C host around it serve these tests too.
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import mock_host

from edgegen.bundle import Golden, Manifest, Target, this_target, write_bundle

CODEC = mock_host.CODECS["times"]
EDGEGEN = [sys.executable, "-P", "-m", "edgegen.cli"]


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


class Server:
    """A server on a port of its own; `url` is where."""

    def __init__(self, bundle: Path, *flags: str, **environment: str) -> None:
        command = [*EDGEGEN, "serve", str(bundle), "--port", "0", *flags]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | environment, stdout=subprocess.DEVNULL
        )
        assert self.process.stderr
        said = self.process.stderr.readline()
        found = re.search(r"http://[^:]+:(\d+)/", said)
        assert found, said
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> tuple[int, str]:
        """Exit status and all that it said after its first line."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


Start = Callable[..., Server]


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

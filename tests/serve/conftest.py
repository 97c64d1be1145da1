"""A bundle with the mock model, and servers around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Server, Start, mock_host


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mock_host.make_bundle(tmp_path_factory.mktemp("bundle") / "mock.edgegen").path


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

"""A real server in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# The mock model and the C host around it serve these tests too.
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import mock_host

CODEC = mock_host.CODECS["times"]
EDGEGEN = [sys.executable, "-P", "-m", "edgegen.cli"]


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

"""`edgegen pipe` in a process of its own."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from served import CODEC, EDGEGEN, mock_host

from edgegen.bundle import Bundle
from edgegen.runtime.engine import collect
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.request import Request
from edgegen.writers import json_line

ENDS = (b'{"done": ', b'{"error": ')


def commands(bundle: Path) -> dict[str, list[str]]:
    """The pipe of the Python command, and that of the executable."""
    return {"python": [*EDGEGEN, "pipe", str(bundle)], "executable": [str(executable(bundle)), "pipe"]}


def executable(bundle: Path) -> Path:
    (target,) = Bundle.open(bundle).manifest.targets.values()
    return bundle / target.executable


def read_answer(lines: BinaryIO) -> tuple[bytes, dict[str, Any]]:
    """Its flows, and the line that ends it."""
    flows = []
    while not (line := lines.readline()).startswith(ENDS):
        assert line, "the pipe has ended"
        flows.append(line)
    assert line.endswith(b"}\n")
    return b"".join(flows), json.loads(line)


class Pipe:
    """A pipe that is asked, and waits for more."""

    def __init__(self, command: list[str], **how: Any) -> None:
        ends: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, **ends, **how)

    def ask(self, body: bytes) -> tuple[bytes, dict[str, Any]]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(body + b"\n")
        self.process.stdin.flush()
        return read_answer(self.process.stdout)

    def end(self) -> tuple[int, bytes, bytes]:
        """Exit status, what it wrote since it was last asked, and what it said."""
        with self.process as process:
            out, said = process.communicate(timeout=60)
        return process.returncode, out, said


Flows = Callable[[Request, int], bytes]


def reference() -> Flows:
    """The lines of a request, its seed replaced, by the library of the mock model."""
    engine = NativeEngine(mock_host.build("times", shared=True), CODEC, 8)

    def lines(request: Request, seed: int) -> bytes:
        made = collect(engine, CODEC, replace(request, seed=seed))
        rows = zip(made.tokens.tolist(), made.places.tolist(), strict=True)
        return "".join(json_line(CODEC.decode(tokens, places)) for tokens, places in rows).encode()

    return lines

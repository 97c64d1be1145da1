"""The OpenAPI document against the server, by a fuzzer that knows nothing else of it."""

import subprocess
import sys
from pathlib import Path

from served import Start


def test_answers_are_those_of_the_document(start: Start, tmp_path: Path) -> None:
    """No 5xx, no status, header or body that the document does not have, nothing wrong that is let through."""
    running = start("--most-flows", "50")
    command = [sys.executable, "-m", "schemathesis.cli", "run", running.url + "/openapi.json", "--checks", "all"]
    command += ["--phases", "fuzzing", "--max-examples", "40", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=250)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "5 selected / 5 total" in done.stdout
    assert running.stop() == (0, "")

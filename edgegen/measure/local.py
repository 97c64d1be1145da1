"""A measurement on this machine."""

import json
import subprocess
from typing import TYPE_CHECKING, Any

from edgegen.bundle import Bundle, this_target
from edgegen.errors import EdgegenError, UsageError

if TYPE_CHECKING:
    from edgegen.measure import Workload

USAGE = 2  # exit status of the executable


def arguments(workload: "Workload") -> list[str]:
    """The command line of the executable's `bench`."""
    return ["bench", "--seconds", str(workload.seconds), "--threads", str(workload.threads), *workload.flags()]


def bench(bundle: Bundle, workload: "Workload") -> dict[str, Any]:
    """What the executable measures here."""
    return run([str(bundle.executable(this_target())), *arguments(workload)], "the executable")


def run(command: list[str], what: str) -> dict[str, Any]:
    """The JSON that a command prints; EdgegenError with the sentence that it ends with instead."""
    try:
        # What it says of a label has the label's bytes.
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
    except OSError as error:
        raise EdgegenError(
            f"{command[0]} cannot be started ({error.strerror}): check that it is there and that this machine runs it"
        ) from error
    if done.returncode:
        said = done.stderr.strip().removeprefix("edgegen: ") or f"exit status {done.returncode}"
        kind = UsageError if done.returncode == USAGE else EdgegenError
        raise kind(f"{what} could not measure: {' '.join(said.split())}")
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise EdgegenError(f"{what} printed no measurement: export the bundle again with this edgegen") from error
    return result

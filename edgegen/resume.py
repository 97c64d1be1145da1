"""The folder of a run: held by one training at a time, and gone on with after a kill."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edgegen import checkpoint
from edgegen.errors import EdgegenError, UsageError


@contextmanager
def held(run: Path) -> Iterator[None]:
    """Make the folder `run` and keep other trainings out of it; a new one that is still empty afterwards is removed."""
    try:
        new = not run.exists()
        run.mkdir(parents=True, exist_ok=True)
        folder = os.open(run, os.O_RDONLY)
    except OSError as error:
        raise EdgegenError(f"cannot make the folder {run} ({error.strerror}): choose another place") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise EdgegenError(f"another process is training {run}: wait for it, or choose another folder") from error
    except OSError:
        pass  # Some file systems of a network have no locks.
    try:
        yield
    finally:
        os.close(folder)
        if new:
            with suppress(OSError):  # It is not empty, as a rule.
                run.rmdir()


def progress_of(run: Path, settings: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """What to go on from, or None where `run` is new; UsageError where it holds a run that this is not."""
    progress = checkpoint.read_progress(run)
    has_config, has_model = ((run / name).is_file() for name in (checkpoint.CONFIG, checkpoint.MODEL))
    if (progress or has_config or has_model) and not resume:
        raise UsageError(f"{run} already holds a run: go on with --resume, or choose another folder")
    if progress:
        started = progress["settings"]
    elif has_config:
        # A kill within the first epoch may leave its config or its weights alone; after more, the state was lost.
        config = checkpoint.read_config(run)
        started, history = config.get("provenance"), config.get("history")
        if not isinstance(started, dict) or not isinstance(history, list) or len(history) > 1:
            lost = f"{run} already holds a run, and the {checkpoint.LAST} to go on from is missing"
            raise UsageError(f"{lost}: choose another folder")
    else:
        return None
    differing = ", ".join(name for name in settings if started.get(name) != settings[name])
    if differing:
        raise UsageError(f"{run} was started with other settings ({differing}): resume with the same ones")
    return progress

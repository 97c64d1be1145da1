"""Finished parts of an evaluation, kept on disk: an interrupted one goes on where it was."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from edgegen.errors import EdgegenError
from edgegen.writers import whole_file


class Parts:
    """Each part in a file of its own in `folder`, under the hash of all that it was made from; None keeps nothing."""

    def __init__(self, folder: Path | None, made_from: dict[str, Any]) -> None:
        self._folder, self._made_from = folder, made_from
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EdgegenError(f"cannot make the folder {folder} ({error.strerror}): choose another") from error

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The part of that name: read where it is there and from the same inputs, else made and written."""
        if not self._folder:
            return make()
        key = sha256(json.dumps(self._made_from | {"part": name}, sort_keys=True).encode()).hexdigest()
        file = self._folder / f"{name}.json"
        try:
            kept = json.loads(file.read_bytes())
            if kept["key"] == key:
                return kept["value"]
        except (OSError, ValueError, KeyError, TypeError):
            # Not there, cut short, or something else: it is made again.
            pass
        value = make()
        with whole_file(file) as out:
            out.write(json.dumps({"key": key, "value": value}).encode())
        return value

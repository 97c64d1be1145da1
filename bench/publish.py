"""How a benchmark ends: its result as one line of JSON, and as a file where one is wanted."""

import json
from pathlib import Path
from typing import Any

from edgegen.writers import whole_file


def publish(result: dict[str, Any], path: Path | None) -> None:
    """Print `result` on one line, and write it to `path`, whole or not at all."""
    print(json.dumps(result))
    if path:
        with whole_file(path) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())

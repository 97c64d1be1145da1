"""How a benchmark ends: its result as a file where one is wanted, as a table, and as one line of JSON."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from edgegen.writers import whole_file


def publish(result: dict[str, Any], path: Path | None, table: RenderableType | None = None) -> None:
    """Write `result` to `path`, whole or not at all, then print `table`, and `result` on one line.

    In this order, since the reader of what is printed may be gone after hours of measuring.
    """
    if path:
        with whole_file(path) as file:
            file.write((json.dumps(result, indent=1) + "\n").encode())
    if table is not None:
        Console(width=150).print(table)
    print(json.dumps(result))

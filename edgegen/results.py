"""A result for people, one table in Markdown, and for programs, JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgegen.errors import UsageError
from edgegen.paths import check_folder
from edgegen.writers import whole_file


def check_form(out: str) -> str:
    """The form of `write`'s `out`, "md" or "json". To be called before the work is done.

    Raises UsageError for another form, EdgegenError where a file cannot be written there.
    """
    form = out if out in ("md", "json") else Path(out).suffix.removeprefix(".")
    if form not in ("md", "json"):
        raise UsageError(f"-o {out} is none of: md, json, a file named .md or .json")
    if out != form:
        check_folder(Path(out))
    return form


def write(result: dict[str, Any], out: str, markdown: Callable[[dict[str, Any]], str]) -> None:
    """Print a result as "md" or "json", or write it to a file with that suffix."""
    form = check_form(out)
    text = markdown(result) if form == "md" else json.dumps(result)
    if out == form:
        print(text)
        return
    with whole_file(Path(out)) as file:
        file.write(f"{text}\n".encode())


def table(title: str, rows: list[tuple[str, str]]) -> str:
    """A title and rows of a name and a value in Markdown."""
    return "\n".join([title, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])

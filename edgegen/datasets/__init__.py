"""EdgeLab, the data set in the package: flows of real programs, captured in a lab of network namespaces."""

from pathlib import Path

from edgegen.errors import EdgegenError


def edgelab() -> Path:
    """The flow table of EdgeLab (parquet); edgelab.md beside it says how it was made."""
    # Resolved, because an editable install links this file but not data that came after it.
    path = Path(__file__).resolve().with_name("edgelab.parquet")
    if not path.is_file():
        raise EdgegenError(f"the shipped data set {path} is missing: install edgegen again")
    return path

"""EdgeLab, the data set in the package: flows of real programs, captured in a lab of network namespaces.

With it comes a base LLaMA trained on it, so that `edgegen export` makes a bundle before anyone has trained anything.
"""

from pathlib import Path

from edgegen.errors import EdgegenError


def edgelab() -> Path:
    """The flow table of EdgeLab (parquet); edgelab.md beside it says how it was made."""
    # Resolved, because an editable install links this file but not data that came after it.
    path = Path(__file__).resolve().with_name("edgelab.parquet")
    if not path.is_file():
        raise EdgegenError(f"the shipped data set {path} is missing: install edgegen again")
    return path


def edgelab_llama() -> Path:
    """The run folder of the base LLaMA trained on EdgeLab."""
    run = Path(__file__).resolve().with_name("llama-base")
    if not run.is_dir():
        raise EdgegenError(f"the shipped model {run} is missing: install edgegen again")
    return run

"""What all tests share."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

# There is a process of pytest for each processor already, and threads that wait for each other spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# bench/ is no installed package. The root comes last, so that `edgegen` stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Its tests share bundles and the C libraries of all targets, which take minutes to make.
EXPORT = "tests/export"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest starts first."""
    items.sort(key=lambda item: not item.nodeid.startswith(EXPORT))


class ByFile(LoadFileScheduling):
    """The tests of a file go to one process, those of all files in EXPORT to the same.

    Spread over two, each would mostly wait for what the other is making.
    """

    def _split_scope(self, nodeid: str) -> str:
        return EXPORT if nodeid.startswith(EXPORT) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Takes the place of what --dist names."""
    return ByFile(config, log)

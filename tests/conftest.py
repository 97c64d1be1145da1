"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# There is a process of pytest for each processor already, and threads that wait for each other spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# bench/ is no installed package. The root comes last, so that `edgegen` stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What these share takes minutes to make: in one process, while another one does something else than wait for it.
BUNDLES = ("test_arm.py", "test_build.py", "test_deb.py", "test_fp32.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file go to one process, and those of BUNDLES all to the same."""
    for item in items:
        group = "bundles" if item.path.name in BUNDLES else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))

"""What all tests share."""

import os
import sys
from pathlib import Path

from hypothesis import settings

# There is a process of pytest for each processor already, and threads that wait for each other spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# bench/ is no installed package. The root comes last, so that `edgegen` stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

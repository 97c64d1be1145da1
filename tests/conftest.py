"""What all tests share."""

import sys
from pathlib import Path

from hypothesis import settings

# bench/ is no installed package. The root comes last, so that `edgegen` stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

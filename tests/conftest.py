"""What all tests share."""

import sys
from pathlib import Path

# bench/ is no installed package. The root comes last, so that `edgegen` stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

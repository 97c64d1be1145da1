"""What the tests of this folder share."""

import sys
from pathlib import Path

# Lets the tests of this folder import toy.py.
sys.path.append(str(Path(__file__).parent))

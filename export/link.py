"""model.c, the kernels' objects and the C host -> one static executable and one shared library, by zig's compiler.

`python -m ziglang cc` carries its own C libraries, so a user needs no system compiler for any target.
"""

import subprocess
import sys
from pathlib import Path

from edgegen.errors import EdgegenError
from edgegen.export.device.sources import EXECUTABLE, FLAGS, LIBRARY
from edgegen.export.targets import Target

SMALL = ("-s", "-g0", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-fno-sanitize=all")
# What Python calls, and the kernels by name, so that a profile says where the time goes.
EXPORTS = "{ global: edgegen_*; *_w[0-9]*_*; local: *; };
"

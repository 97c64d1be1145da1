"""The selective scan of Mamba, behind one name.

float32 on a CPU takes native.py where there is a C compiler; everything else takes the loop in torch of cpu.py.
reference.py is the definition of right.
"""

from edgegen.kernels.cpu import selective_scan

__all__ = ["selective_scan"]

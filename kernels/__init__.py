"""The selective scan of Mamba, behind one name whatever the processor."""

from edgegen.kernels.cpu import selective_scan

__all__ = ["selective_scan"]

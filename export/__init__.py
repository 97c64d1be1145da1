"""Checkpoint -> bundle: the step graph, int8, TVM, linking and the parity gate."""

from edgegen.export.build import Exported, export

__all__ = ["Exported", "export"]

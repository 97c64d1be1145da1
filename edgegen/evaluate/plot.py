"""One picture of real and synthetic flows: for each label the distributions of lengths and times."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgegen.errors import EdgegenError
from edgegen.evaluate.compare import Floats, lengths, times
from edgegen.flow import Flow
from edgegen.writers import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLIENT, SERVER, TIME = "#0072b2", "#d55e00", "#3d7a4e"  # told apart with any colour vision
REAL: dict[str, Any] = {"linewidth": 5, "alpha": 0.35, "solid_capstyle": "butt"}
SYNTHETIC: dict[str, Any] = {"linewidth": 1.3}
STYLES = (("real", REAL), ("synthetic", SYNTHETIC))
LABELS_ACROSS = 3
SHORTEST = 1e-6  # seconds; what is shorter is drawn here, for a logarithmic axis has no zero
TALLEST = 60  # labels; a picture of more has no readable panel


def plot_comparison(real: Sequence[Flow], synthetic: Sequence[Flow], path: Path) -> None:
    """Draw a PNG: per label the cumulative share of payload lengths by direction and of inter-arrival times.

    Real flows are broad pale lines, synthetic ones thin dark lines on top: where they agree, the thin line
    runs inside the broad one. Raises EdgegenError where matplotlib is missing, no label is on both sides, or
    `path` cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EdgegenError("drawing needs matplotlib, which is not installed: pip install 'edgegen[eval]'") from error
    labels = sorted({flow.label for flow in real} & {flow.label for flow in synthetic})[:TALLEST]
    if not labels:
        raise EdgegenError("the real and the synthetic flows have no label in common: nothing can be drawn")
    across = min(LABELS_ACROSS, len(labels))
    down = math.ceil(len(labels) / across)
    # Drawing without pyplot needs no display and leaves no figure behind.
    figure = Figure(figsize=(5.2 * across, 0.8 + 2.1 * down), layout="constrained", facecolor="white")
    panels = figure.subfigures(down, across, squeeze=False, wspace=0.02, hspace=0.03)
    for place, label in enumerate(labels):
        sides = [[flow for flow in flows if flow.label == label] for flows in (real, synthetic)]
        panel = panels.flat[place]
        panel.suptitle(label, fontsize=11, fontweight="bold", x=0.02, ha="left", parse_math=False)
        left, right = panel.subplots(1, 2, sharey=True)
        _draw_lengths(left, *sides)
        _draw_times(right, *sides)
    _legend(figure, columns=5 if across > 1 else 3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    with whole_file(path) as file:
        file.write(picture.getvalue())


def _draw_lengths(axes: "Axes", real: Sequence[Flow], synthetic: Sequence[Flow]) -> None:
    for direction, colour in enumerate((CLIENT, SERVER)):
        _draw_pair(axes, lengths(real, direction), lengths(synthetic, direction), colour)
    # A few huge packets would press all others against the axis.
    axes.set_xlim(right=1.05 * np.quantile(np.r_[lengths(real), lengths(synthetic)], 0.995) + 1)
    axes.set_xlabel("payload length, bytes", fontsize=8)
    axes.set_ylabel("cumulative share", fontsize=8)
    _finish(axes)


def _draw_times(axes: "Axes", real: Sequence[Flow], synthetic: Sequence[Flow]) -> None:
    _draw_pair(axes, np.maximum(times(real), SHORTEST), np.maximum(times(synthetic), SHORTEST), TIME)
    axes.set_xscale("log")
    axes.set_xlabel("inter-arrival time, s", fontsize=8)
    _finish(axes)


def _draw_pair(axes: "Axes", real: Floats, synthetic: Floats, colour: str) -> None:
    for sample, (_, style) in zip((real, synthetic), STYLES, strict=True):
        if len(sample):
            values, counts = np.unique(sample, return_counts=True)
            share = np.cumsum(counts) / len(sample)
            # The curve starts at zero, where the smallest value stands.
            axes.step(np.r_[values[0], values], np.r_[0.0, share], where="post", color=colour, **style)


def _finish(axes: "Axes") -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(labelsize=7)
    axes.grid(True, color="#e3e3e3", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: "Figure", columns: int) -> None:
    from matplotlib.lines import Line2D

    colours = ((CLIENT, "client to server"), (SERVER, "server to client"), (TIME, "both directions"))
    handles = [Line2D([], [], color="#555555", label=name, **style) for name, style in STYLES]
    handles += [Line2D([], [], color=colour, linewidth=3, label=name) for colour, name in colours]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)

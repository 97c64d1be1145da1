"""The pictures of a report, as SVG that takes its text colour from the page."""

import functools
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from edgegen.evaluate.distributions import QUANTITIES, SIGNED_BIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REAL, SYNTHETIC, BASELINE = "#3b7dd8", "#e07b00", "#9a9a9a"  # told apart with any colour vision, on light and dark
P = ParamSpec("P")

LONGEST = 40  # characters of a label
PIXELS = 130  # of an inch, at most
INK = "#010203"  # stands for the page's text colour until the SVG is written
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgegen",
    "font.family": "sans-serif",
    "font.size": 9,
    # Labels are names, whatever dollars are in them.
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
DRAWN = {
    "pl": "payload length, bytes",
    "iat": "inter-arrival time",
    "packets": "packets of a flow",
    "bytes_up": "bytes, client to server",
    "bytes_down": "bytes, server to client",
    "burst_bytes": "bytes of a burst",
}
LOGARITHMIC = ("iat", "bytes_up", "bytes_down", "burst_bytes")


def _styled(draw: Callable[P, str]) -> Callable[P, str]:
    """matplotlib takes colours and fonts when a thing is made, so the style is there while a picture is drawn."""

    @functools.wraps(draw)
    def styled(*arguments: P.args, **named: P.kwargs) -> str:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **named)

    return styled


@_styled
def distributions(shapes: dict[str, Any]) -> str:
    """Cumulative shares of each quantity: real broad and pale, synthetic thin on top."""
    from matplotlib.ticker import EngFormatter

    names = [name for name in DRAWN if len(shapes["histograms"].get(name, {})) == 2]
    figure = _figure(7.2, 2.3 * -(-len(names) // 3))
    for i, name in enumerate(names):
        axes = figure.add_subplot(-(-len(names) // 3), 3, i + 1)
        edges = QUANTITIES[name][1]
        for side, colour, width, alpha in (("real", REAL, 5, 0.4), ("synthetic", SYNTHETIC, 1.3, 1.0)):
            share = np.cumsum(shapes["histograms"][name][side])
            axes.step(edges[:-1], share, where="post", color=colour, linewidth=width, alpha=alpha, label=side)
        if name in LOGARITHMIC:
            axes.set_xscale("symlog", linthresh=edges[1])
            most = int(np.log10(edges[-2]))
            axes.set_xticks([0, *(10.0**i for i in range(most, int(np.log10(edges[1])), -3))])
            # Not the usual powers of ten, which want TeX to be parsed, and names of flows do not.
            axes.xaxis.set_major_formatter(EngFormatter("s" if name == "iat" else ""))
            axes.minorticks_off()
        axes.set_xlabel(DRAWN[name])
        axes.set_ylim(0, 1.03)
        if name == "packets":
            axes.set_xlim(0.5, max(i for i, share in enumerate(shapes["histograms"][name]["real"]) if share > 0) + 1.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    figure.axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    return _svg(figure, "Cumulative distributions of real and synthetic flows")


@_styled
def transition_matrices(shapes: dict[str, Any]) -> str:
    """Which packet follows which, real and synthetic side by side, on a logarithmic scale."""
    from matplotlib.colors import LogNorm

    figure = _figure(7.2, 3.6)
    matrices = {side: np.array(matrix) for side, matrix in shapes["transitions"].items()}
    most = max(float(matrix.max()) for matrix in matrices.values())
    half = len(matrices["real"]) // 2
    for i, side in enumerate(("real", "synthetic")):
        axes = figure.add_subplot(1, 2, i + 1)
        shown = np.ma.masked_less(matrices[side], 1e-6)
        axes.imshow(shown, norm=LogNorm(1e-5, most), cmap="viridis", interpolation="nearest")
        axes.set_title(side, fontsize=9)
        axes.set_xlabel(f"next packet, in {SIGNED_BIN}-byte bins")
        axes.set_ylabel("packet" if i == 0 else "")
        axes.set_xticks([half / 2, 1.5 * half, 2 * half], ["up", "down", "end"], fontsize=8)
        axes.set_yticks([half / 2, 1.5 * half, 2 * half], ["up", "down", "start"], fontsize=8)
        for line in (axes.axhline, axes.axvline):
            line(half - 0.5, color=INK, linewidth=0.6)
    return _svg(figure, "Transitions between packets, real and synthetic")


@_styled
def f1_bars(synthetic_only: dict[str, Any]) -> str:
    """Macro-F1 of random forests on real flows, by what they were trained on."""
    rows = [("real flows", synthetic_only["real_macro_f1"], synthetic_only["real_spread"], REAL)]
    for name, row in (("generated, picked", synthetic_only), ("as they come", synthetic_only["as_they_come"])):
        rows.append((name, row["macro_f1"], row["spread"], SYNTHETIC))
    rows += [(name, row["macro_f1"], row["spread"], BASELINE) for name, row in synthetic_only["baselines"].items()]
    figure = _figure(7.2, 0.5 + 0.28 * len(rows))
    axes = figure.add_subplot()
    for place, (_, value, spread, colour) in enumerate(reversed(rows)):
        axes.barh(place, value, xerr=spread, color=colour, height=0.7, error_kw={"ecolor": INK, "elinewidth": 1})
        axes.text(value + spread + 0.01, place, f"{value:.3f}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("macro-F1 on held-out real flows")
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure, "Macro-F1 by training set")


@_styled
def augmentation(found: dict[str, Any]) -> str:
    """Macro-F1 against the number of real flows, alone and with flows added."""
    figure = _figure(7.2, 3.4)
    axes = figure.add_subplot()
    numbers = [row["real_flows"] for row in found["rows"]]
    names = [name for name in (found["rows"][0] if found["rows"] else {}) if name != "real_flows"]
    colours = {"real": REAL, "edit": BASELINE}
    for i, name in enumerate(names):
        values = [row[name]["macro_f1"] for row in found["rows"]]
        spreads = [row[name]["spread"] for row in found["rows"]]
        style: dict[str, Any] = {"color": colours.get(name, SYNTHETIC), "linestyle": "--" if i == 1 else "-"}
        label = name.replace("_", " +")
        axes.errorbar(numbers, values, yerr=spreads, label=label, marker="o", markersize=4, capsize=2, **style)
    axes.axhline(found["all"], color=INK, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()
    axes.set_xlabel("real flows of each label; dotted: all of them")
    axes.set_ylabel("macro-F1")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure, "Macro-F1 by number of real flows")


@_styled
def refinements(found: list[dict[str, Any]]) -> str:
    """F1 and AUC against the number of refinements, those that were distilled to it hollow."""
    figure = _figure(7.2, 2.6)
    several = sorted((row for row in found if row["refinements"]), key=lambda row: row["refinements"])
    for i, (name, text) in enumerate((("macro_f1", "macro-F1"), ("two_sample_auc", "two-sample AUC, 0.5 is perfect"))):
        axes = figure.add_subplot(1, 2, i + 1)
        for distilled, fill, line in ((False, SYNTHETIC, "-"), (True, "none", "--")):
            rows = [row for row in several if row["distilled"] == distilled and row[name] is not None]
            numbers, values = [row["refinements"] for row in rows], [row[name] for row in rows]
            label = "distilled" if distilled else "as trained"
            style: dict[str, Any] = {"markerfacecolor": fill, "linestyle": line, "marker": "o", "markersize": 5}
            axes.plot(numbers, values, color=SYNTHETIC, label=label, **style)
        axes.set_xscale("log", base=2)
        numbers = sorted({row["refinements"] for row in several})
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.minorticks_off()
        axes.set_xlabel("refinements of a flow")
        axes.set_ylabel(text)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8, labelcolor=INK)
    return _svg(figure, "Quality by number of refinements")


@_styled
def confusion(synthetic_only: dict[str, Any], labels: list[str]) -> str:
    """What the forest that saw generated flows only takes each label's real flows for."""
    # Names of any length would leave no room for the picture; the table beside it has them whole.
    short = [label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…" for label in labels]
    size = min(7.2, 1.7 + 0.22 * len(labels) + 0.07 * max(map(len, short)))
    figure = _figure(size, size * 0.92)
    axes = figure.add_subplot()
    axes.imshow(np.array(synthetic_only["confusion"]), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    small = 8 if len(labels) <= 20 else 6
    axes.set_xticks(range(len(labels)), short, rotation=90, fontsize=small)
    axes.set_yticks(range(len(labels)), short, fontsize=small)
    axes.set_xlabel("taken for")
    axes.set_ylabel("label")
    return _svg(figure, "Confusion of a classifier trained on generated flows")


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: "Figure", title: str) -> str:
    """The figure's SVG element, as wide as the page allows."""
    out = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text: whoever looks at it has fonts of their own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    # The viewBox keeps the shape; the page sets the width, up to where a small picture would look blown up.
    most = f"max-width: {figure.get_figwidth() * PIXELS:.0f}px"
    labelled = rf'<svg role="img" aria-label="{title}" style="{most}" \1'
    return re.sub(r'^<svg ([^>]*?)height="[^"]*" ', labelled, svg, count=1)

"""Real and synthetic flows side by side, label by label: quantiles, divergences and the copy rate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edgegen.errors import EdgegenError
from edgegen.evaluate.arrays import LONGEST_PL
from edgegen.evaluate.distributions import IAT_EDGES, PL_EDGES, histogram, jensen_shannon
from edgegen.flow import Flow
from edgegen.tables import print_as_it_stands

QUANTILES = (0.05, 0.5, 0.95)

Quantiles = tuple[float, ...]
Pattern = tuple[tuple[int, ...], tuple[int, ...]]  # pl, dir
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """What one set of flows of one label looks like.

    packets: the mean per flow; pl in bytes and iat in seconds at p5, p50 and p95; client: share of packets
    sent by the client. iat leaves out each flow's first, which is always 0; with no other it is nan.
    """

    flows: int
    packets: float
    pl: Quantiles
    iat: Quantiles
    client: float


@dataclass(frozen=True)
class Comparison:
    """One label. pl_divergence, iat_divergence: Jensen-Shannon, in bits (0 alike, 1 disjoint), of payload
    lengths in bins of 32 bytes and of inter-arrival times in logarithmic bins, six to a decade, as in `evaluate`.

    copies, real_copies: share of the synthetic and of the real flows whose (pl, dir) sequence is one of the
    training flows'. A score says little without them: whoever copies the training set scores best, and real
    flows repeat each other too.
    """

    label: str
    real: Side
    synthetic: Side
    pl_divergence: float
    iat_divergence: float
    copies: float
    real_copies: float


def compare(real: Sequence[Flow], synthetic: Sequence[Flow], training: Iterable[Flow]) -> list[Comparison]:
    """One Comparison for each label that both sides have, sorted.

    real: best flows the generator has not seen; training: those it learned from. Cut both to the codec's
    packets first (`cut`): a generator makes no longer flows.
    Raises EdgegenError where the sides have no label in common.
    """
    real_by_label, synthetic_by_label = _by_label(real), _by_label(synthetic)
    labels = sorted(real_by_label.keys() & synthetic_by_label.keys())
    if not labels:
        raise EdgegenError("the real and the synthetic flows have no label in common: compare flows of one data set")
    known = {_sequence(flow) for flow in training}
    return [_compare_label(label, real_by_label[label], synthetic_by_label[label], known) for label in labels]


def cut(flows: Iterable[Flow], packets: int) -> list[Flow]:
    """The flows with their first `packets` packets only."""
    return [Flow(f.label, f.pl[:packets], f.dir[:packets], f.iat[:packets], f.proto, f.session) for f in flows]


def copy_rate(flows: Sequence[Flow], training: Iterable[Flow]) -> float:
    """Share of `flows` whose (pl, dir) sequence equals that of a flow in `training`, whatever its label."""
    return _share_in(flows, {_sequence(flow) for flow in training})


def lengths(flows: Iterable[Flow], direction: int | None = None) -> Floats:
    """Payload lengths in bytes of all packets, or of those of one direction."""
    return np.array(
        [pl for f in flows for pl, d in zip(f.pl, f.dir, strict=True) if direction in (None, d)], np.float64
    )


def times(flows: Iterable[Flow]) -> Floats:
    """Inter-arrival times in seconds of all packets but each flow's first."""
    return np.array([t for flow in flows for t in flow.iat[1:]], np.float64)


def divergence(one: Floats, other: Floats, edges: Floats) -> float:
    """Jensen-Shannon divergence in bits of two samples over the bins of `edges`, nan where one is empty.

    What lies beyond the edges counts to the outer bins.
    """
    if not (len(one) and len(other)):
        return float("nan")
    return jensen_shannon(histogram(one, edges), histogram(other, edges))


def print_comparison(comparisons: Sequence[Comparison]) -> None:
    """The comparisons as a table on stdout, two lines a label: real above synthetic."""
    table = comparison_table(comparisons)
    # Lines longer than the terminal are better than cells cut short.
    needed = Console(width=10_000, markup=False, emoji=False).measure(table).maximum
    print_as_it_stands(table, max(Console().width, needed))


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Two rows a label: real above synthetic, with the scores."""
    title = "Real and synthetic flows; pl and iat at p5, p50 and p95"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("label", style="bold", no_wrap=True)
    for name in ("", "flows", "packets", "pl, bytes", "iat", "client", "JSD pl", "JSD iat", "copies"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in comparisons:
        table.add_row(row.label, "real", *_cells(row.real), "", "", f"{row.real_copies:.1%}")
        scores = (_number(row.pl_divergence), _number(row.iat_divergence), f"{row.copies:.1%}")
        table.add_row("", "synthetic", *_cells(row.synthetic), *scores)
    return table


def _compare_label(label: str, real: list[Flow], synthetic: list[Flow], known: set[Pattern]) -> Comparison:
    return Comparison(
        label=label,
        real=_side(real),
        synthetic=_side(synthetic),
        pl_divergence=divergence(lengths(real), lengths(synthetic), PL_EDGES),
        iat_divergence=divergence(times(real), times(synthetic), IAT_EDGES),
        copies=_share_in(synthetic, known),
        real_copies=_share_in(real, known),
    )


def _side(flows: list[Flow]) -> Side:
    pl, iat = lengths(flows), times(flows)
    return Side(
        flows=len(flows),
        packets=len(pl) / len(flows),
        pl=_quantiles(pl),
        iat=_quantiles(iat),
        client=len(lengths(flows, 0)) / len(pl),
    )


def _quantiles(sample: Floats) -> Quantiles:
    if not len(sample):
        return (float("nan"),) * len(QUANTILES)
    return tuple(float(value) for value in np.quantile(sample, QUANTILES))


def _by_label(flows: Iterable[Flow]) -> dict[str, list[Flow]]:
    grouped: dict[str, list[Flow]] = {}
    for flow in flows:
        grouped.setdefault(flow.label, []).append(flow)
    return grouped


def _sequence(flow: Flow) -> Pattern:
    return tuple(min(pl, LONGEST_PL) for pl in flow.pl), tuple(flow.dir)


def _share_in(flows: Sequence[Flow], known: set[Pattern]) -> float:
    return sum(_sequence(flow) in known for flow in flows) / len(flows)


def _cells(side: Side) -> tuple[str, ...]:
    pl = " ".join(f"{value:.0f}" for value in side.pl)
    iat = " ".join(map(_duration, side.iat))
    return f"{side.flows:,}", f"{side.packets:.1f}", pl, iat, f"{side.client:.0%}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _duration(seconds: float) -> str:
    """With the unit that suits: 41us, 4.1ms, 12s."""
    if np.isnan(seconds):
        return "-"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f}us"
    value, unit = (seconds * 1e3, "ms") if seconds < 1 else (seconds, "s")
    return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"

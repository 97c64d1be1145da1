"""What came of all turns: medians, our lead over the best peer, tables."""

import statistics
from typing import Any

from rich.table import Table

from edgegen.measure.report import shares
from peers.common import TOKENS
from peers.lineup import BUNDLES, OURS

# DESIGN's budgets, which are for AVX-512 VNNI; elsewhere the same int8 products are several instructions, for all.
GOALS = {
    "llama_latency_ratio": 5.0,
    "llama_throughput_ratio": 3.0,
    "mamba_latency_ratio": 9.0,
    "mamba_throughput_ratio": 7.0,
}


def merged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and the samples they come from."""

    def one(way: str | None) -> float:
        samples = [r["one_flow_ms"] if way is None else r["one_flow_ms"][way] for r in runs]
        return statistics.median(statistics.median(s) for s in samples)

    def many(way: str | None) -> tuple[float, int]:
        tables = [r["flows_a_second"] if way is None else r["flows_a_second"][way] for r in runs]
        best = {batch: statistics.median(table[batch] for table in tables) for batch in tables[0]}
        batch = max(best, key=lambda b: best[b])
        return best[batch], int(batch)

    ways = [None] if isinstance(runs[0]["one_flow_ms"], list) else list(runs[0]["one_flow_ms"])
    return {
        "one_flow_ms": {way or "sampled": one(way) for way in ways},
        "flows_a_second": {way or "sampled": many(way)[0] for way in ways},
        "best_batch": {way or "sampled": many(way)[1] for way in ways},
        "memory_mb": statistics.median(r["memory_mb"] for r in runs),
        **{name: runs[0][name] for name in ("check", "model_bytes", "library_bytes")},
        **{name: runs[0][name] for name in ("variant", "memory_widest_mb", "kernels_us_a_token") if name in runs[0]},
        "rounds": runs,
    }


def ratios(arch: str, found: dict[str, Any]) -> dict[str, float]:
    """The best peer over us: above 1 we are faster."""
    peers = [row for name, row in found.items() if name not in BUNDLES and "fault" not in row]
    us = found.get(OURS, {"fault": ""})
    if not peers or "fault" in us:
        return {}
    latency = min(min(row["one_flow_ms"].values()) for row in peers) / us["one_flow_ms"]["sampled"]
    throughput = us["flows_a_second"]["sampled"] / max(max(row["flows_a_second"].values()) for row in peers)
    return {f"{arch}_latency_ratio": latency, f"{arch}_throughput_ratio": throughput}


def verdicts(arch: str, found: dict[str, Any]) -> list[str]:
    """Each ratio against its goal; where one is missed, by how much, and where our time goes."""
    lines, missed = [], False
    for name, ratio in ratios(arch, found).items():
        missed = missed or ratio < GOALS[name]
        verdict = "met" if ratio >= GOALS[name] else f"missed by {1 - ratio / GOALS[name]:.0%}"
        lines.append(f"{name} {ratio:.2f}, goal {GOALS[name]:g}: {verdict}")
    if missed:
        for batch, kernels in found[OURS]["kernels_us_a_token"].items():
            lines.append(f"where our time goes, batch {batch}: {shares(kernels)}")
    return lines


def table_of(arch: str, found: dict[str, Any]) -> Table:
    table = Table(title=f"{arch}: {TOKENS} tokens a flow, one thread")
    headings = (
        "engine",
        "nats off",
        "one flow, ms",
        "forced",
        "flows/s",
        "forced",
        "batch",
        "memory, MB",
        "to ship, MB",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, row in found.items():
        if "fault" in row:
            table.add_row(name, row["fault"])
            continue
        one, many = row["one_flow_ms"], row["flows_a_second"]
        other = next((way for way in one if way != "sampled"), None)
        table.add_row(
            name,
            f"{row['check']['divergence']:.1g}",
            f"{one['sampled']:.2f}",
            f"{one[other]:.2f}" if other else "",
            f"{many['sampled']:,.0f}",
            f"{many[other]:,.0f}" if other else "",
            str(row["best_batch"][other or "sampled"]),
            f"{row['memory_mb']:.1f}",
            f"{(row['model_bytes'] + row['library_bytes']) / 1e6:.1f}",
        )
    return table

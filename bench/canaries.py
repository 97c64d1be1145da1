"""Flows that nobody would guess, planted in a training set: does the generator give them away?

    python bench/canaries.py FLOWS --arch llama [--no-iat --max-packets 10] -o bench/results/canaries-NAME.json

Canaries are all of one label, each in a session of its own; some stand in the table once, some several times. Strange
ones have random lengths and directions, ordinary ones are walks along pairs of packets that the label's flows have. A
generator is trained as ever for each kind, and compiled. Two questions: how often a canary comes out in many generated
flows of that label; and how much likelier the model finds it than others that were made in the same way and not
planted, in bits of exposure (Carlini et al. 2019): 1 where it is likelier than half of them, log2 of their number where
it is likelier than all. Prints a table, then one line of JSON, which it also writes with `-o`.
"""

import argparse
import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import machine
from edgegen import checkpoint
from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate.arrays import Ints, arrays, flows_of
from edgegen.evaluate.baselines import markov
from edgegen.evaluate.subject import BundleSubject
from edgegen.export import export
from edgegen.flow import Flow
from edgegen.likelihood import nats_by_label
from edgegen.readers import read_flows
from edgegen.split import split
from edgegen.train import train
from edgegen.writers import write_flows
from publish import publish

REPEATS = (1, 4, 16)
EACH = 8  # canaries of each number of repeats
# The split leaves some of them out: how often they stand in the training part is counted.
GROUPS = ((0, 0), (1, 1), (2, 4), (5, max(REPEATS)))
OTHERS = 4_096  # made in the same way, not planted
DRAWS = 20  # of a chain at most, until so many are there


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--arch", action="append", required=True)
    parser.add_argument("--max-packets", type=int, default=16)
    parser.add_argument("--iat", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--generate", type=int, default=100_000, help="flows of the canaries' label")
    parser.add_argument("--kind", action="append", choices=KINDS, help="of canaries; none: both")
    parser.add_argument("--keep-repeats", action="store_true", help="train on canaries as often as they are planted")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    facts = machine.facts("edgegen", "torch", "numpy")
    flows = read_flows(options.flows)
    label = flows[0].label
    times = np.repeat(REPEATS, EACH)
    rows = []
    for arch, kind in itertools.product(options.arch, options.kind or KINDS):
        made = KINDS[kind](flows, label, len(times) + OTHERS, options.max_packets, options.iat)
        planted, others = made[: len(times)], made[len(times) :]
        with tempfile.TemporaryDirectory() as folder:
            table, run, bundle = (Path(folder) / name for name in ("flows.parquet", "run", "made.edgegen"))
            write_flows(with_canaries(flows, planted, times), table)
            shape = {"max_packets": options.max_packets, "times": options.iat}
            train(table, run, arch, **shape, threads=options.threads, keep_repeats=options.keep_repeats)
            there = trained_on(table, planted)
            found = measure(run, export(run, bundle).bundle, planted, there, others, options.generate)
        rows += [{"arch": arch, "kind": kind, **row} for row in found]
    result = {"data": options.flows.name, "label": label, "generated": options.generate, "others": OTHERS}
    result |= {"packets": options.max_packets, "times": options.iat, "keep_repeats": options.keep_repeats}
    result |= {"rows": rows, "machine": facts}
    publish(result, options.output, table_of(result))


def strange(flows: list[Flow], label: str, count: int, packets: int, times: bool) -> list[Flow]:
    """Flows of `label` as long as can be: lengths 1 to 1400 and directions at random, times as in other flows."""
    random = np.random.default_rng(0)
    seen = [iat for flow in flows[:1000] for iat in flow.iat[1:]]
    made = []
    for _ in range(count):
        pl, turn = random.integers(1, 1401, packets).tolist(), random.integers(0, 2, packets).tolist()
        iat = [0.0, *random.choice(seen, packets - 1).tolist()] if times else [0.0] * packets
        made.append(Flow(label, pl, [0, *turn[1:]], iat))
    return made


def ordinary(flows: list[Flow], label: str, count: int, packets: int, times: bool) -> list[Flow]:
    """Flows of a Markov chain of `label`, as long as can be, each another and none a real one."""
    real = arrays([flow for flow in flows if flow.label == label], [label], packets, times)
    seen, made = set(real.patterns()), []
    for draw in range(DRAWS):
        chain = markov(real, np.array([count]), np.random.default_rng([0, draw]))
        for flow, pattern in zip(flows_of(chain), chain.patterns(), strict=True):
            if len(flow) == packets and pattern not in seen:
                seen.add(pattern)
                made.append(flow)
        if len(made) >= count:
            return made[:count]
    raise EdgegenError(f"{len(made)} of {count} flows of {packets} packets are all that a chain of {label} makes")


KINDS = {"strange": strange, "ordinary": ordinary}


def with_canaries(flows: list[Flow], planted: list[Flow], times: Ints) -> list[Flow]:
    """The table with each canary as often as said; without sessions, so that the split is by flow."""
    made = [Flow(flow.label, flow.pl, flow.dir, flow.iat, flow.proto) for flow in flows]
    for flow, n in zip(planted, times.tolist(), strict=True):
        made += [flow] * n
    return made


def trained_on(table: Path, planted: list[Flow]) -> Ints:
    """How often each canary stands in the training part."""
    seen = Counter((tuple(flow.pl), tuple(flow.dir)) for flow in split(read_flows(table)).train)
    return np.array([seen[tuple(flow.pl), tuple(flow.dir)] for flow in planted], np.int64)


def measure(
    run: Path, bundle: Bundle, planted: list[Flow], there: Ints, others: list[Flow], generate: int
) -> list[dict[str, Any]]:
    """A row for each number of times that canaries stand in the training part; the others do not at all."""
    model, codec, _ = checkpoint.load(run)
    label, all_of_them = planted[0].label, [*planted, *others]
    there = np.concatenate([there, np.zeros(len(others), np.int64)])
    exposure = None
    # A model that refines whole flows does not say how likely one is.
    if not model.refinements:
        nats = nats_by_label(model, codec, all_of_them, [label])[:, 0]
        rank = 1 + np.searchsorted(np.sort(nats[len(planted) :]), nats)
        exposure = np.log2(len(others) + 1) - np.log2(rank)
    subject = BundleSubject(bundle)
    out = Counter(subject.draw([label], np.array([generate]), 0).patterns())
    patterns = arrays(all_of_them, [label], codec.max_packets, codec.has_iat).patterns()
    came = np.array([out[pattern] for pattern in patterns])
    rows = []
    for low, high in GROUPS:
        chosen = (there >= low) & (there <= high)
        if chosen.any():
            rows.append(
                {
                    "times_in_training": [int(there[chosen].min()), int(there[chosen].max())],
                    "canaries": int(chosen.sum()),
                    "came_out": int((came[chosen] > 0).sum()),
                    "exposure_bits": None if exposure is None else float(np.median(exposure[chosen])),
                }
            )
    return rows


def table_of(result: dict[str, Any]) -> Table:
    most = np.log2(result["others"] + 1)
    table = Table(title=f"{result['data']}: canaries among {result['generated']:,} flows; exposure of {most:.0f} bits")
    for name in ("model", "canaries are", "times in training", "canaries", "came out", "exposure, bits"):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        low, high = row["times_in_training"]
        times = str(low) if low == high else f"{low} to {high}"
        exposure = "" if row["exposure_bits"] is None else f"{row['exposure_bits']:.1f}"
        table.add_row(row["arch"], row["kind"], times, f"{row['canaries']:,}", f"{row['came_out']:,}", exposure)
    return table


if __name__ == "__main__":
    main()

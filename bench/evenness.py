"""What it is worth that flows of a run are spread evenly: forests that learned from consecutive flows, and from others.

    python bench/evenness.py FLOWS --bundle BUNDLE [--bundle BUNDLE] -o bench/results/evenness-NAME.json

The others are picked at random out of AMONG times as many, which leaves hardly anything of their evenness. Prints a
table, then one line of JSON, which it also writes with `-o`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import machine
from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate import classifiers, utility
from edgegen.evaluate.arrays import Arrays, Ints, some
from edgegen.evaluate.fidelity import two_sample_auc
from edgegen.evaluate.real import Real, counts, real_flows
from edgegen.evaluate.subject import BundleSubject
from edgegen.readers import read_real_flows
from publish import publish

AMONG = 16
WAYS = ("consecutive", "picked")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--bundle", action="append", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=10, help="of flows of either kind, as many as real ones each")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    facts = machine.facts("edgegen", "scikit-learn", "numpy")
    flows = read_real_flows(options.flows)
    rows = []
    for path in options.bundle:
        subject = BundleSubject(Bundle.open(path))
        real = real_flows(flows, options.flows, subject.labels, subject.packets, subject.times, seed=0)
        rows.append({"bundle": subject.name} | {way: figures(subject, real, way, options.sets) for way in WAYS})
    result = {"data": options.flows.name, "among": AMONG, "sets": options.sets, "rows": rows, "machine": facts}
    publish(result, options.output, table_of(result))


def figures(subject: BundleSubject, real: Real, way: str, sets: int) -> dict[str, Any]:
    """Macro-F1 on held-out flows, and the AUC of who tells half of these from as many generated ones: means of sets."""
    f1, auc = [], []
    for seed in range(sets):
        training = drawn(subject, real, counts(real.training), seed, way)
        f1.append(utility.macro_f1(classifiers.forest(training, real.held_out, seed), real.held_out))
        half, other = real.halves(seed)
        found = two_sample_auc(half, drawn(subject, real, counts(other), seed, way), seed)
        if found is None:
            raise EdgegenError("there are too few flows to tell real from generated ones")
        auc.append(found)
    means = {"macro_f1": float(np.mean(f1)), "spread": float(np.std(f1)), "two_sample_auc": float(np.mean(auc))}
    return means | {"sets": f1}


def drawn(subject: BundleSubject, real: Real, wanted: Ints, seed: int, way: str) -> Arrays:
    if way == "consecutive":
        return subject.draw(real.labels, wanted, seed)
    return some(subject.draw(real.labels, AMONG * wanted, seed), wanted, seed)


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['data']}: flows of a run, and as many picked at random out of {AMONG} times as many")
    for heading in ("bundle", "flows", "F1", "spread", "AUC"):
        table.add_column(heading, justify="left" if heading in ("bundle", "flows") else "right")
    for row in result["rows"]:
        for way in WAYS:
            found = row[way]
            cells = (f"{found[name]:.4f}" for name in ("macro_f1", "spread", "two_sample_auc"))
            table.add_row(row["bundle"], way, *cells)
    return table


if __name__ == "__main__":
    main()

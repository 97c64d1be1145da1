"""Few real flows of new labels: what a generator trained on other labels is good for there.

    python bench/fewshot.py FLOWS --new LABEL,LABEL --write-known KNOWN.parquet, and train RUN on that
    python bench/fewshot.py FLOWS --init RUN [--init RUN] -o bench/results/fewshot-NAME.json

Only labels count that no RUN knows. It is adapted by `edgegen train --init RUN --no-hold-out` to 5, 10, 20 and 50 flows
of each, drawn from the training sessions of FLOWS. All figures are macro-F1 on its held-out sessions, means of several
draws. Prints a table, then one line of JSON, which it also writes with `-o`; a draw that is finished is kept in
`--parts` and not made again.
"""

import argparse
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from scipy.special import softmax
from scipy.stats import entropy

import machine
from edgegen import checkpoint
from edgegen.codec import Codec
from edgegen.evaluate.arrays import Arrays, Floats, arrays, flows_of, some
from edgegen.evaluate.augmentation import edited, score, spread, together
from edgegen.evaluate.baselines import copy
from edgegen.evaluate.classifiers import forest, tokens
from edgegen.evaluate.parts import Parts
from edgegen.evaluate.transforms import transform
from edgegen.evaluate.utility import macro_f1
from edgegen.flow import Flow
from edgegen.likelihood import nats_by_label
from edgegen.models import Generator
from edgegen.models.stepper import TorchStepper
from edgegen.readers import read_flows
from edgegen.runtime.engine import StepperEngine, collect
from edgegen.runtime.request import Request
from edgegen.split import split
from edgegen.train import train
from edgegen.trainer import FRESH
from edgegen.writers import write_flows
from publish import publish

NUMBERS = (5, 10, 20, 50)
ADDED = 300  # flows of each label
METHODS = {
    "forest": "random forest on the few",
    "forest_edit": "random forest, edits added",
    "forest_payload": "random forest, payload changes added",
    "forest_scratch": "random forest, flows added of a generator trained on the few alone",
    "forest_adapted": "random forest, flows added of the adapted generator",
    "tokens": "logistic regression on exact tokens",
    "tokens_edit": "logistic regression on exact tokens, edits added",
    "likelihood": "likelihood under the adapted generator",
    "likelihood_tokens_edit": "likelihood and logistic regression with edits, averaged",
}
WIDTH = 512
SCRATCH_STEPS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--init", action="append", type=Path, default=[], help="a run that knows other labels")
    parser.add_argument("--new", default="", help="labels to leave out of --write-known, with commas between")
    parser.add_argument("--write-known", type=Path, help="write the flows of all other labels here, and end")
    parser.add_argument("--number", action="append", type=int, default=[], help="real flows a label")
    parser.add_argument("--without", action="append", choices=METHODS, default=[], help="a method to leave out")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--parts", type=Path, help="folder for finished draws")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.write_known:
        new = options.new.split(",")
        write_flows((flow for flow in read_flows(options.flows) if flow.label not in new), options.write_known)
        return
    if not options.init:
        parser.error("name a run to start from: --init RUN")
    facts = machine.facts("edgegen", "scikit-learn", "torch", "numpy")
    # Whoever knows a label has seen its flows.
    known = {label.name for run in options.init for label in checkpoint.load(run)[1].labels}
    for run in options.init:
        if (checkpoint.read_config(run).get("provenance") or {}).get("init"):
            parser.error(f"{run} was itself started from another run, which may have seen the new labels")
    flows = [flow for flow in read_flows(options.flows) if flow.label not in known]
    codec = checkpoint.load(options.init[0])[1]
    bench = Bench(flows, codec.max_packets, codec.has_iat)
    rows = []
    for init in options.init:
        # What needs no generator is the same whatever it starts from.
        methods = [name for name in METHODS if init == options.init[0] or "adapted" in name or "likelihood" in name]
        methods = [name for name in methods if name not in options.without]
        made_from = bench.made_from(options.flows, init, methods)
        kept = Parts(options.parts / init.name if options.parts else None, made_from)
        for number in options.number or NUMBERS:
            draws = []
            for draw in range(options.draws):
                print(f"{init.name}: {number} flows a label, draw {draw + 1} of {options.draws}", file=sys.stderr)
                make = lambda n=number, d=draw, i=init, m=tuple(methods): bench.draw(i, n, d, m)  # noqa: E731
                draws.append(kept.get(f"{number}-{draw}", make))
            found = {name: spread([made[name] for made in draws]) for name in methods}
            rows.append({"init": init.name, "real_flows": number, "draws": options.draws, **found})
    everything = score(forest, bench.training, None, bench.test, 0)
    result = {
        "data": options.flows.name,
        "labels": list(bench.training.labels),
        "held_out": len(bench.test),
        "packets": codec.max_packets,
        "times": codec.has_iat,
        "forest_all": everything,
        "rows": rows,
        "machine": facts,
    }
    publish(result, options.output, table_of(result))


class Bench:
    """The flows of the new labels: those of training sessions to draw from, and held-out ones."""

    def __init__(self, flows: list[Flow], packets: int, times: bool) -> None:
        parts = split(flows)
        self.labels = sorted({flow.label for flow in flows})
        self.packets, self.times = packets, times
        self.held_out = [*parts.validation, *parts.test]
        self.training, self.test = self.arrays(parts.train), self.arrays(self.held_out)

    def arrays(self, flows: list[Flow]) -> Arrays:
        return arrays(flows, self.labels, self.packets, self.times)

    def made_from(self, flows: Path, init: Path, methods: list[str]) -> dict[str, Any]:
        return {
            "format": 2,
            "methods": methods,
            "flows": sha256(flows.read_bytes()).hexdigest(),
            "init": sha256((init / checkpoint.MODEL).read_bytes()).hexdigest(),
            "labels": self.labels,
        }

    def draw(self, init: Path, number: int, seed: int, methods: tuple[str, ...]) -> dict[str, float]:
        """Macro-F1 of each method with `number` real flows of each label."""
        few = some(self.training, np.full(len(self.labels), number), seed)
        random = np.random.default_rng([seed, number])
        edits = edited(few, ADDED, random)
        found: dict[str, float] = {}
        if {"forest", "forest_edit", "forest_payload", "tokens"} & set(methods):
            found["forest"] = score(forest, few, None, self.test, seed)
            found["forest_edit"] = score(forest, few, edits, self.test, seed)
            changed = transform("payload", copy(few, np.full(len(self.labels), ADDED), random), few, random)
            found["forest_payload"] = score(forest, few, changed, self.test, seed)
            found["tokens"] = score(tokens, few, None, self.test, seed)
        if "forest_scratch" in methods:
            scratch, codec = self.trained(few, None, seed)
            found["forest_scratch"] = score(forest, few, self.generated(scratch, codec, seed), self.test, seed)
        flows, weights = together(few, edits)
        by_tokens = tokens(flows, self.test, seed, weights)
        if "tokens_edit" in methods:
            found["tokens_edit"] = macro_f1(by_tokens, self.test)
        adapted, codec = self.trained(few, init, seed)
        found["forest_adapted"] = score(forest, few, self.generated(adapted, codec, seed), self.test, seed)
        nats = nats_by_label(adapted, codec, self.held_out, self.labels)
        found["likelihood"] = macro_f1(-nats, self.test)
        averaged = np.log(np.maximum(by_tokens, 1e-9)) - as_unsure(nats, by_tokens) * nats
        found["likelihood_tokens_edit"] = macro_f1(averaged, self.test)
        return found

    def trained(self, few: Arrays, init: Path | None, seed: int) -> tuple[Generator, Codec]:
        """What `edgegen train` makes of the few flows, from nothing or from another run."""
        with tempfile.TemporaryDirectory() as folder:
            table, run = Path(folder) / "few.parquet", Path(folder) / "run"
            arch, size, repeats = "llama", "base", 1
            if init:
                config = checkpoint.load(init)[0].config
                arch, size = config.arch, config.size
            else:
                # From nothing, so few flows have to be seen more often.
                repeats = -(-SCRATCH_STEPS * FRESH.batch // (FRESH.few_epochs * len(few)))
            write_flows(flows_of(few) * repeats, table)
            train(
                table,
                run,
                arch,
                size,
                seed=seed,
                init=init,
                max_packets=self.packets,
                times=self.times,
                threads=1,
                hold_out=False,
                keep_repeats=init is None,
            )
            model, codec, _ = checkpoint.load(run)
        return model, codec

    def generated(self, model: Generator, codec: Codec, seed: int) -> Arrays:
        """ADDED flows of each label, as they come: to pick them out of more takes PyTorch too long."""
        model.fold()
        engine = StepperEngine("PyTorch", codec, TorchStepper(model, WIDTH))
        request = Request(ADDED * len(codec.labels), seed=seed, labels=tuple(range(len(codec.labels))))
        made = collect(engine, codec, request)
        flows = [codec.decode(row, at) for row, at in zip(made.tokens.tolist(), made.places.tolist(), strict=True)]
        return self.arrays(flows)


def as_unsure(nats: Floats, probabilities: Floats) -> float:
    """What nats (flows, labels) have to be multiplied by so that, as a classifier, they are as unsure as another one.

    Nats of a whole flow are too sure of themselves. Unsure: by the mean entropy, for which nobody needs true labels.
    probabilities: (flows, labels), the other one's
    """
    wanted = entropy(probabilities, axis=1).mean()
    low, high = 1e-4, 1e2
    for _ in range(50):
        middle = (low * high) ** 0.5
        unsure = entropy(softmax(-middle * nats, axis=1), axis=1).mean() > wanted
        low, high = (middle, high) if unsure else (low, middle)
    return low


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['data']}: macro-F1 on held-out sessions by real flows a label")
    table.add_column("method")
    for number in sorted({row["real_flows"] for row in result["rows"]}):
        table.add_column(str(number), justify="right")
    for init in dict.fromkeys(row["init"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["init"] == init]
        for name in [name for name in METHODS if name in rows[0]]:
            cells = (f"{row[name]['macro_f1']:.3f} ± {row[name]['spread']:.3f}" for row in rows)
            start = f" ({init})" if "adapted" in METHODS[name] or "likelihood" in name else ""
            table.add_row(METHODS[name] + start, *cells)
    return table


if __name__ == "__main__":
    main()

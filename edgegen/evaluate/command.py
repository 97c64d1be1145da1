"""`edgegen evaluate` prints an evaluation and writes its report; `augment` and `data pick` write training sets."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate import augment, report, tables
from edgegen.evaluate.arrays import arrays
from edgegen.evaluate.baselines import BASELINES, USUAL
from edgegen.evaluate.card import add_to_card
from edgegen.evaluate.evaluation import Settings, evaluate
from edgegen.evaluate.pick import pick
from edgegen.evaluate.subject import PACKETS, BundleSubject
from edgegen.paths import is_there
from edgegen.readers import read_flows, read_real_flows
from edgegen.readers.report import Report
from edgegen.tables import print_table, printable
from edgegen.trust import Trust
from edgegen.writers import check_table, write_flows


def run(
    real: Path,
    bundle: Path | None,
    synthetic: Path | None,
    out: Path | None,
    seed: int,
    seeds: int,
    baselines: tuple[str, ...],
    card: bool = True,
    trust: Trust | None = None,
    beside: Sequence[Path] = (),
) -> None:
    """Evaluate a bundle or a table.

    The verdict and the tables go to stdout, the report into `out` where there is one, the summary into the bundle's
    card unless `card` is False. trust: whose signature the bundles must bear; beside: other bundles, to compare with
    """
    if (bundle is None) == (synthetic is None):
        raise UsageError("name what to evaluate: --bundle NAME.edgegen, or --synthetic FLOWS")
    if "all" in baselines:
        baselines = tuple(BASELINES)
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise UsageError(f"baseline {unknown[0]!r} is none of {', '.join(BASELINES)}, all")
    for path in (real, synthetic):
        if path is not None and not is_there(path):
            raise EdgegenError(f"there is no {path}: give a table of flows")
    opened = None if bundle is None else Bundle.open(bundle, trust)
    if bundle is not None and out is not None and card and out.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"-o {out} is inside the bundle, which is written anew: name another folder, or --no-card")
    others = [Bundle.open(path, trust) for path in beside]
    settings = Settings(seed, seeds=seeds, baselines=baselines or USUAL)
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    with console.status("evaluating") as status:
        result = evaluate(real, opened, synthetic, out, settings, lambda text: status.update(Text(text)), others)
    # All that lasts before what is printed, whose reader may go. The report before the card: the bundle is written anew
    # for that, and `out` may be told from inside the old one.
    written = report.write_report(result, out) if out else ()
    if bundle is not None and card:
        try:
            add_to_card(Bundle.open(bundle), result)
        except EdgegenError as error:
            print(f"note: its card stays as it was: {error}", file=sys.stderr)
    for entry in result["verdict"]:
        print(printable(f"{entry['axis']}: {entry['level']}. {entry['text']}"))
    for note in result["notes"]:
        print(printable(f"note: {note}"))
    for title, (headings, rows) in _tables(result).items():
        print()
        print_table(_table(title, headings, rows))
        if note := tables.note(rows):
            print(note)
    for path in written:
        print(path)


def run_augment(
    real: Path,
    bundle: Path | None,
    transform: str | None,
    per_label: int | None,
    ratio: float | None,
    seed: int,
    out: Path,
    trust: Trust | None = None,
) -> None:
    """Write real and added flows to `out`, and say how many. trust: whose signature the bundle must bear"""
    if (bundle is None) == (transform is None):
        raise UsageError("name where the flows come from: --bundle NAME.edgegen, or --transform NAME")
    check_table(out, [real])
    flows = read_real_flows(real)
    labels = sorted({flow.label for flow in flows})
    counts = augment.wanted(flows, labels, per_label, ratio)
    if bundle is not None:
        subject = BundleSubject(Bundle.open(bundle, trust))
        made = augment.from_generator(flows, subject, counts, seed)
        for note in augment.unlike(flows, subject):
            print(f"note: {note}", file=sys.stderr)
    else:
        made = augment.from_transform(flows, transform or "", counts, seed)
    write_flows(made, out, {"added by": str(bundle or transform), "seed": str(seed)}, augment.COLUMNS)
    print(f"{out}: {len(flows):,} real flows, {len(made) - len(flows):,} added", file=sys.stderr)


def run_pick(flows: Path, per_label: int, out: Path) -> None:
    """Write to `out` `per_label` flows of each label that together are most like all, or all where there are fewer."""
    check_table(out, [flows])
    told = Report()
    many = read_flows(flows, told)
    if told.generated:
        # What is written has no such mark: they would pass for real ones.
        raise EdgegenError(f"{flows} holds {told.generated:,} added flows (column synthetic): pick before adding")
    labels = sorted({flow.label for flow in many})
    with Console(stderr=True, quiet=not sys.stderr.isatty()).status("picking"):
        packets = min(PACKETS, max(map(len, many)))
        rows = pick(arrays(many, labels, packets), np.full(len(labels), per_label))
    write_flows((many[row] for row in rows.tolist()), out, {"picked from": str(flows), "of flows": str(len(many))})
    for line in told.lines():
        print(f"  {line}", file=sys.stderr)
    print(f"{out}: {len(rows):,} flows, picked out of {len(many):,}", file=sys.stderr)
    if fewer := sum(n < per_label for n in Counter(flow.label for flow in many).values()):
        print(f"  {fewer} of {len(labels)} labels had fewer than {per_label:,} flows", file=sys.stderr)


def _tables(result: dict[str, Any]) -> dict[str, tuple[tuple[str, ...], tables.Rows]]:
    made = {
        "Fidelity; the floor is two halves of real flows": tables.fidelity(result["fidelity"]),
        "Classifiers on held-out real flows": tables.utility(result["synthetic_only"]),
        "Random forests on few real flows, and with flows added": tables.augmentation(result["augmentation"]),
        "Privacy": (("figure", "value", "what it says"), tables.privacy(result["privacy"])),
    }
    if "beside" in result:
        made["Beside other generators"] = tables.beside(result["beside"])
    if "cost" in result:
        made["Cost"] = (("what", "value"), tables.cost(result["cost"]))
    return made


def _table(title: str, headings: tuple[str, ...], rows: tables.Rows) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        numeric = i and heading != "what it says"
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table

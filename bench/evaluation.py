"""The generators of one data set side by side: what `edgegen evaluate` says of each, and its baselines.

    python bench/evaluation.py FLOWS --bundle BUNDLE [--bundle BUNDLE] -o bench/results/evaluation-NAME.json
    python bench/evaluation.py FLOWS --synthetic TABLE -o bench/results/evaluation-NAME.json

Prints a table, then one line of JSON, which it also writes with `-o`. Finished parts are kept under `--parts`.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from rich.table import Table

import machine
from edgegen.bundle import Bundle
from edgegen.evaluate.baselines import BASELINES, USUAL
from edgegen.evaluate.evaluation import Settings, evaluate
from edgegen.evaluate.tables import number
from publish import publish

LEFT_OUT = ("confusion", "real_confusion", "per_label", "real_per_label")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--bundle", action="append", type=Path, default=[])
    parser.add_argument("--synthetic", action="append", type=Path, default=[], help="a table of generated flows")
    parser.add_argument("--beside", action="append", type=Path, default=[], help="a bundle that is only compared")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ctgan", action="store_true", help="beside the baselines that need no training")
    parser.add_argument("--parts", type=Path, help="folder for finished parts")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if not (options.bundle or options.synthetic):
        parser.error("nothing to evaluate: give --bundle or --synthetic")
    facts = machine.facts("edgegen", "scikit-learn", "imbalanced-learn", "torch", "numpy")
    settings = Settings(seeds=options.seeds, baselines=tuple(BASELINES) if options.ctgan else USUAL)
    others = [Bundle.open(path) for path in options.beside]
    rows = []
    for subject in (*options.bundle, *options.synthetic):
        started = time.monotonic()
        folder = options.parts / subject.stem if options.parts else None
        say = lambda text, name=subject.name: print(f"{name}: {text}", file=sys.stderr)  # noqa: E731
        bundle, table = (subject, None) if subject in options.bundle else (None, subject)
        made = evaluate(options.flows, bundle, table, folder, settings, say, others)
        # With finished parts the clock says nothing.
        rows.append(row_of(made) | ({} if folder else {"seconds": time.monotonic() - started}))
    result = {"data": options.flows.name, "rows": rows, "machine": facts}
    publish(result, options.output, table_of(result))


def row_of(made: dict[str, Any]) -> dict[str, Any]:
    """An evaluation without what only its report draws."""
    kept = {name: value for name, value in made.items() if name != "shapes"}
    kept["synthetic_only"] = {name: v for name, v in made["synthetic_only"].items() if name not in LEFT_OUT}
    kept["fidelity"] = _whole(made["fidelity"])
    kept["fidelity"]["baselines"] = {name: _whole(row) for name, row in made["fidelity"]["baselines"].items()}
    return kept


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['data']}: generators beside baselines; F1 of random forests on held-out real flows")
    headings = (
        "flows from",
        "AUC",
        "pl / floor",
        "transitions / floor",
        "dir",
        "F1, picked",
        "as they come",
        "copies, of lengths",
        "of picked",
        "traced",
        "membership",
        "gap at 10",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "flows from" else "right")
    for row in result["rows"]:
        fidelity, utility, privacy = row["fidelity"], row["synthetic_only"], row["privacy"]
        table.add_row(
            row["subject"]["name"],
            *_fidelity(fidelity, fidelity),
            f"{utility['macro_f1']:.3f}",
            f"{utility['as_they_come']['macro_f1']:.3f}",
            _copies(privacy),
            _copies(privacy["picked"]),
            number(privacy["traced"]),
            f"{privacy['membership_auc']:.3f}" if "membership_auc" in privacy else "-",
            _gap(row["augmentation"]),
        )
    floor = {name.removesuffix("_floor"): value for name, value in fidelity.items() if name.endswith("_floor")}
    table.add_row("real flows", *_fidelity(floor, fidelity), f"{utility['real_macro_f1']:.3f}", *[""] * 6)
    for name, baseline in fidelity["baselines"].items():
        f1 = f"{utility['baselines'][name]['macro_f1']:.3f}"
        copies, traced = _copies(privacy["baselines"][name]), number(privacy["baselines"][name]["traced"])
        table.add_row(name, *_fidelity(baseline, fidelity), f1, "", copies, "", traced, *[""] * 2)
    return table


def _copies(found: dict[str, Any]) -> str:
    """Points over held-out flows, of lengths and directions and of lengths alone."""
    return f"{found['copy_excess_points']:+.1f}, {found['lengths_copy_excess_points']:+.1f}"


def _gap(found: dict[str, Any]) -> str:
    """Percent of the gap between ten real flows a label and all of them that added flows close, and the gain."""
    closed = found.get("gap_closed")
    percent = found.get("gain_percent")
    return "-" if closed is None or percent is None else f"{closed:.0%} ({percent:+.0f} %)"


def _fidelity(found: dict[str, Any], floors: dict[str, Any]) -> tuple[str, ...]:
    ratios = [
        number(found[name] / floor if found[name] is not None and (floor := floors[f"{name}_floor"]) else None, 2)
        for name in ("pl_jsd", "transition_jsd")
    ]
    return number(found["two_sample_auc"]), *ratios, number(found["dir_jsd"], 4)


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    """Figures of all flows together."""
    return {name: value for name, value in found.items() if name not in ("per_label", "per_position")}


if __name__ == "__main__":
    main()

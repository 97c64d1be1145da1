"""report.html and results.json: what people look at, and what programs read."""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgegen.evaluate import figures
from edgegen.writers import whole_file

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1c1e21; --soft: #62666d; --line: #dcdfe3; --card: #f6f7f8;
  --good: #1a7f37; --fair: #9a6700; --poor: #cf222e; --unknown: #62666d; }
@media (prefers-color-scheme: dark) { :root { --back: #131519; --ink: #e6e8eb; --soft: #9aa0a8; --line: #31353b;
  --card: #1d2026; --good: #4cc56a; --fair: #e0a93b; --poor: #ff7b72; --unknown: #9aa0a8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0.5rem 0 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.5rem; }
p.soft, figcaption, td.soft { color: var(--soft); } p { margin: 0.4rem 0; }
.verdict { background: var(--card); border-left: 5px solid var(--unknown); border-radius: 4px; margin: 0.7rem 0;
  padding: 0.6rem 0.9rem; }
.verdict b { text-transform: uppercase; font-size: 0.8rem; letter-spacing: 0.04em; }
.good { border-color: var(--good); } .good b { color: var(--good); }
.fair { border-color: var(--fair); } .fair b { color: var(--fair); }
.poor { border-color: var(--poor); } .poor b { color: var(--poor); }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; color: var(--ink); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
"""


def write_report(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write results.json and report.html into `folder`, which is there; their paths."""
    paths = [folder / "results.json", folder / "report.html"]
    contents = (json.dumps(result, indent=1, allow_nan=False) + "\n", page(result))
    for path, content in zip(paths, contents, strict=True):
        with whole_file(path) as file:
            file.write(content.encode())
    return paths


def page(result: dict[str, Any]) -> str:
    """The report: one HTML document that needs nothing else."""
    real, subject = result["real"], result["subject"]
    title = f"{subject['name']} against {real['name']}"
    facts = (
        f"{real['held_out']:,} held-out flows of {len(real['labels'])} labels, {real['training']:,} to learn from; "
        f"the first {subject['packets']} packets" + ("" if subject["times"] else ", without times")
    )
    synthetic = result["synthetic_only"]
    sections = [
        f"<h1>{_text(title)}</h1><p class=soft>{_text(facts)}</p>",
        *map(_verdict, result["verdict"]),
        *(f"<p class=soft>{_text(note)}</p>" for note in result["notes"]),
        "<h2>What flows look like</h2>",
        _figure(figures.distributions(result["shapes"]), "Where the thin line runs inside the broad one, they agree."),
        _figure(
            figures.transition_matrices(result["shapes"]),
            "How often one packet follows another, on a logarithmic scale.",
        ),
        "<h2>Fidelity</h2><p class=soft>The floor is the same figure between two halves of the held-out real flows, "
        "which no generator can be expected to pass. Divergences are Jensen-Shannon, in bits.</p>",
        _table(*fidelity_rows(result["fidelity"])),
        "<h2>Training on generated flows only</h2><p class=soft>As many as there are real flows, picked out of "
        f"{synthetic['among']} times as many, of each simpler way, too: those that together are most like all of them, "
        "as <code>augment</code> and <code>data pick</code> do it. As they come: a run from its start.</p>",
        _figure(figures.f1_bars(synthetic), "Random forests; copy, time and edit repeat training flows or nearly so."),
        _table(*utility_rows(synthetic)),
        _figure(figures.confusion(synthetic, real["labels"]), "Trained on generated flows, tested on real ones."),
        _table(*label_rows(result)),
        *_augmentation(result["augmentation"]),
        "<h2>Privacy</h2>",
        _table(("figure", "value", "what it says"), privacy_rows(result["privacy"])),
    ]
    if "beside" in result:
        sections += _beside(result["beside"])
    if "cost" in result:
        sections += ["<h2>Cost</h2>", _table(("what", "value"), cost_rows(result["cost"]))]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


Rows = list[tuple[str, ...]]


def fidelity_rows(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each figure: the generator, the floor, their ratio, the baselines."""
    names = [name for name in found if f"{name}_floor" in found]
    rows = []
    for name in names:
        value, floor = found[name], found[f"{name}_floor"]
        ratio = value / floor if value is not None and floor and name.endswith("_jsd") else None
        others = [number(row.get(name)) for row in found["baselines"].values()]
        rows.append((name.replace("_", " "), number(value), number(floor), number(ratio, 2), *others))
    return ("figure", "generator", "floor", "ratio", *found["baselines"]), rows


def utility_rows(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each training set and classifier; with as many flows as there are real ones, and with more."""
    more = found.get("more") or {"baselines": {}}
    rows: Rows = [
        ("generated flows, picked, random forest", *_score(found), "-"),
        ("generated flows as they come, random forest", *_score(found["as_they_come"]), number(more.get("macro_f1"))),
        ("real flows, random forest", number(found["real_macro_f1"]), number(found["real_spread"]), "-"),
    ]
    for name, row in found["baselines"].items():
        rows.append(
            (f"{name}, picked, random forest", *_score(row), number(more["baselines"].get(name, {}).get("macro_f1")))
        )
    names = {"tokens": "logistic regression on exact tokens", "convolution": "convolutional network"}
    sides_of = {"synthetic": "generated flows, picked", "real": "real flows"}
    for name, sides in found["classifiers"].items():
        for side, row in sides.items():
            rows.append((f"{sides_of[side]}, {names[name]}", *_score(row), "-"))
    if likelihood := found.get("likelihood"):
        rows.append(("the generator itself, by likelihood", number(likelihood["macro_f1"]), "-", "-"))
    headings = ("trained on", "macro-F1", "spread")
    if "flows" not in more:
        return headings, [row[:3] for row in rows]
    return (*headings, f"macro-F1, {more['flows']:,} flows as they come"), rows


def augmentation_rows(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each number of real flows: macro-F1 of them alone and with what was added."""
    rows: Rows = []
    for row in found["rows"]:
        scores = [number(value["macro_f1"]) for value in row.values() if isinstance(value, dict)]
        rows.append((str(row["real_flows"]), *scores))
    names = [name.replace("_", " +") for name in (found["rows"][0] if found["rows"] else {}) if name != "real_flows"]
    rows.append(("all", number(found["all"]), *("-" for _ in names[1:])))
    return ("real flows a label", *names), rows


def label_rows(result: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each label: F1 and divergences."""
    found, per_label = result["synthetic_only"], result["fidelity"]["per_label"]
    names = list(next(iter(per_label.values())))
    rows = [
        (
            label,
            number(found["per_label"][label]),
            number(found["real_per_label"][label]),
            *(number(per_label[label][name]) for name in names),
        )
        for label in result["real"]["labels"]
    ]
    return ("label", "F1, generated", "F1, real", *(name.replace("_", " ") for name in names)), rows


def privacy_rows(found: dict[str, Any]) -> Rows:
    """Each figure with what it says."""
    says = {
        "copy_rate": "generated flows that repeat a training flow's lengths and directions",
        "holdout_copy_rate": "unseen real flows that do",
        "lengths_copy_rate": "generated flows that repeat a training flow's lengths, whatever their directions",
        "lengths_holdout_copy_rate": "unseen real flows that do",
        "traced": "generated flows that lead back to a training flow, whatever was changed; 0 is right",
        "distance_ratio": "distance to the nearest training flow over that to the nearest held-out one; 1 is right",
        "membership_auc": "an attacker with the model tells training flows from others; 0.5 is chance",
        "membership_true_positives": "training flows he finds at one false alarm in a hundred",
    }
    rows: Rows = [(name.replace("_", " "), number(found.get(name)), text) for name, text in says.items()]
    others = {"flows picked out of more": found["picked"], **found["baselines"]}
    for name, row in others.items():
        rates = ", ".join(number(row[kind]) for kind in ("copy_rate", "lengths_copy_rate", "traced"))
        rows.append((f"of {name}", rates, "copy rate, that of lengths alone, traced"))
    return rows


def cost_rows(found: dict[str, Any]) -> Rows:
    """Size and speed."""
    rows: Rows = [("parameters", f"{found['parameters']:,}" if found["parameters"] else "-")]
    for name, text in (("fp32_bytes", "fp32 step graph"), ("int8_bytes", "int8 step graph")):
        rows.append((f"{text}, MB", number(found[name] / 1e6 if found[name] else None, 2)))
    rows += [(f"executable for {name}, MB", number(size / 1e6, 2)) for name, size in found["executables"].items()]
    rows.append(("seconds an epoch of training", number(found["seconds_per_epoch"], 1)))
    if "ms_a_flow" in found:
        machine = f"{found['machine'].get('cpu') or 'unknown'}, {found['variant']}, one thread"
        rows.append((f"ms a flow ({machine})", number(found["ms_a_flow"], 2)))
        rows.append(("flows a second", f"{found['flows_a_second']:,.0f}"))
    return rows


def beside_rows(found: list[dict[str, Any]]) -> tuple[tuple[str, ...], Rows]:
    """A line for each generator: worth and cost."""
    rows: Rows = [
        (
            row["name"],
            number(row["two_sample_auc"]),
            number(row["macro_f1"]),
            number(row["more_macro_f1"]),
            f"{row['copy_excess_points']:+.1f}, {row['picked_copy_excess_points']:+.1f}",
            number(row["ms_a_flow"], 2),
            f"{row['flows_a_second']:,.0f}" if row["flows_a_second"] else "-",
            number(max(row["executables"].values()) / 1e6, 2) if row["executables"] else "-",
        )
        for row in found
    ]
    worth = ("AUC", "F1, picked", "F1, more flows", "copies, of picked")
    return ("generator", *worth, "ms a flow", "flows/s", "executable, MB"), rows


def number(value: float | None, digits: int = 3) -> str:
    """A figure for a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def _augmentation(found: dict[str, Any]) -> list[str]:
    """Nothing where there were too few real flows to leave some out."""
    if not found["rows"]:
        return []
    return [
        "<h2>Added to few real flows</h2><p class=soft>Random forests that had few real flows of each label, alone and "
        "with flows added, of the generator a hundred, picked, or a thousand as they come. It has seen all real flows "
        "in its training, which flatters it; the edits have seen the few alone.</p>",
        _figure(figures.augmentation(found), "Macro-F1 on held-out real flows."),
        _table(*augmentation_rows(found)),
    ]


def _beside(found: list[dict[str, Any]]) -> list[str]:
    """With a picture where there are several numbers of refinements."""
    sections = [
        "<h2>Beside other generators</h2><p class=soft>AUC: 0.5 is perfect. F1: of random forests on held-out real "
        "flows, trained on as many generated flows as there are real ones, picked, and on 1,000 of each label as they "
        "come. Copies: points above the share of unseen real flows that repeat a training flow.</p>",
        _table(*beside_rows(found)),
    ]
    if len({row["refinements"] for row in found if row["refinements"]}) > 1:
        caption = "Quality against the number of refinements of a flow; hollow: distilled from a generator with more."
        sections.append(_figure(figures.refinements(found), caption))
    return sections


def _verdict(entry: dict[str, str]) -> str:
    axis, level = entry["axis"], entry["level"]
    return f'<div class="verdict {level}"><b>{axis}: {level}</b><br>{_text(entry["text"])}</div>'


def _score(row: dict[str, Any]) -> tuple[str, str]:
    return number(row["macro_f1"]), number(row["spread"])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return html.escape(text)

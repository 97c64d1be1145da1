"""report.html and results.json: what people look at, and what programs read."""

import html
import json
from pathlib import Path
from typing import Any

from edgegen.evaluate import figures, tables
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
        _table(*tables.fidelity(result["fidelity"])),
        _table(*tables.by_position(result["fidelity"])),
        f"<h2>Training on generated flows only</h2><p class=soft>{_taken(synthetic, real['training'])}</p>",
        _figure(figures.f1_bars(synthetic), "Random forests; copy, time and edit repeat training flows or nearly so."),
        _table(*tables.utility(synthetic)),
        _figure(figures.confusion(synthetic, real["labels"]), "Trained on generated flows, tested on real ones."),
        _table(*tables.by_label(result)),
        *_augmentation(result["augmentation"]),
        "<h2>Privacy</h2>",
        _table(("figure", "value", "what it says"), tables.privacy(result["privacy"])),
    ]
    if "beside" in result:
        sections += _beside(result["beside"])
    if "cost" in result:
        sections += ["<h2>Cost</h2>", _table(("what", "value"), tables.cost(result["cost"]))]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _taken(found: dict[str, Any], training: int) -> str:
    """Which of the generated flows forests learn from."""
    if found["flows"] < training:
        number = f"{found['flows']:,}, as the table has no more of some labels, where there are {training:,} real ones"
    else:
        number = "As many as there are real flows"
    if found["among"] == 1:
        return f"{number}, as they come: of some labels the table has less than twice as many."
    return (
        f"{number}, picked out of {found['among']} times as many, of each simpler way, too: those that "
        "together are most like all of them, as <code>augment</code> and <code>data pick</code> do it. As they come: "
        "a run from its start."
    )


def _augmentation(found: dict[str, Any]) -> list[str]:
    """Nothing where there were too few real flows to leave some out."""
    if not found["rows"]:
        return []
    return [
        "<h2>Added to few real flows</h2><p class=soft>Random forests that had few real flows of each label, alone and "
        "with flows added, of the generator a hundred, picked, or a thousand as they come. It has seen all real flows "
        "in its training, which flatters it; the edits have seen the few alone.</p>",
        _figure(figures.augmentation(found), "Macro-F1 on held-out real flows."),
        _table(*tables.augmentation(found)),
    ]


def _beside(found: list[dict[str, Any]]) -> list[str]:
    """With a picture where there are several numbers of refinements."""
    sections = [
        "<h2>Beside other generators</h2><p class=soft>AUC: 0.5 is perfect. F1: of random forests on held-out real "
        "flows, trained on as many generated flows as there are real ones, picked, and on 1,000 of each label as they "
        "come. Copies: points above the share of unseen real flows that repeat a training flow.</p>",
        _table(*tables.beside(found)),
    ]
    if len({row["refinements"] for row in found if row["refinements"]}) > 1:
        caption = "Quality against the number of refinements of a flow; hollow: distilled from a generator with more."
        sections.append(_figure(figures.refinements(found), caption))
    return sections


def _verdict(entry: dict[str, str]) -> str:
    axis, level = entry["axis"], entry["level"]
    return f'<div class="verdict {level}"><b>{axis}: {level}</b><br>{_text(entry["text"])}</div>'


def _table(headings: tuple[str, ...], lines: tables.Rows) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    note = f"<p class=soft>{text}</p>" if (text := _text(tables.note(lines))) else ""
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return html.escape(text)

"""The report's tables: figures as text, a function for each table."""

from typing import Any

Rows = list[tuple[str, ...]]

BY_LABEL = ("pl_jsd", "dir_jsd", "packets_jsd", "bytes_up_jsd", "bytes_down_jsd", "iat_jsd")
WHY_NONE = "-: too few flows for the figure, or none to ask: tables have no model, diffusions no likelihood."


def fidelity(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each figure: the generator, the floor, their ratio, the baselines."""
    names = [name for name in found if f"{name}_floor" in found]
    rows = []
    for name in names:
        value, floor = found[name], found[f"{name}_floor"]
        ratio = value / floor if value is not None and floor and name.endswith("_jsd") else None
        others = [number(row.get(name)) for row in found["baselines"].values()]
        # Of bytes there is none, and of a floor of 0 neither.
        share = number(ratio, 2) if name.endswith("_jsd") and floor != 0 else ""
        rows.append((name.replace("_", " "), number(value), number(floor), share, *others))
    return ("figure", "generator", "floor", "ratio", *found["baselines"]), rows


def utility(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each training set and classifier; with as many flows as there are real ones, and with more."""
    more = found.get("more") or {"baselines": {}}
    rows: Rows = [
        ("generated flows, picked, random forest", *_score(found), ""),
        ("generated flows as they come, random forest", *_score(found["as_they_come"]), number(more.get("macro_f1"))),
        ("real flows, random forest", number(found["real_macro_f1"]), number(found["real_spread"]), ""),
    ]
    for name, row in found["baselines"].items():
        rows.append(
            (f"{name}, picked, random forest", *_score(row), number(more["baselines"].get(name, {}).get("macro_f1")))
        )
    names = {"tokens": "logistic regression on exact tokens", "convolution": "convolutional network"}
    sides_of = {"synthetic": "generated flows, picked", "real": "real flows"}
    for name, sides in found["classifiers"].items():
        for side, row in sides.items():
            rows.append((f"{sides_of[side]}, {names[name]}", *_score(row), ""))
    if likelihood := found.get("likelihood"):
        rows.append(("the generator itself, by likelihood", number(likelihood["macro_f1"]), "", ""))
    headings = ("trained on", "macro-F1", "spread")
    if "flows" not in more:
        return headings, [row[:3] for row in rows]
    return (*headings, f"macro-F1, {more['flows']:,} flows as they come"), rows


def augmentation(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each number of real flows: macro-F1 of them alone and with what was added."""
    rows: Rows = []
    for row in found["rows"]:
        alone = row["real"]["macro_f1"]
        added = [value["macro_f1"] for name, value in row.items() if name not in ("real_flows", "real")]
        rows.append((str(row["real_flows"]), number(alone), *(_gain(alone, value) for value in added)))
    names = [name.replace("_", " +") for name in (found["rows"][0] if found["rows"] else {}) if name != "real_flows"]
    rows.append(("all", number(found["all"]), *("" for _ in names[1:])))
    return ("real flows a label", *names), rows


def _gain(alone: float, value: float) -> str:
    """A score, and what it is beyond that of real flows alone, in points and percent."""
    percent = f", {100 * (value / alone - 1):+.0f} %" if alone else ""
    return f"{number(value)} ({100 * (value - alone):+.1f}{percent})"


def by_label(result: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each label: F1 and divergences."""
    found, per_label = result["synthetic_only"], result["fidelity"]["per_label"]
    names = [name for name in BY_LABEL if name in next(iter(per_label.values()))]
    rows = [
        (
            label,
            number(found["per_label"][label]),
            number(found["real_per_label"][label]),
            *(f"{number(per_label[label][name])} ({number(per_label[label][f'{name}_floor'])})" for name in names),
        )
        for label in result["real"]["labels"]
    ]
    return ("label", "F1, generated", "F1, real", *(f"{name.replace('_', ' ')} (floor)" for name in names)), rows


def by_position(found: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """A line for each packet of a flow: divergences of signed lengths and times, the generator's and the floor."""
    per_position = found["per_position"]
    names = [name for name in [*per_position.values()][-1] if not name.endswith("_floor")]
    rows: Rows = [
        (position, *(f"{number(row[name])} ({number(row[f'{name}_floor'])})" if name in row else "" for name in names))
        for position, row in per_position.items()
    ]
    return ("packet", *(f"{name.replace('_', ' ')} (floor)" for name in names)), rows


def privacy(found: dict[str, Any]) -> Rows:
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


def cost(found: dict[str, Any]) -> Rows:
    """Size and speed."""
    rows: Rows = [("parameters", f"{found['parameters']:,}" if found["parameters"] else "unknown")]
    for name, text in (("fp32_bytes", "fp32 step graph"), ("int8_bytes", "int8 step graph")):
        if found[name]:
            rows.append((f"{text}, MB", number(found[name] / 1e6, 2)))
    rows += [(f"executable for {name}, MB", number(size / 1e6, 2)) for name, size in found["executables"].items()]
    seconds = found["seconds_per_epoch"]
    rows.append(("seconds an epoch of training", "unknown" if seconds is None else number(seconds, 1)))
    if "ms_a_flow" in found:
        machine = f"{found['machine'].get('cpu') or 'unknown'}, {found['variant']}, one thread"
        rows.append((f"ms a flow ({machine})", number(found["ms_a_flow"], 2)))
        rows.append(("flows a second", f"{found['flows_a_second']:,.0f}"))
        others = found["others_ms_a_flow"]
        rows += [(f"ms a flow, {name}, the bundle's graph", number(value, 2)) for name, value in others.items()]
    return rows


def beside(found: list[dict[str, Any]]) -> tuple[tuple[str, ...], Rows]:
    """A line for each generator: worth and cost."""
    rows: Rows = [
        (
            row["name"],
            number(row["two_sample_auc"]),
            number(row["macro_f1"]),
            number(row["more_macro_f1"]),
            f"{row['copy_excess_points']:+.1f}, {row['picked_copy_excess_points']:+.1f}",
            number(row["traced"], 2),
            number(row["ms_a_flow"], 2),
            f"{row['flows_a_second']:,.0f}" if row["flows_a_second"] else "-",
            number(max(row["executables"].values()) / 1e6, 2) if row["executables"] else "-",
        )
        for row in found
    ]
    worth = ("AUC", "F1, picked", "F1, more flows", "copies, of picked", "traced")
    return ("generator", *worth, "ms a flow", "flows/s", "executable, MB"), rows


def number(value: float | None, digits: int = 3) -> str:
    """A figure for a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def note(rows: Rows) -> str:
    """What is to stand under a table: what a dash in it means."""
    return WHY_NONE if any(cell == "-" or cell.startswith(("- (", "-, ")) for row in rows for cell in row) else ""


def _score(row: dict[str, Any]) -> tuple[str, str]:
    return number(row["macro_f1"]), number(row["spread"])

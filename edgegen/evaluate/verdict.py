"""What the figures of an evaluation mean, in words."""

from typing import Any

GOOD, FAIR, POOR = "good", "fair", "poor"
# Points above chance of the classifier that tells generated from real flows, and above what real halves have.
AUC_GOOD, AUC_FAIR = 0.05, 0.15
FAR_APART = 0.7  # AUC of two real halves, beyond which being no worse is no praise
# Points of macro-F1 under training on as many real flows.
F1_GOOD, F1_FAIR = 3.0, 10.0
# More copies than held-out real flows, in points; how many lead back to training flows, as a share of plain copies; and
# the attacker's AUC.
COPIES_GOOD, COPIES_FAIR = 5.0, 10.0
TRACED_GOOD, TRACED_FAIR = 0.6, 0.85
TRACED_LEAST = 0.3  # of plain copies, where real flows repeat each other so much that nothing can be traced
MEMBERSHIP_GOOD, MEMBERSHIP_FAIR = 0.6, 0.7
FEWEST = 100  # held-out flows; of fewer, chance alone makes a good generator look bad


def verdict(result: dict[str, Any]) -> list[dict[str, str]]:
    """One entry an axis: axis, level (good, fair or poor; unknown where nothing could be measured), and a sentence."""
    doubts = result["doubts"]
    few = result["real"]["held_out"] < FEWEST
    return [
        _fidelity(result["fidelity"]),
        _utility(result["synthetic_only"], few, doubts["held_out_seen"]),
        _privacy(result["privacy"], few, doubts["other_split"]),
    ]


def _fidelity(found: dict[str, Any]) -> dict[str, str]:
    auc, floor = found["two_sample_auc"], found["two_sample_auc_floor"]
    if auc is None:
        return _entry("fidelity", "unknown", "There are too few held-out flows to say how alike generated flows are.")
    level = _level(auc - max(floor, 0.5), AUC_GOOD, AUC_FAIR)
    words = {GOOD: "hardly better", FAIR: "better", POOR: "far better"}[level]
    text = (
        f"A classifier tells generated from real flows {words} than two halves of the real ones from each other: "
        f"AUC {auc:.3f}, {floor:.3f} for the halves, 0.5 by chance."
    )
    if floor > FAR_APART:
        text += " The halves, of different sessions, are far apart themselves: this says little."
    return _entry("fidelity", level, text)


def _utility(found: dict[str, Any], few: bool, seen: bool) -> dict[str, str]:
    """few: of the held-out flows; seen: whether the generator may have learned from them."""
    made, real = found["macro_f1"], found["real_macro_f1"]
    if len(found["per_label"]) < 2:
        return _entry("utility", "unknown", "There is one label only: a classifier has nothing to tell apart.")
    level = "unknown" if few or seen else _level(100 * (real - made), F1_GOOD, F1_FAIR)
    # A table may hold no more flows than are wanted.
    picked = f", picked out of {found['among']} times as many," if found["among"] > 1 else ""
    return _entry(
        "utility",
        level,
        f"A random forest that has seen only generated flows{picked} reaches a "
        f"macro-F1 of {made:.3f} on real ones, as they come {found['as_they_come']['macro_f1']:.3f}; "
        f"one that has seen as many real flows, {real:.3f}.{_why_unknown(few, seen)}",
    )


def _privacy(found: dict[str, Any], few: bool, other_split: bool) -> dict[str, str]:
    """other_split: whether the generator has learned from other flows than those that are called training here.

    Picked flows are the commoner ones, which repeat others more often whoever makes them: they are said, not judged.
    """
    picked, auc = found["picked"], found.get("membership_auc")
    levels = [_level(found["copy_excess_points"], COPIES_GOOD, COPIES_FAIR)]
    text = (
        f"{found['copy_rate']:.1%} of the generated flows repeat a training flow, of picked ones "
        f"{picked['copy_rate']:.1%}, as {found['holdout_copy_rate']:.1%} of unseen real flows do"
    )
    traced, plain = found["traced"], found["baselines"]["copy"]["traced"]
    if traced is not None and plain is not None and plain >= TRACED_LEAST:
        share = max(0.0, traced / plain)
        levels.append(_level(share, TRACED_GOOD, TRACED_FAIR))
        text += f"; as many lead back to training flows as if {share:.0%} were copies with packets changed"
    if auc is not None:
        levels.append(_level(auc, MEMBERSHIP_GOOD, MEMBERSHIP_FAIR))
        text += f"; who knows the model tells training flows from others with AUC {auc:.3f}"
    if few or other_split:
        return _entry("privacy", "unknown", f"{text}.{_why_unknown(few, other_split)}")
    level = max(levels, key=[GOOD, FAIR, POOR].index)
    ends = {
        GOOD: "No sign that the model has memorised training flows.",
        FAIR: "The model has memorised some of its training flows: look before you share it.",
        POOR: "THE MODEL HAS MEMORISED TRAINING FLOWS: do not share it or its flows where those are private.",
    }
    return _entry("privacy", level, f"{text}. {ends[level]}")


def _why_unknown(few: bool, seen: bool) -> str:
    if seen:
        return " Which real flows it has learned from is not what the split says (see the notes): this says little."
    return f" There are fewer than {FEWEST} held-out flows: this says little." if few else ""


def _level(value: float, good: float, fair: float) -> str:
    return GOOD if value <= good else FAIR if value <= fair else POOR


def _entry(axis: str, level: str, text: str) -> dict[str, str]:
    return {"axis": axis, "level": level, "text": text}

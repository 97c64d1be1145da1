"""The summary of an evaluation in the card of the bundle that was evaluated."""

from typing import Any

from edgegen.bundle import Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate.tables import number

CARD = "card.md"
HEADING = "## Is it any good\n"


def add_to_card(bundle: Bundle, result: dict[str, Any]) -> Bundle:
    """Write the bundle anew with a summary at the end of its card, in place of an older one.

    Raises EdgegenError where the bundle is signed, which a new card would undo, or cannot be written; it is then as it
    was.
    """
    if bundle.signed:
        raise EdgegenError(f"{bundle.path} is signed, and would not be with another card: evaluate before you sign")
    try:
        before = (bundle.path / CARD).read_text().split(HEADING)[0].rstrip()
    except OSError as error:
        raise EdgegenError(f"cannot read {bundle.path / CARD} ({error.strerror}): export the bundle again") from error
    files = {name: bundle.path / name for name in bundle.files}
    return write_bundle(bundle.path, files | {CARD: f"{before}\n\n{summary(result)}".encode()}, bundle.manifest)


def summary(result: dict[str, Any]) -> str:
    """The verdict and the figures that it rests on, as Markdown."""
    fidelity, synthetic, privacy = result["fidelity"], result["synthetic_only"], result["privacy"]
    real = result["real"]
    rows = [
        ("a classifier tells generated from real flows, AUC", fidelity["two_sample_auc"]),
        ("the same for two halves of the real flows", fidelity["two_sample_auc_floor"]),
        ("random forest trained on generated flows, picked, macro-F1 on real ones", synthetic["macro_f1"]),
        ("the same, trained on flows as they come", synthetic["as_they_come"]["macro_f1"]),
        ("the same trained on real flows", synthetic["real_macro_f1"]),
        ("generated flows that repeat a training flow", privacy["copy_rate"]),
        ("picked flows that do", privacy["picked"]["copy_rate"]),
        ("unseen real flows that do", privacy["holdout_copy_rate"]),
        ("an attacker with the model finds training flows, AUC", privacy.get("membership_auc")),
    ]
    lines = [
        HEADING,
        f"`edgegen evaluate` with {real['held_out']:,} held-out flows of {real['name']}:\n",
        *(f"- **{entry['axis']}: {entry['level']}.** {entry['text']}" for entry in result["verdict"]),
        *(f"- {note}" for note in result["notes"]),
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {text} | {number(value)} |" for text, value in rows),
        "",
    ]
    return "\n".join(lines)

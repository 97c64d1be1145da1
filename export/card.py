"""card.md: what a bundle was trained on, how well its forms agree, how large it is, how to see how fast it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegen.bundle import Manifest
from edgegen.export.parity import Check


def card(manifest: Manifest, checks: list[Check], files: Mapping[str, bytes | Path]) -> str:
    """The card's Markdown."""
    codec, model = manifest.codec, manifest.model
    sizes = {name: len(f) if isinstance(f, bytes) else f.stat().st_size for name, f in files.items()}
    labels = ", ".join(f"{label.name} ({label.share:.1%})" for label in codec.labels)
    times = "with inter-arrival times" if codec.has_iat else "without inter-arrival times"
    lines = [
        f"# A {manifest.kind} generator of network flows",
        "",
        f"{model['parameters']:,} parameters ({model['size']}), {model['precision']}; flows of up to"
        f" {codec.max_packets} packets {times}.",
        "",
        f"Labels and their shares: {labels}.",
        "",
        "## Trained on",
        "",
        *_rows(manifest.provenance["training"]),
        "",
        "## Do its forms agree",
        "",
        "| check | figure | bound |",
        "|---|---|---|",
        *(f"| {check.name} | {check.figure:.6g} | {check.bound:g} |" for check in checks),
        "",
        "## Files",
        "",
        "| file | bytes |",
        "|---|---|",
        *(f"| {name} | {size:,} |" for name, size in sizes.items()),
        "",
        "## How fast is it",
        "",
        "That depends on where it runs: `edgegen bench` measures it there, and so does the executable's own `bench`.",
        "",
    ]
    return "\n".join(lines)


def _rows(facts: Any) -> list[str]:
    if not isinstance(facts, dict):
        return [str(facts)]
    plain = {key: value for key, value in facts.items() if not isinstance(value, list | dict)}
    return ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in plain.items())]

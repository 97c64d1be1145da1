"""The manual page, from the help text that the executable itself holds."""

import re

from edgegen.package.origin import Origin

_START = b"usage: edgegen "


def help_of(executable: bytes) -> str | None:
    """The text that `--help` prints, read and not run: the processor may be another."""
    start = executable.find(_START)
    if start < 0:
        return None
    return executable[start:].partition(b"\0")[0].decode("utf-8", "replace")


def manual(name: str, help_text: str, origin: Origin) -> str:
    """edgegen-NAME(1), as roff."""
    command = f"edgegen-{name}"
    usage, _, rest = help_text.removeprefix("usage: ").partition("\n\n")
    synopsis = [re.sub("^ *edgegen ", f"{command} ", line) for line in usage.splitlines()]
    lines = [
        f'.TH {_text(command.upper())} 1 "{origin.time:%Y-%m-%d}" "{_text(origin.version)}" "edgegen"',
        ".SH NAME",
        f"{_text(command)} \\- generate labelled network traffic",
        ".SH SYNOPSIS",
        *_verbatim(synopsis),
        ".SH DESCRIPTION",
        *_verbatim(rest.rstrip("\n").splitlines()),
        ".SH SERVICE",
        f"The socket {_text(command)}.socket hands each connection to a process of its own, which reads requests and",
        "writes flows, a line of JSON each. It is not enabled by the installation:",
        *_verbatim([f"systemctl enable --now {command}.socket"]),
        ".SH FILES",
        *_entry(f"/etc/default/{command}", "environment of the service"),
        *_entry(f"/usr/share/edgegen/{name}/manifest.json", "the manifest of the bundle that this generator is of"),
        *_entry(f"/usr/share/doc/{command}/card.md", "what it was trained on, and how good it is"),
    ]
    return "\n".join(lines) + "\n"


def _verbatim(lines: list[str]) -> list[str]:
    return [".nf", *map(_text, lines), ".fi"]


def _entry(path: str, what: str) -> list[str]:
    return [".TP", f".I {_text(path)}", what]


def _text(line: str) -> str:
    """A line whose characters all stand for themselves."""
    printable = "".join(c if c.isprintable() else "?" for c in line)
    escaped = printable.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped

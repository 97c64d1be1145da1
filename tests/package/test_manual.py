"""The manual page says what the executable's help text says, whatever that is."""

import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaged import HELP, PROGRAM

from edgegen.package.manual import help_of, manual
from edgegen.package.origin import Origin

ORIGIN = Origin("x <x@example.com>", "1-1", datetime(2026, 3, 1, tzinfo=UTC))
REQUESTS = {".TH", ".SH", ".nf", ".fi", ".TP", ".I"}


def verbatim(page: str) -> list[list[str]]:
    """The lines of each part that is shown as it stands, as a reader sees them."""
    seen = {"\\e": "\\", "\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\&": ""}
    parts = re.findall(r"^\.nf\n(.*?)^\.fi$", page, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\\(?:\(..|.)", lambda m: seen[m[0]], line) for line in part.split("\n")[:-1]] for part in parts]


def test_the_help_text_is_found_in_an_executable() -> None:
    assert help_of(PROGRAM) == HELP
    assert help_of(b"\x7fELF") is None


def test_a_page_names_the_command_of_the_package() -> None:
    usage, description, enable = verbatim(manual("a-b", HELP, ORIGIN))
    assert usage == ["edgegen-a-b generate -n N", "edgegen-a-b info"]
    assert description == ["generate  flows -o '.jsonl' \\n", ".info"]
    assert enable == ["systemctl enable --now edgegen-a-b.socket"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_help_text_stands_as_it_is(text: str) -> None:
    page = manual("x", f"usage: edgegen info\n\n{text}", ORIGIN)
    shown = ["".join(c if c.isprintable() else "?" for c in line) for line in text.rstrip("\n").splitlines()]
    assert verbatim(page)[1] == shown
    assert {line.split()[0] for line in page.split("\n") if line.startswith((".", "'"))} == REQUESTS


def test_man_has_no_complaint() -> None:
    if shutil.which("man") is None:
        pytest.skip("man is missing")
    page = manual("a-b", HELP, ORIGIN)
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "edgegen-a-b info" in done.stdout
    assert ".info" in done.stdout

"""What no package is made of: one sentence, and no file."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaged import Make

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError, UsageError
from edgegen.package import check, package


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SOURCE_DATE_EPOCH", "soon"),
        ("SOURCE_DATE_EPOCH", "-1"),
        ("SOURCE_DATE_EPOCH", "9" * 12),
        ("DEBEMAIL", "nobody"),
        ("DEBEMAIL", "a@b>\nDepends: x"),
        ("DEBEMAIL", "\udcff@b"),
    ],
)
def test_a_wrong_environment_is_refused(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    bundle = make()
    monkeypatch.setenv(variable, value)
    for attempt in (lambda: package(bundle, tmp_path), lambda: check(bundle.path)):
        with pytest.raises(UsageError, match=rf"^{variable}.*$"):
            attempt()
    assert list(tmp_path.iterdir()) == [bundle.path]


@pytest.mark.parametrize("version", ["", "one", "1 2", "1:2-1", "1-", "1.0\n", "../1", "1_1"])
def test_a_wrong_version_is_refused(make: Make, tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match=r"is not the version of a Debian package: give one like 1\.2-1"):
        package(make(), tmp_path, version=version)


def test_what_cannot_be_packaged_is_refused(make: Make, tmp_path: Path) -> None:
    for bundle, targets, says in (
        (
            make("a.edgegen", ("x86_64",)),
            ["armv7"],
            r"no executable for armv7 \(it has: x86_64\): export with --target",
        ),
        (make("b.edgegen", ()), [], r"no executable for \w+ \(it has: none\)"),
        (make("c.edgegen", ("vax",)), [], r"no package is made for vax: choose of x86_64"),
        (make("d.edgegen", program=b"\x7fELF"), [], r"x86_64/edgegen has no help text"),
        (make("e.edgegen", provenance={}), [], r"does not say when it was exported"),
        (make("g.edgegen", provenance={"exported": "3/1"}), [], r"does not say when it was exported"),
    ):
        with pytest.raises(EdgegenError, match=says) as raised:
            package(bundle, tmp_path, targets)
        assert "\n" not in str(raised.value)
    for folder in (tmp_path / "nowhere", tmp_path / "a.edgegen" / "card.md"):
        with pytest.raises(EdgegenError, match=r"cannot write .*\.deb(, as there is no folder| \()"):
            package(make(), folder)
    assert list(tmp_path.glob("**/*.deb")) == []


def test_an_executable_that_no_hash_vouches_for_is_refused(make: Make, tmp_path: Path) -> None:
    bundle = make()
    rest = {name: digest for name, digest in bundle.files.items() if name != "x86_64/edgegen"}
    with pytest.raises(EdgegenError, match="no executable for x86_64"):
        package(Bundle(bundle.path, bundle.manifest, rest), tmp_path, ["x86_64"])


@given(st.one_of(st.text(min_size=1), st.text("aZ09._- é", min_size=1)))
def test_any_name_is_a_packages_or_refused(name: str) -> None:
    path = Path("/") / (name.replace("/", "").replace("\0", "") or "x")
    kept = re.sub("[ _]", "-", path.name.removesuffix(".edgegen").lower())
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]{,99}", kept):
        check(path)
        return
    with pytest.raises(EdgegenError, match=r"rename the bundle with at most 100 of a-z, 0-9, - and \.$") as raised:
        check(path)
    assert len(str(raised.value).splitlines()) == 1

"""What is in a package, and that it is the same again."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaged import PROGRAM, Make, read

from edgegen.bundle import MANIFEST, SIGNATURE
from edgegen.errors import EdgegenError
from edgegen.package import package
from edgegen.package.content import ARCHITECTURES
from edgegen.package.deb import Member, deb
from edgegen.trust import make_keys, sign, signer

NAME = "edgegen-home-lan"
FIRST_OF_MARCH = 1772323200
UNITS = f"./usr/lib/systemd/system/{NAME}"


def test_one_package_for_each_target(make: Make, tmp_path: Path) -> None:
    bundle = make()
    made = package(bundle, tmp_path)
    assert [path.name.rpartition("_")[2] for path in made] == ["amd64.deb", "arm64.deb", "armhf.deb"]
    assert {path for path in tmp_path.iterdir() if path.is_file()} == set(made)
    for path, architecture in zip(made, ARCHITECTURES.values(), strict=True):
        control, data = read(path.read_bytes())
        fields = Parser().parsestr(control["./control"].data.decode())
        assert path.name == f"{NAME}_{fields['Version']}_{architecture}.deb"
        assert (fields["Package"], fields["Architecture"]) == (NAME, architecture)
        assert fields["Version"].endswith("+20260301-1")
        assert fields["Depends"] is None
        assert data[f"./usr/bin/{NAME}"].data == PROGRAM
        assert data[f"./usr/share/edgegen/home-lan/{MANIFEST}"].data == (bundle.path / MANIFEST).read_bytes()
        assert data[f"./usr/share/doc/{NAME}/card.md"].data == b"# A card\n"
        # One sentence of the description says what the processor must have.
        assert ("AVX2" in fields["Description"], "NEON" in fields["Description"]) == (
            architecture == "amd64",
            architecture == "armhf",
        )


def test_signatures_are_where_the_executable_looks(make: Make, tmp_path: Path) -> None:
    private, _ = make_keys(tmp_path / "lab")
    bundle = sign(make(), signer(private))
    for path, target in zip(package(bundle, tmp_path), ARCHITECTURES, strict=True):
        _, data = read(path.read_bytes())
        assert data[f"./usr/bin/{NAME}.sig"].data == (bundle.path / target / "edgegen.sig").read_bytes()
        assert data[f"./usr/share/edgegen/home-lan/{SIGNATURE}"].data == (bundle.path / SIGNATURE).read_bytes()


def test_control_and_data_agree(make: Make, tmp_path: Path) -> None:
    (path,) = package(make(), tmp_path, ["aarch64"])
    control, data = read(path.read_bytes())
    assert control["./conffiles"].data.decode().split() == [f"/etc/default/{NAME}"]
    sums = dict(line.split("  ")[::-1] for line in control["./md5sums"].data.decode().splitlines())
    files = {name: entry for name, entry in data.items() if not name.endswith("/")}
    assert set(sums) == {name.removeprefix("./") for name in files} - {f"etc/default/{NAME}"}
    assert all(hashlib.md5(files[f"./{name}"].data).hexdigest() == digest for name, digest in sums.items())
    folders = {f"{folder}/" for name in files for folder in map(str, PurePosixPath(name).parents) if folder != "."}
    assert {name.removeprefix("./") for name in data if name.endswith("/")} == folders | {""}
    installed = sum(-(-len(entry.data) // 1024) for entry in files.values()) + len(folders)
    assert f"\nInstalled-Size: {installed}\n" in control["./control"].data.decode()


def test_entries_are_roots_and_of_one_time(make: Make, tmp_path: Path) -> None:
    (path,) = package(make(), tmp_path, ["armv7"])
    control, data = read(path.read_bytes())
    programs = {"./postinst", "./prerm", "./postrm", f"./usr/bin/{NAME}"}
    for name, entry in (control | data).items():
        assert (entry.seconds, entry.owner) == (FIRST_OF_MARCH, ("root", "root", 0, 0))
        assert entry.mode == (0o755 if name.endswith("/") or name in programs else 0o644), name


def test_texts_name_the_package_and_what_it_has(make: Make, tmp_path: Path) -> None:
    (path,) = package(make(), tmp_path, ["aarch64"], "1.2~rc1", 7000)
    control, data = read(path.read_bytes())
    assert "\nListenStream=127.0.0.1:7000\n" in data[f"{UNITS}.socket"].data.decode()
    assert "port 7000" in control["./control"].data.decode()
    assert f"\nExecStart=/usr/bin/{NAME} pipe\n" in data[f"{UNITS}@.service"].data.decode()
    environment = data[f"./etc/default/{NAME}"].data.decode()
    assert "has: dotprod, neon." in environment
    assert all(line.startswith("#") or not line for line in environment.splitlines())
    # Without a revision, the changelog has the other name.
    changelog = gzip.decompress(data[f"./usr/share/doc/{NAME}/changelog.gz"].data).decode()
    assert changelog.startswith(f"{NAME} (1.2~rc1) ")
    assert " Sun, 01 Mar 2026 00:00:00 +0000\n" in changelog
    texts = [entry.data for name, entry in (control | data).items() if not name.endswith((".gz", MANIFEST))]
    assert not any(re.search(rb"\{\w*\}", text) for text in texts)
    for script in ("./postinst", "./prerm", "./postrm"):
        subprocess.run(["sh", "-n"], input=control[script].data, check=True)


def test_the_same_bytes_again_from_another_place_at_another_time(make: Make, tmp_path: Path) -> None:
    bundle = make()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first = package(bundle, tmp_path / "a")
    moved = tmp_path / "elsewhere" / bundle.path.name
    shutil.copytree(bundle.path, moved)
    os.utime(moved / "card.md", (1, 1))
    command = [sys.executable, "-P", "-m", "edgegen.cli", "package", str(moved), "-o", str(tmp_path / "b")]
    other = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=other)
    again = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in again] == [path.name for path in first]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in first]


def test_the_environment_says_when_and_by_whom(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("DEBEMAIL", "ops@home.example")
    monkeypatch.setenv("DEBFULLNAME", "Åsa Ops")
    # The bundle itself need not say when.
    (path,) = package(make(provenance={}), tmp_path, ["x86_64"])
    control, data = read(path.read_bytes())
    assert "+20231114-1_" in path.name
    assert {entry.seconds for entry in (control | data).values()} == {1700000000}
    assert "\nMaintainer: Åsa Ops <ops@home.example>\n" in control["./control"].data.decode()


def test_a_package_is_whole_or_not_there(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, out = make(), tmp_path / "out"
    out.mkdir()
    (before,) = package(bundle, out, ["x86_64"])
    content = before.read_bytes()

    def full(*rest: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgegen.writers.os.replace", full)
    with pytest.raises(EdgegenError, match=r"cannot write .*amd64.deb \(No space left on device\)"):
        package(bundle, out, port=9)
    assert list(out.iterdir()) == [before]
    assert before.read_bytes() == content


ANYTHING = st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(), max_size=3), st.one_of(st.dates().map(str), ANYTHING), st.text())
def test_whatever_a_manifest_says_a_package_is_sound_or_refused(
    make: Make, tmp_path: Path, variants: list[str], exported: Any, help_text: str
) -> None:
    program = b"usage: edgegen " + help_text.encode("utf-8", "surrogatepass")
    bundle = make("x.edgegen", ("armv7",), program, tuple(variants), {"exported": exported})
    if not (isinstance(exported, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", exported)):
        with pytest.raises(EdgegenError, match="does not say when it was exported"):
            package(bundle, tmp_path)
        return
    (path,) = package(bundle, tmp_path)
    control, data = read(path.read_bytes())
    environment = data["./etc/default/edgegen-x"].data.decode()
    assert all(line.startswith("#") or not line for line in environment.split("\n"))
    assert Parser().parsestr(control["./control"].data.decode()).keys() == [
        *("Package", "Version", "Architecture", "Maintainer", "Installed-Size", "Section", "Priority", "Description")
    ]


PATHS = st.lists(st.text("abcé. ", min_size=1, max_size=40).filter(lambda part: part.strip(". ")), min_size=1).map(
    lambda parts: PurePosixPath(*parts[:6])
)


@settings(max_examples=30)
@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=5), st.integers(0, 2**33))
def test_what_is_put_into_an_archive_comes_out(files: dict[PurePosixPath, bytes], seconds: int) -> None:
    data = {path: Member(content) for path, content in files.items()}
    archive = deb({PurePosixPath("control"): Member(b"x")}, data, seconds)
    control, found = read(archive)
    assert control["./control"].data == b"x"
    assert {name: entry.data for name, entry in found.items() if not name.endswith("/")} == {
        f"./{path}": content for path, content in files.items()
    }
    assert {entry.seconds for entry in found.values()} == {seconds}


def test_dpkg_reads_it(make: Make, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is missing")
    (path,) = package(make(), tmp_path, ["aarch64"])
    fields = subprocess.run(["dpkg-deb", "-f", path], capture_output=True, text=True, check=True).stdout
    assert fields.encode() == read(path.read_bytes())[0]["./control"].data
    subprocess.run(["dpkg-deb", "-x", path, tmp_path / "root"], check=True)
    assert (tmp_path / "root/usr/bin" / NAME).read_bytes() == PROGRAM
    manifest = json.loads((tmp_path / f"root/usr/share/edgegen/home-lan/{MANIFEST}").read_text())
    assert manifest["kind"] == "llama"

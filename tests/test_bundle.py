import hashlib
import json
import os
from pathlib import Path

import pytest
from bundled import CODEC, FILES, MADE, TARGET
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.bundle import MANIFEST, Bundle, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.errors import EdgegenError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a.edgegen", FILES, MADE).path


def test_a_bundle_survives_a_round_trip(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.manifest == MADE
    assert opened.codec == CODEC
    assert {name: (bundle / name).read_bytes() for name in opened.files} == FILES
    assert os.access(bundle / TARGET.executable, os.X_OK)
    assert not os.access(bundle / "card.md", os.X_OK)
    assert os.listdir(bundle.parent) == ["a.edgegen"]


def test_the_manifest_is_json_whose_first_line_hashes_the_rest(bundle: Path) -> None:
    first, rest = (bundle / MANIFEST).read_bytes().split(b"\n", 1)
    assert first == b'{"sha256": "%s",' % hashlib.sha256(rest).hexdigest().encode()
    assert json.loads((bundle / MANIFEST).read_text())["format"] == 1


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([MANIFEST, *FILES]), st.data())
def test_any_flipped_bit_is_found_and_named(bundle: Path, name: str, data: st.DataObject) -> None:
    file = bundle / name
    whole = file.read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    with pytest.raises(EdgegenError) as error:
        Bundle.open(bundle)
    file.write_bytes(whole)
    assert f"{file} has been changed" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
@pytest.mark.parametrize("cut", [0, -1])
def test_a_truncated_file_is_named(bundle: Path, name: str, cut: int) -> None:
    (bundle / name).write_bytes((bundle / name).read_bytes()[:cut])
    with pytest.raises(EdgegenError, match=f"{name} has been changed"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(EdgegenError, match=f"{name} is missing"):
        Bundle.open(bundle)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, sentence in (
        (tmp_path, "not a bundle"),
        (tmp_path / "file", "not a bundle"),
        (tmp_path / "no", "no bundle"),
    ):
        with pytest.raises(EdgegenError, match=sentence):
            Bundle.open(path)


def rewrite(bundle: Path, **changes: object) -> None:
    """Change fields of the manifest and hash it again, as another version of edgegen might have written it."""
    data = {**json.loads((bundle / MANIFEST).read_text()), **changes}
    del data["sha256"]
    rest = json.dumps(data, indent=1)[2:]
    first = f'{{"sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",\n'
    (bundle / MANIFEST).write_text(first + rest)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "bundle format 2, not 1"),
        ({"loop": "diffusion"}, "loop of kind 'diffusion'"),
        ({"files": {"../outside": "00"}}, "outside the bundle"),
        ({"files": 3}, "lacks a field"),
        ({"golden": {}}, "lacks a field"),
    ],
)
def test_what_this_edgegen_does_not_know_is_refused(bundle: Path, changes: dict[str, object], sentence: str) -> None:
    rewrite(bundle, **changes)
    with pytest.raises(EdgegenError, match=sentence):
        Bundle.open(bundle)


PRECISIONS = st.sampled_from(["int8", "fp32"])
JSON = (
    st.none() | st.booleans() | st.floats() | st.text() | st.lists(PRECISIONS) | st.dictionaries(PRECISIONS, st.none())
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PRECISIONS | JSON)
def test_a_precision_is_known_or_the_bundle_is_damaged(bundle: Path, precision: object) -> None:
    rewrite(bundle, model={"parameters": 7, "precision": precision})
    if precision in ("int8", "fp32"):
        assert Bundle.open(bundle).manifest.precision == precision
    else:
        with pytest.raises(EdgegenError, match=r"^[^\n]* lacks a field \('precision'\): export the bundle again$"):
            Bundle.open(bundle)


def test_a_bundle_that_does_not_say_is_int8(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    assert (manifest.precision, manifest.step_graph) == ("int8", "model.int8.onnx")
    rewrite(bundle, model=["int8"])
    with pytest.raises(EdgegenError, match="lacks a field"):
        Bundle.open(bundle)


def test_a_processor_without_engine_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert this_target() == "riscv64"
    with pytest.raises(EdgegenError, match=r"no engine for this processor \(riscv64; it has: x86_64\)"):
        Bundle.open(bundle).library()
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    assert Bundle.open(bundle).library() == bundle / TARGET.library


@pytest.mark.parametrize(
    ("machine", "largest", "target"),
    [
        ("aarch64", 2**63 - 1, "aarch64"),
        ("aarch64", 2**31 - 1, "armv7"),
        ("armv7l", 2**31 - 1, "armv7"),
        ("armv8l", 2**31 - 1, "armv7"),
        ("x86_64", 2**63 - 1, "x86_64"),
        ("riscv64", 2**63 - 1, "riscv64"),
    ],
)
def test_the_target_is_what_python_can_load(
    monkeypatch: pytest.MonkeyPatch, machine: str, largest: int, target: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sys.maxsize", largest)
    assert this_target() == target

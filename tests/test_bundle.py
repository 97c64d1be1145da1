import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from bundled import CODEC, FILES, MADE, TARGET
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.bundle import MANIFEST, Bundle, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.devices import devices
from edgegen.errors import EdgegenError
from edgegen.runtime.sampling import label_thresholds

SENTENCE = r"^[^\n]+: [^\n]+$"


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


@pytest.mark.parametrize("name", ["manifest.json", "card.md"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(EdgegenError, match=f"{name} is no file: copy or export the bundle again"):
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
    data = changes.pop("whole", None) or {**manifest(bundle), **changes}
    assert isinstance(data, dict)
    data.pop("sha256", None)
    rest = json.dumps(data, indent=1)[2:]
    first = f'{{"sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",\n'
    (bundle / MANIFEST).write_text(first + rest)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "bundle format 2, not 1"),
        ({"format": "1"}, "bundle format '1', not 1"),
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


def manifest(bundle: Path) -> Any:
    return json.loads((bundle / MANIFEST).read_text())


INSIDE: list[tuple[tuple[str, ...], object]] = [
    (("codec", "max_packets"), math.inf),
    (("codec", "max_packets"), 100_000_000),
    (("codec", "max_pl"), math.nan),
    (("codec", "iat_edges_us"), [0, math.inf]),
    (("codec", "iat_edges_us"), [0, 10**30]),
    (("codec", "iat_edges_us"), [5]),
    (("codec", "labels"), [{"name": "dns", "share": math.nan, "proto": 17}]),
    (("codec", "labels"), [{"name": "dns", "share": 0, "proto": 17}]),
    (("codec", "labels"), [{"name": "dns", "share": 1, "proto": [17]}]),
    (("codec", "format"), "1\n"),
    (("golden", "sha256"), ["native"]),
    (("golden", "seed"), "1"),
    (("golden", "count"), "8"),
    (("golden", "count"), -8),
    (("targets", "x86_64", "variants"), [["avx2"]]),
    (("targets", "x86_64", "variants"), "avx2"),
    (("targets", "x86_64", "widths"), [1, "8"]),
    (("files", "a\0b"), "00"),
    (("files", "a\nb"), "00"),
    (("files", "a\ud800"), "00"),
    (("kind",), 3),
    (("provenance", "training"), [3]),
]


@pytest.mark.parametrize(("place", "value"), INSIDE)
def test_a_field_of_the_wrong_kind_is_one_sentence(bundle: Path, place: tuple[str, ...], value: object) -> None:
    data = manifest(bundle)
    *above, last = place
    within = data
    for name in above:
        within = within[name]
    within[last] = value
    rewrite(bundle, **data)
    with pytest.raises(EdgegenError, match=SENTENCE):
        Bundle.open(bundle)


def test_a_manifest_that_is_too_deep_is_one_sentence(bundle: Path) -> None:
    rest = b'"provenance": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (bundle / MANIFEST).write_bytes(b'{"sha256": "%s",\n' % hashlib.sha256(rest).hexdigest().encode() + rest)
    with pytest.raises(EdgegenError, match=SENTENCE):
        Bundle.open(bundle)


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value there are others, from the top."""
    within = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in within for place in [(*above, key), *places(value, (*above, key))]]


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from([0, 1, 2**70])
)
ANYTHING = st.recursive(LEAVES, lambda some: st.lists(some) | st.dictionaries(st.text(st.characters()), some))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_a_manifest_says_it_opens_or_is_refused(bundle: Path, data: st.DataObject) -> None:
    whole = (bundle / MANIFEST).read_bytes()
    changed = manifest(bundle)
    *above, last = data.draw(st.sampled_from(places(changed)))
    within = changed
    for name in above:
        within = within[name]
    if data.draw(st.booleans()):
        within[last] = data.draw(ANYTHING)
    else:
        del within[last]
    rewrite(bundle, whole=changed)
    said = None
    try:
        opened = Bundle.open(bundle)
        codec = opened.codec
        assert label_thresholds(codec)[-1] > 0
        assert codec.legal(1)[0] < codec.legal(1)[1]
        json.dumps(opened.manifest.to_json(), ensure_ascii=False).encode()
        devices(opened)
    except EdgegenError as error:
        said = str(error)
    assert said is None or re.fullmatch(SENTENCE, said)
    (bundle / MANIFEST).write_bytes(whole)


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

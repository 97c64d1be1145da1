"""Whatever a verb is given, it ends in one sentence and an exit status: 1 for the job, 2 for its usage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegen.bundle import Bundle, Golden, Manifest, Target, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.cli import SPINS, app, main
from edgegen.codec import Codec, Label
from edgegen.flow import TCP, Flow
from edgegen.trust import make_keys, signer
from edgegen.writers import write_flows

for package in ("torch", "onnx", "tvm", "pyarrow"):
    pytest.importorskip(package)

FLOWS = [Flow("web", [517, 1460, 80 + i], [0, 1, 1], [0.0, 0.02, 1.5], TCP, f"s{i % 5}") for i in range(20)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one of each thing a verb may be given, sound in itself."""
    here = this_target()
    target = Target(f"{here}/edgegen", f"{here}/libmodel.so", (1,), ("any",))
    codec = Codec((Label("dns", 0.5), Label("web", 0.5)), max_packets=4, max_pl=100)
    manifest = Manifest("llama", codec, Golden(1, 0, 8, {"native": "0" * 64}), {here: target}, {}, {})
    files: dict[str, bytes | Path] = {target.executable: b"\x7fELF", target.library: b"\x7fELF"}
    write_bundle(tmp_path / "b.edgegen", files, manifest)
    private, _ = make_keys(tmp_path / "lab")
    write_bundle(tmp_path / "signed.edgegen", files, manifest, signer(private))
    make_keys(tmp_path / "other")
    write_flows(FLOWS, tmp_path / "flows.jsonl")
    (tmp_path / "text.txt").write_text("no flows\n")
    (tmp_path / "empty.pcap").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str) -> tuple[int, str]:
    """Exit status and message of a command that must fail: stdout stays empty."""
    monkeypatch.setattr(sys, "argv", ["edgegen", *command.split()])
    with pytest.raises(SystemExit) as exit:
        main()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert isinstance(exit.value.code, int)
    return exit.value.code, shown.err


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("data import nosuch.pcap -o x.parquet", 1, "nosuch.pcap"),
        ("data import empty.pcap -o x.parquet", 1, "empty.pcap is empty"),
        ("data import text.txt -o x.parquet", 1, "text.txt"),
        ("data import folder -o x.parquet", 1, "folder"),
        ("data import flows.jsonl -o x.doc", 2, "x.doc"),
        ("data import flows.jsonl -o nosuch/x.parquet", 1, "as there is no folder nosuch: make it first"),
        ("data import flows.jsonl -o x.pcap", 2, "x.pcap is no table that edgegen writes"),
        ("data pick flows.jsonl --per-label 1 -o x.pcap", 2, "x.pcap is no table that edgegen writes"),
        ("data pick flows.jsonl --per-label 1 -o flows.jsonl", 2, "flows.jsonl is a source"),
        ("augment flows.jsonl --transform edit -o flows.jsonl", 2, "flows.jsonl is a source"),
        ("devices -o nosuch/x.md", 1, "the folder nosuch is missing or closed to you"),
        ("data info nosuch.parquet", 1, "nosuch.parquet"),
        ("data info text.txt", 1, "text.txt"),
        ("data info folder", 1, "folder"),
        ("train nosuch.parquet --arch llama -o r", 1, "nosuch.parquet"),
        ("train text.txt --arch llama -o r", 1, "text.txt"),
        ("train flows.jsonl --arch gru -o r", 2, "llama, mamba"),
        ("train flows.jsonl --arch llama --size huge -o r", 2, "tiny, base"),
        ("train flows.jsonl --arch llama --init folder -o r", 1, "folder is not a trained run"),
        ("train flows.jsonl --arch llama -o text.txt", 1, "text.txt"),
        ("train flows.jsonl --arch llama --minutes inf -o r", 2, "--minutes inf is no time to train for"),
        ("export nosuch --int8 -o x.edgegen", 1, "nosuch is not a trained run"),
        ("export folder --int8 -o x.edgegen", 1, "folder is not a trained run"),
        ("export folder --precision fp32 -o x.edgegen", 1, "folder is not a trained run"),
        ("export folder -o x.edgegen", 2, "call `edgegen export --int8` or `edgegen export --precision fp32`"),
        ("export folder --int8 --precision fp32 -o x.edgegen", 2, "--int8 and --precision fp32 contradict each other"),
        ("export folder --precision fp16 -o x.edgegen", 2, "precision 'fp16' is none of int8, fp32"),
        ("export folder --int8 --precision int8 -o text.txt", 1, "text.txt exists and is not a bundle"),
        ("export folder --int8 -o text.txt", 1, "text.txt exists and is not a bundle"),
        ("export folder --int8 -o folder", 1, "folder exists and is not a bundle"),
        ("export folder --int8 --target sparc -o x.edgegen", 2, "x86_64"),
        ("export folder --int8 --deb -o a+b.edgegen", 1, "makes no name of a Debian package"),
        ("package nosuch.edgegen", 1, "nosuch.edgegen"),
        ("package text.txt", 1, "text.txt is not a bundle"),
        ("package b.edgegen", 1, "does not say when it was exported"),
        ("package b.edgegen --version one", 2, "give one like 1.2-1"),
        ("export --int8 -o x.edgegen --sign nosuch.key", 1, "cannot read the key nosuch.key"),
        ("keygen -o lab", 1, "lab.key: File exists"),
        ("keygen -o nosuch/x", 1, "nosuch/x.key: No such file"),
        ("sign b.edgegen --key lab.pub", 1, "lab.pub holds a public key"),
        ("sign b.edgegen --key text.txt", 1, "text.txt holds no Ed25519 private key"),
        ("sign nosuch.edgegen --key lab.key", 1, "nosuch.edgegen"),
        ("sign text.txt --key lab.key", 1, "text.txt is not a bundle"),
        ("generate nosuch.edgegen -n 3", 1, "nosuch.edgegen"),
        ("generate text.txt -n 3", 1, "text.txt is not a bundle"),
        ("generate folder -n 3", 1, "folder is not a bundle"),
        ("generate b.edgegen -n 3 --label nosuch", 2, "dns, web"),
        ("generate b.edgegen -n 3 --engine abacus", 2, "auto, native, onnxruntime"),
        ("generate b.edgegen -n 3 --batch 0", 2, "batch 0"),
        ("generate b.edgegen -n 3 --temperature -1", 2, "temperature -1"),
        ("generate b.edgegen -n 3 --seed -1", 2, "seed"),
        ("generate b.edgegen -n -3", 2, "number of flows"),
        ("generate b.edgegen -n 9223372036854775808", 2, "is not in 0..9223372036854775807"),
        ("generate b.edgegen -n 3 --engine onnxruntime", 1, "no ONNX step graph"),
        ("generate b.edgegen -n 3 --threads 0", 2, "threads 0"),
        ("generate b.edgegen -n 3 --min-packets 99", 2, "min packets 99"),
        ("evaluate", 2, "--bundle NAME.edgegen, or --synthetic FLOWS"),
        ("evaluate --bundle b.edgegen --synthetic flows.jsonl", 2, "--bundle NAME.edgegen, or --synthetic FLOWS"),
        ("evaluate nosuch.parquet --bundle b.edgegen", 1, "nosuch.parquet"),
        ("evaluate text.txt --bundle b.edgegen", 1, "text.txt"),
        ("evaluate folder --bundle b.edgegen", 1, "folder"),
        ("evaluate flows.jsonl --bundle nosuch.edgegen", 1, "nosuch.edgegen"),
        ("evaluate flows.jsonl --synthetic text.txt", 1, "text.txt"),
        ("evaluate flows.jsonl --synthetic folder", 1, "folder"),
        ("evaluate flows.jsonl --bundle b.edgegen --baseline gan", 2, "copy, markov, smote"),
        ("evaluate flows.jsonl --synthetic flows.jsonl -o text.txt", 1, "text.txt"),
        ("augment flows.jsonl -o x.csv", 2, "--bundle NAME.edgegen, or --transform NAME"),
        ("augment nosuch.csv --transform edit -o x.csv", 1, "nosuch.csv"),
        ("augment flows.jsonl --transform blur -o x.csv", 2, "payload, direction, time, edit"),
        ("augment flows.jsonl --transform edit --ratio -1 -o x.csv", 2, "--ratio"),
        ("augment flows.jsonl --transform edit --ratio 1 --per-label 9 -o x.csv", 2, "not both"),
        ("augment flows.jsonl --transform edit -o x.txt", 2, ".parquet"),
        ("augment flows.jsonl --bundle nosuch.edgegen -o x.csv", 1, "nosuch.edgegen"),
        ("bench nosuch.edgegen", 1, "nosuch.edgegen"),
        ("bench b.edgegen", 1, "cannot be started"),
        ("bench b.edgegen --on moon", 2, "ssh://USER@HOST"),
        ("bench b.edgegen --on qemu:z80", 2, "cortex-a53"),
        ("bench b.edgegen --on ssh://host:port", 2, "is no address"),
        ("devices nosuch.edgegen", 1, "nosuch.edgegen"),
        ("devices b.edgegen -o x.xml", 2, "md, json"),
        ("replay flows.jsonl --interface nosuch0", 1, "there is no interface 'nosuch0'"),
        ("replay flows.jsonl --interface lo", 1, "lo is no Ethernet interface"),
        ("replay flows.jsonl --interface lo --seed 3", 2, "--seed is for a bundle"),
        ("replay flows.jsonl --interface lo --rate 0", 2, "--rate 0"),
        ("replay flows.jsonl --interface lo --mbps nan", 2, "--mbps nan"),
        ("replay flows.jsonl --interface lo -o x.xml", 2, "md, json"),
        ("replay b.edgegen --interface lo -n 0", 2, "-n 0"),
        ("serve nosuch.edgegen", 1, "nosuch.edgegen"),
        ("serve b.edgegen --engine abacus", 2, "auto, native, onnxruntime"),
        ("serve b.edgegen --host 0.0.0.0", 2, "give a token"),
        ("serve b.edgegen --drain inf", 2, "drain inf is no positive number"),
        ("pipe nosuch.edgegen", 1, "nosuch.edgegen"),
        ("pipe b.edgegen --engine abacus", 2, "auto, native, onnxruntime"),
        ("pipe b.edgegen --most-flows 0", 2, "--most-flows 0 is not a whole number in 1..9223372036854775807"),
        ("verify nosuch.edgegen", 1, "nosuch.edgegen"),
        ("verify text.txt", 1, "text.txt is not a bundle"),
        ("verify b.edgegen --engine abacus", 2, "auto, native, onnxruntime"),
        ("demo -o text.txt", 1, "text.txt"),
        ("demo -o d --minutes -1", 2, "--minutes"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    status: int,
    says: str,
) -> None:
    before = tree(folder)
    got, message = fails(capsys, monkeypatch, command)
    assert (got, message.count("\n")) == (status, 1), message
    assert message.startswith("edgegen: ")
    assert says in message
    assert tree(folder) == before


@pytest.mark.parametrize(
    "command",
    [
        "generate b.edgegen -n 3 -o x.jsonl",
        "verify b.edgegen",
        "bench b.edgegen",
        "devices b.edgegen",
        "serve b.edgegen",
        "package b.edgegen",
        "pipe b.edgegen",
    ],
)
def test_one_flipped_bit_is_refused_with_the_name_of_its_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    bundle = folder / "b.edgegen"
    for name in ("manifest.json", *Bundle.open(bundle).files):
        whole = (bundle / name).read_bytes()
        (bundle / name).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        status, message = fails(capsys, monkeypatch, command)
        (bundle / name).write_bytes(whole)
        assert (status, message.count("\n")) == (1, 1)
        assert f"{name} has been changed" in message
    assert not (folder / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("flags", "status", "says"),
    [
        ("b.edgegen --require-signature lab.pub", 1, "b.edgegen is not signed"),
        ("signed.edgegen --require-signature other.pub", 1, "manifest.sig is no signature"),
        ("signed.edgegen --check-signature other.pub", 1, "manifest.sig is no signature"),
        ("signed.edgegen --require-signature lab.key", 1, "lab.key holds a private key"),
        ("signed.edgegen --require-signature text.txt", 1, "text.txt holds no Ed25519 public key"),
        ("signed.edgegen --require-signature nosuch.pub", 1, "cannot read the key nosuch.pub"),
        ("signed.edgegen --require-signature lab.pub --check-signature lab.pub", 2, "one key, not two"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "generate BUNDLE -n 3 -o x.jsonl",
        "verify BUNDLE",
        "bench BUNDLE",
        "serve BUNDLE",
        "evaluate flows.jsonl -o report --bundle BUNDLE",
        "augment flows.jsonl -o x.csv --ratio 1 --bundle BUNDLE",
    ],
)
def test_a_signature_that_is_missing_or_wrong_is_refused_by_every_verb(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    flags: str,
    status: int,
    says: str,
) -> None:
    before = tree(folder)
    got, message = fails(capsys, monkeypatch, command.replace("BUNDLE", flags))
    assert (got, message.count("\n")) == (status, 1), message
    assert says in message
    assert tree(folder) == before


def test_the_environment_asks_for_a_signature_too(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("generate b.edgegen -n 3", "verify b.edgegen", "bench b.edgegen", "serve b.edgegen"):
        monkeypatch.setenv("EDGEGEN_REQUIRE_SIGNATURE", "lab.pub")
        assert "b.edgegen is not signed" in fails(capsys, monkeypatch, verb)[1]
        monkeypatch.setenv("EDGEGEN_REQUIRE_SIGNATURE", "")
        assert "names no file" in fails(capsys, monkeypatch, verb)[1]


@pytest.mark.parametrize(
    "command",
    [
        "frob",
        "generate",
        "generate b.edgegen",
        "generate b.edgegen -n x",
        "train flows.jsonl",
        "export --int8",
        "verify",
        "serve b.edgegen --port x",
        "replay flows.jsonl",
        "replay b.edgegen --interface lo --rate x",
        "package b.edgegen --port 0",
    ],
)
def test_a_missing_or_misspelt_argument_is_a_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    status, message = fails(capsys, monkeypatch, command)
    assert status == 2
    assert "Error: " in message
    assert "Traceback" not in message


def test_a_full_disk_is_one_sentence_and_no_file(folder: Path) -> None:
    before = tree(folder)
    # A file size limit stands for the disk: a write that goes past it fails in the same place.
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\nfrom edgegen.cli import main; main()"
    command = [sys.executable, "-c", code, "data", "import", "flows.jsonl", "-o", "x.jsonl"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "cannot write x.jsonl" in result.stderr
    assert tree(folder) == before


@pytest.mark.parametrize("verb", ["--help", "devices", "data info flows.jsonl", "data import flows.jsonl -o -"])
def test_standard_output_that_takes_nothing_is_one_sentence(folder: Path, verb: str) -> None:
    command = [sys.executable, "-P", "-m", "edgegen.cli", *verb.split()]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=folder, check=False)
    assert result.returncode == 1
    assert result.stderr.endswith(
        "edgegen: cannot write standard output (No space left on device): free space or choose another place\n"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("data import flows.jsonl -o x.jsonl >&-", 0, ": 20 flows"),
        ("data import flows.jsonl -o x.jsonl 2>&-", 0, ""),
        ("data import flows.jsonl -o x.jsonl <&- >&- 2>&-", 0, ""),
        ("data info flows.jsonl >&-", 1, "edgegen: cannot write standard output (Bad file descriptor): free space"),
        ("devices <&- >&-", 1, "edgegen: cannot write standard output (Bad file descriptor): free space"),
        ("data info nosuch.jsonl 2>&-", 1, ""),
        ("generate nosuch.edgegen -n 3 >&-", 1, "edgegen: there is no bundle nosuch.edgegen"),
    ],
)
def test_closed_streams_matter_only_where_they_are_used(folder: Path, command: str, status: int, says: str) -> None:
    shell = ["sh", "-c", f"exec {sys.executable} -P -m edgegen.cli {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, cwd=folder, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n") > 0) == (status, "", says != ""), done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    if status == 0:
        assert (folder / "x.jsonl").read_bytes() == (folder / "flows.jsonl").read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        "generate PATH -n 3",
        "evaluate PATH --bundle b.edgegen",
        "export PATH --int8 -o x.edgegen",
    ],
)
def test_what_cannot_be_read_is_not_said_to_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A name that is too long stands for a folder that is closed, as none is to root."""
    monkeypatch.setattr("edgegen.cli._end_at_once", sys.exit)
    status, message = fails(capsys, monkeypatch, command.replace("PATH", "x" * 300))
    assert (status, message.count("\n")) == (1, 1)
    assert message.startswith("edgegen: cannot read")
    assert "File name too long" in message


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_waiting_threads_sleep_soon_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], spins: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        # Set first, so that what main() makes of it is undone after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["edgegen", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_every_verb_is_tried_here() -> None:
    (bad_input,) = (mark for mark in test_bad_input_is_one_sentence.pytestmark if mark.name == "parametrize")
    tried = {command.split()[0] for command, *_ in bad_input.args[1]}
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert tried - {"data"} == verbs

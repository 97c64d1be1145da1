import os
import signal
import subprocess
import time
from pathlib import Path

import mock_host
import pytest

from edgegen.runtime.loop import generate_tokens
from edgegen.runtime.sampling import draw_labels
from edgegen.writers import json_line


def run(name: str, *arguments: str, sanitize: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([mock_host.build(name, False, sanitize), *arguments], capture_output=True, timeout=60)


def expected(name: str, labels: list[int], seed: int = 0, first: int = 0, temperature: float = 1.0) -> bytes:
    """The JSON lines of the numpy loop and the Python writer."""
    codec = mock_host.CODECS[name]
    sequences = generate_tokens(codec, mock_host.MockStepper(codec, 16), labels, seed, first, temperature)
    rows = zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True)
    return "".join(json_line(codec.decode(tokens, places)) for tokens, places in rows).encode()


@pytest.mark.parametrize("name", mock_host.CODECS)
@pytest.mark.parametrize("batch", ["1", "3", "8", "100"])
def test_the_same_bytes_as_python(name: str, batch: str) -> None:
    done = run(name, "generate", "-n", "90", "--seed", "7", "--first=5", "--batch", batch)
    labels = draw_labels(mock_host.CODECS[name], 7, 5, 90).tolist()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected(name, labels, 7, 5)


def test_chunks_do_not_show_and_labels_take_turns(tmp_path: Path) -> None:
    out = tmp_path / "flows.jsonl"
    done = run("small", "generate", "-n", "2500", "-o", str(out), "--temperature", "0.7")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert out.read_bytes() == expected("small", [0] * 2500, temperature=0.7)
    done = run("times", "generate", "-n", "5", "--label", "https", "--label=dns", "--first", "1")
    assert done.stdout == expected("times", [0, 2, 0, 2, 0], first=1)
    assert list(tmp_path.iterdir()) == [out]


def test_no_flows_are_no_bytes() -> None:
    done = run("small", "generate", "-n", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a verb"),
        (["train"], "train is not a verb"),
        (["generate"], "needs -n N"),
        (["generate", "-n"], "-n needs a value"),
        (["generate", "-n", "-1"], "-n -1 is not a whole number"),
        (["generate", "-n", "5x"], "-n 5x is not a whole number"),
        (["generate", "-n", "5", "--seed", "18446744073709551616"], "--seed 18446744073709551616 is not"),
        (["generate", "-n", "5", "--first", "18446744073709551615"], "flow numbers end"),
        (["generate", "-n", "5", "--batch", "0"], "--batch 0 is not"),
        (["generate", "-n", "5", "--temperature", "nan"], "neither 0 nor"),
        (["generate", "-n", "5", "--label", "nope"], "it knows: x"),
        (["generate", "-n", "5", "-o", "flows.pcap"], "writes .jsonl"),
        (["generate", "-n", "5", "--engine", "onnxruntime"], "engine native only"),
        (["generate", "lab.edgegen", "-n", "5"], "lab.edgegen is not a flag"),
        (["verify", "lab.edgegen"], "its own bundle"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = run("small", *arguments, sanitize=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"edgegen: ")
    assert done.stderr.count(b"\n") == 1
    assert sentence in done.stderr.decode()


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    done = run("small", "generate", "-n", "5", "-o", str(tmp_path / "none" / "flows.jsonl"))
    assert done.returncode == 1
    assert b"No such file or directory" in done.stderr
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            command = [mock_host.build("small", False, True), "generate", "-n", "5"]
            stopped = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert stopped.returncode == 1
        assert b"No space left" in stopped.stderr


def test_a_reader_that_goes_ends_it_silently() -> None:
    command = [mock_host.build("small", False), "generate", "-n", "100000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"]}\n")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    command = [mock_host.build("small", False), "generate", "-n", "100000000", "-o", str(tmp_path / "flows.jsonl")]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 30
        while not os.listdir(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.listdir(tmp_path)
        process.send_signal(number)
        assert process.wait(30) == 130
    assert os.listdir(tmp_path) == []


def test_verify_knows_its_golden_flows() -> None:
    done = run("times", "verify")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"40 golden flows are the same as at the export (mock)\n"
    wrong = mock_host.build("small", False, False, "00" * 32)
    done = subprocess.run([wrong, "verify"], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"golden flows differ" in done.stderr


def test_info_names_the_labels() -> None:
    done = run("paper", "info")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-3:] == ["labels:", "  x", "  y"]

import functools
import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import mock_host
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegen.flow import Flow
from edgegen.pcap_writer import write_pcap
from edgegen.runtime.request import Request
from edgegen.writers import json_line


def run(name: str, *arguments: str, sanitize: str = mock_host.MEMORY) -> subprocess.CompletedProcess[bytes]:
    command = [mock_host.build(name, False, sanitize), *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


@functools.cache
def flows_of(name: str, request: Request) -> list[Flow]:
    """What the numpy loop and the Python codec make of a request."""
    codec = mock_host.CODECS[name]
    sequences = mock_host.sequences(codec, 16, request)
    rows = zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True)
    return [codec.decode(tokens, places) for tokens, places in rows]


def expected(name: str, request: Request) -> bytes:
    return "".join(map(json_line, flows_of(name, request))).encode()


@pytest.mark.parametrize("name", mock_host.CODECS)
@pytest.mark.parametrize("batch", ["1", "3", "8", "100"])
def test_the_same_bytes_as_python(name: str, batch: str) -> None:
    done = run(name, "generate", "-n", "90", "--seed", "7", "--first=5", "--batch", batch)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected(name, Request(90, 7, 5))


@pytest.mark.parametrize("sanitize", [mock_host.MEMORY, mock_host.THREADS])
@pytest.mark.parametrize("threads", ["2", "5"])
def test_the_same_bytes_from_threads(sanitize: str, threads: str) -> None:
    done = run("times", "generate", "-n", "1200", "--threads", threads, "--batch", "4", sanitize=sanitize)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected("times", Request(1200))


def test_many_flows_to_a_file_and_labels_in_turn(tmp_path: Path) -> None:
    out = tmp_path / "flows.jsonl"
    done = run("small", "generate", "-n", "2500", "-o", str(out), "--temperature", "0.7", "--min-packets=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert out.read_bytes() == expected("small", Request(2500, temperature=0.7, min_packets=2))
    done = run("times", "generate", "-n", "5", "--label", "https", "--label=dns", "--first", "1")
    assert done.stdout == expected("times", Request(5, first=1, labels=(2, 0)))
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", mock_host.CODECS)
def test_a_pcap_has_the_bytes_of_python(tmp_path: Path, name: str) -> None:
    out = tmp_path / "flows.pcap"
    done = run(name, "generate", "-n", "2300", "--seed", "5", "--first", "11", "-o", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    reference = io.BytesIO()
    assert write_pcap(iter(flows_of(name, Request(2300, 5, 11))), reference) == 2300
    assert out.read_bytes() == reference.getvalue()


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
        (["generate", "-n", "5", "--temperature", "0x1"], "neither 0 nor"),
        (["generate", "-n5x"], "-n 5x is not a whole number"),
        (["generate", "-n", "5", "-o", ".pcap"], "writes .jsonl and .pcap"),
        (["generate", "-n", "5", "-o", "none/.jsonl"], "writes .jsonl and .pcap"),
        (["generate", "-n", "5", "--label", "nope"], "it knows: x"),
        (["generate", "-n", "5", "-o", "flows.parquet"], "writes .jsonl and .pcap"),
        (["generate", "-n", "5", "--threads", "0"], "--threads 0 is not"),
        (["generate", "-n", "5", "--min-packets", "4"], "--min-packets 4 is not a whole number in 1..3"),
        (["generate", "-n", "5", "--seconds", "4"], "--seconds is not a flag of generate"),
        (["pipe", "--seed", "4"], "--seed is not a flag of pipe"),
        (["pipe", "--most-flows", "0"], "--most-flows 0 is not"),
        (["generate", "--most-flows", "5"], "--most-flows is not a flag of generate"),
        (["bench", "-n", "5"], "-n is not a flag of bench"),
        (["bench", "--seconds", "0"], "--seconds 0 is not"),
        (["generate", "-n", "5", "--engine", "onnxruntime"], "engine native only"),
        (["generate", "lab.edgegen", "-n", "5"], "lab.edgegen is not a flag"),
        (["verify", "lab.edgegen"], "its own bundle"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = run("small", *arguments, sanitize="")
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
            command = [mock_host.build("small", False, mock_host.MEMORY), "generate", "-n", "5"]
            stopped = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert stopped.returncode == 1
        assert b"No space left" in stopped.stderr


@pytest.mark.parametrize("arguments", ["info", "verify", "--help", "bench --seconds 1", "generate -n 5"])
@pytest.mark.parametrize("stream", [">/dev/full", ">&-"])
def test_standard_output_that_takes_nothing_is_one_sentence(arguments: str, stream: str) -> None:
    reason = "No space left on device" if "full" in stream else "Bad file descriptor"
    command = f"exec {mock_host.build('small', False)} {arguments} {stream}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, b"")
    sentence = f"edgegen: cannot write standard output: {reason}; choose another place or make room\n"
    assert done.stderr.decode() == sentence


def test_flags_are_taken_as_python_takes_them(tmp_path: Path) -> None:
    command = [str(mock_host.build("small", False, mock_host.MEMORY)), "generate", "-n5", "-oflows.JSONL"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "flows.JSONL").read_bytes() == expected("small", Request(5))


def test_a_file_of_a_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    """As in another container that has the same folder, or of one that was killed: it had the same number, too."""
    executable = mock_host.build("small", False, mock_host.MEMORY)
    taken = 'for i in "" -0 -1; do echo other > f.jsonl.$$$i.tmp; done'
    command = f"{taken}; exec {executable} generate -n 5 -o f.jsonl"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "f.jsonl").read_bytes() == expected("small", Request(5))
    assert [path.read_text() for path in tmp_path.glob("f.jsonl.*")] == ["other\n"] * 3


def test_an_output_that_does_not_wait_loses_nothing() -> None:
    """As a pipe of a program that reads without waiting, whose own end the other shares."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    command = [mock_host.build("small", False), "generate", "-n", "20000"]
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as process, open(read, "rb") as file:
        os.close(write)
        # The pipe is full long before the end.
        time.sleep(0.2)
        assert file.read() == expected("small", Request(20_000))
        assert process.wait(60) == 0


def test_a_reader_that_goes_ends_it_silently() -> None:
    command = [mock_host.build("small", False), "generate", "-n", "100000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"]}\n")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, number: int, threads: str) -> None:
    out = str(tmp_path / "flows.jsonl")
    command = [mock_host.build("small", False), "generate", "-n", "100000000", "-o", out, "--threads", threads]
    # Under nohup the tests themselves ignore a hangup, and a child inherits that.
    heed = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 30
        while not os.listdir(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.listdir(tmp_path)
        # As timeout(1) does: to the process, and once more to its group.
        process.send_signal(number)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert process.stderr.read() == f"edgegen: interrupted by signal {number}: {out} was not written\n".encode()
    assert os.listdir(tmp_path) == []


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    command = [mock_host.build("small", False), "generate", "-n", "100000"]
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=ignore) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert (first + process.stdout.read()).count(b"\n") == 100_000
        assert process.wait(30) == 0


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_stream_that_is_interrupted_ends_with_a_whole_record(threads: str) -> None:
    """The reader is slow, so that the signal comes while a write waits for it."""
    command = [mock_host.build("times", False), "generate", "-n", "100000000", "--threads", threads]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read = process.stdout.read(1000)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        while more := process.stdout.read(10_000):
            read += more
            time.sleep(0.001)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert process.stderr.read() == b"edgegen: interrupted by signal 15: the flows written are whole\n"
    count = read.count(b"\n")
    assert read == expected("times", Request(count))


def test_too_little_memory_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    executable = mock_host.build("small", False)
    least = 8_000  # kilobytes in which the executable itself starts
    for arguments in (["--batch", "8", "--threads", "256"], ["-o", "flows.pcap", "--threads", "256"]):
        command = f"ulimit -v {least}; exec {executable} generate -n 10 {' '.join(arguments)}"
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, b"", [])
        assert done.stderr.startswith(b"edgegen: there is not enough memory")
        assert done.stderr.count(b"\n") == 1


def peak_kilobytes(command: list[str]) -> int:
    """From /proc: a child's ru_maxrss has in it what this process had when it was started."""
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))])
            time.sleep(0.001)
    assert process.returncode == 0
    return most


def test_memory_does_not_grow_with_the_flows() -> None:
    executable = str(mock_host.build("times", False))
    few, many = (peak_kilobytes([executable, "generate", "-n", str(count)]) for count in (2_000, 60_000))
    assert 100 < many <= few + 200
    # Memory that grows does show.
    wide = peak_kilobytes([executable, "generate", "-n", "60000", "--threads", "64"])
    assert wide > many + 200


def test_bench_measures_what_it_says() -> None:
    done = run("times", "bench", "--seconds", "1", "--batch", "4", "--threads", "2", "--min-packets", "16", sanitize="")
    assert (done.returncode, done.stderr) == (0, b"")
    result = json.loads(done.stdout)
    assert result["variant"] == "mock"
    assert result["executable_bytes"] == mock_host.build("times", False).stat().st_size
    one, many = result["one_flow"], result["throughput"]
    assert len(one["samples_us"]) == one["flows"] >= 20
    assert 0 < one["p50_us"] <= one["p95_us"] <= one["p99_us"] <= max(one["samples_us"]) + 0.1
    assert one["tokens_a_flow"] == mock_host.TIMES.steps
    assert list(result["kernels_us_a_token"]) == ["1", "4", "8"]
    for kernels in result["kernels_us_a_token"].values():
        assert list(kernels) == ["hash", "spread"]
        assert kernels["hash"] == pytest.approx(2 * kernels["spread"], abs=0.002)
    assert (many["batch"], many["threads"]) == (4, 2)
    assert many["flows_a_second"] == pytest.approx(many["flows"] / many["seconds"], rel=1e-3)
    assert many["packets_a_second"] == pytest.approx(16 * many["flows_a_second"], rel=1e-3)
    assert len(result["first_flow_ms"]) == 9
    assert min(result["first_flow_ms"]) > 0
    assert list(result["peak_memory_kb"]) == ["1", "4", "8"]
    machine = result["machine"]
    assert machine["cores"] == os.cpu_count()
    assert machine["system"].startswith(f"{os.uname().sysname} {os.uname().release}")


FLAGS = ["-n", "-o", "--label", "--seed", "--first", "--batch", "--threads", "--temperature", "--min-packets"]
FLAGS += ["--engine", "--seconds", "--most-flows", "--help"]
VALUES = ["0", "1", "3", "-1", "x", "1e9", "", "99999999999999999999", "auto", "nan", "0.5", "é", "=", "-n", "--"]
WORDS = st.one_of(
    st.sampled_from(["generate", "pipe", "bench", "verify", "info", *FLAGS, *VALUES]),
    st.builds("{}={}".format, st.sampled_from(FLAGS), st.sampled_from(VALUES)),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


@settings(max_examples=150)
@given(st.lists(WORDS, max_size=8))
def test_no_arguments_break_it(arguments: list[str]) -> None:
    if "bench" in arguments[:1] or any(text[:2] == "-o" for text in arguments):
        arguments = ["verify", *arguments]  # neither a measurement nor files of any name
    done = run("small", *arguments)
    assert done.returncode in (0, 2), done.stderr
    assert b"Sanitizer" not in done.stderr
    assert b"runtime error" not in done.stderr
    if done.returncode == 2:
        assert done.stderr.startswith(b"edgegen: ")
        assert done.stderr.endswith(b"\n")


def test_verify_knows_its_golden_flows() -> None:
    done = run("times", "verify")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"40 golden flows are the same as at the export (mock)\n"
    wrong = mock_host.build("small", False, golden="00" * 32)
    done = subprocess.run([wrong, "verify"], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"golden flows differ" in done.stderr


def test_info_names_the_labels() -> None:
    done = run("paper", "info")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-3:] == ["labels:", "  x", "  y"]

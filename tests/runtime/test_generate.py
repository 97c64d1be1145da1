import hashlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mock_host
import numpy as np
import pytest
from children import heed

from edgegen.bundle import Bundle, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime import generate
from edgegen.runtime.engine import CHUNK, StepperEngine, collect, golden_hash, open_engine, verify
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.request import Request
from edgegen.writers import json_line

NAME = "times"
CODEC = mock_host.CODECS[NAME]


def step_graph(width: int = CODEC.size) -> bytes:
    """A step graph whose logits are a table's row of the token plus its state: the number of steps so far."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, types = onnx.helper, onnx.TensorProto
    table = np.random.default_rng(0).normal(size=(width, width)).astype(np.float32)
    constants = {"table": table, "zero": np.int64(0), "axis": np.array([1], np.int64), "one": np.float32(1)}
    nodes = [
        helper.make_node("Equal", ["position", "zero"], ["starts"]),
        helper.make_node("Unsqueeze", ["starts", "axis"], ["starts_column"]),
        helper.make_node("Sub", ["one", "one"], ["nothing"]),
        helper.make_node("Where", ["starts_column", "nothing", "count"], ["before"]),
        helper.make_node("Add", ["before", "one"], ["next_count"]),
        helper.make_node("Gather", ["table", "token"], ["row"]),
        helper.make_node("Mul", ["row", "next_count"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info("token", types.INT64, ["batch"]),
        helper.make_tensor_value_info("position", types.INT64, ["batch"]),
        helper.make_tensor_value_info("count", types.FLOAT, ["batch", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", types.FLOAT, ["batch", width]),
        helper.make_tensor_value_info("next_count", types.FLOAT, ["batch", 1]),
    ]
    initializers = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "step", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return mock_host.make_bundle(tmp_path / "m.edgegen", NAME)


def test_the_executable_writes_what_python_generates(bundle: Bundle) -> None:
    arguments = [
        "generate",
        "-n",
        str(CHUNK + 9),
        "--seed",
        "3",
        "--first",
        "7",
        "--temperature",
        "0.9",
        "--min-packets",
        "2",
    ]
    done = subprocess.run([bundle.path / this_target() / "edgegen", *arguments], capture_output=True, timeout=60)
    for batch, threads in ((1, 1), (None, 1), (None, 3)):
        flows = generate(
            bundle, CHUNK + 9, seed=3, first=7, temperature=0.9, batch=batch, min_packets=2, threads=threads
        )
        assert "".join(map(json_line, flows)).encode() == done.stdout


def test_labels_take_turns_by_flow_number(bundle: Bundle) -> None:
    flows = list(generate(bundle, 4, ["https", "dns", "dns"], first=2))
    assert [flow.label for flow in flows] == ["dns", "https", "dns", "dns"]
    assert [flow.proto for flow in flows] == [17, 6, 17, 17]
    assert flows[1:] == list(generate(bundle, 3, ["https", "dns", "dns"], first=3))
    assert list(generate(bundle, 0)) == []


def test_a_reader_may_leave_early(bundle: Bundle) -> None:
    for threads in (1, 3):
        flows = generate(bundle, 10**12, threads=threads)
        first = next(flows)
        flows.close()  # type: ignore[attr-defined]
        assert [first] == list(generate(bundle, 1))


def test_flows_that_nobody_reads_to_the_end_are_no_harm_at_the_end(bundle: Bundle) -> None:
    """Python unmakes what is left when it ends, in an order of its own."""
    program = "import sys; from edgegen.runtime import generate; flows = generate(sys.argv[1], 10**9); next(flows)"
    done = subprocess.run([sys.executable, "-P", "-c", program, str(bundle.path)], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_engine_that_is_closed_under_a_stream_says_so(bundle: Bundle) -> None:
    engine = NativeEngine(bundle.library(), bundle.codec, 1)
    flows = engine.stream(Request(10**9))
    next(flows)
    engine.close()
    with pytest.raises(ValueError, match="closed while its stream was read"):
        next(flows)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": -1}, "number of flows"),
        ({"n": 2**63}, r"number of flows, 9223372036854775808, is not in 0\.\.9223372036854775807"),
        ({"seed": 2**64}, "the seed"),
        ({"first": 2**64 - 1}, "flow numbers"),
        ({"batch": 0}, "batch 0"),
        ({"engine": "tpu"}, "engine 'tpu'"),
        ({"temperature": -1.0}, "temperature"),
        ({"min_packets": 0}, "min packets"),
        ({"threads": 0}, "threads 0"),
        ({"labels": ["nope"]}, "it knows"),
    ],
)
def test_wrong_arguments_are_refused_at_once(bundle: Bundle, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        generate(bundle, **{"n": 2, **arguments})  # type: ignore[arg-type]


def test_verify_compares_with_the_export(bundle: Bundle) -> None:
    assert "40 golden flows are the same (native)" in verify(bundle)
    other = mock_host.make_bundle(bundle.path, NAME, golden="00" * 32)
    with pytest.raises(EdgegenError, match="generates other flows"):
        verify(other)


def test_a_library_that_does_not_load_is_one_sentence(bundle: Bundle) -> None:
    write_bundle(bundle.path, dict.fromkeys(bundle.files, b"\x7fELF"), bundle.manifest)
    with pytest.raises(EdgegenError, match=r"libmodel\.so does not load on this machine"):
        generate(bundle.path, 1)


def test_a_newer_bundle_at_the_same_path_is_the_one_that_runs(bundle: Bundle) -> None:
    assert list(generate(bundle, 1))
    target = bundle.manifest.targets[this_target()]
    other = {target.library: mock_host.build("small", shared=True), target.executable: b""}
    write_bundle(bundle.path, other, bundle.manifest)
    with pytest.raises(EdgegenError, match="another codec"):
        generate(bundle.path, 1)


def test_onnxruntime_runs_a_step_graph_flow_by_flow_alike(bundle: Bundle) -> None:
    from edgegen.runtime.onnxruntime import OnnxStepper

    without = replace(bundle.manifest, targets={})
    bundle = write_bundle(bundle.path, {"model.int8.onnx": step_graph()}, without)
    stepper = OnnxStepper(str(bundle.path / bundle.manifest.step_graph), 2)
    one = np.int32([5, 6])
    first = stepper.step(one, np.int32([0, 0]))
    assert np.array_equal(stepper.step(one, np.int32([1, 0])), first * np.float32([[2], [1]]))
    assert open_engine(bundle).name == "onnxruntime"
    assert list(generate(bundle, 30, seed=1, batch=1)) == list(generate(bundle, 30, seed=1, batch=7))
    with pytest.raises(EdgegenError, match="no engine for this processor"):
        generate(bundle, 1, engine="native")
    with pytest.raises(EdgegenError, match="no golden flows of engine onnxruntime"):
        verify(bundle)


@pytest.mark.parametrize("batch", [10**15, 2**62])
def test_too_wide_a_batch_for_onnxruntime_is_one_sentence(bundle: Bundle, batch: int) -> None:
    bundle = write_bundle(bundle.path, {"model.int8.onnx": step_graph()}, replace(bundle.manifest, targets={}))
    with pytest.raises(EdgegenError, match=f"not enough memory for a batch of {batch}: lower --batch"):
        generate(bundle, batch, batch=batch, engine="onnxruntime")


def test_memory_that_onnxruntime_lacks_for_a_step_is_one_sentence(bundle: Bundle) -> None:
    """The states have room, the logits have not."""
    bundle = write_bundle(bundle.path, {"model.int8.onnx": step_graph()}, replace(bundle.manifest, targets={}))
    code = """
import resource, sys
import onnxruntime
from edgegen.cli import main
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
main()
"""
    words = ["generate", bundle.path, "--engine", "onnxruntime", "-n", "20000000", "--batch", "20000000"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, timeout=60)
    sentence = b"edgegen: there is not enough memory for a batch of 20000000: lower --batch\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", sentence)


def test_golden_hashes_are_of_tokens_then_places() -> None:
    seed, first, count = mock_host.GOLDEN
    engine = StepperEngine("mock", CODEC, mock_host.MockStepper(CODEC, 4))
    sequences = collect(engine, CODEC, Request(3))
    assert sequences.bytes() == sequences.tokens.tobytes() + sequences.places.tobytes()
    assert len(sequences.bytes()) == 3 * CODEC.length * 8
    assert golden_hash(engine, CODEC, seed, first, count) == mock_host.golden_hash(CODEC)
    assert mock_host.golden_hash(CODEC) != hashlib.sha256(b"").hexdigest()


def test_the_verbs(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "flows.jsonl"

    def edgegen(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "edgegen.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, timeout=60)

    assert edgegen("generate", bundle.path, "-n", 20, "--label", "dns", "--label", "https", "-o", out).returncode == 0
    printed = edgegen("generate", bundle.path, "-n", 20, "--label", "dns", "--label", "https")
    assert printed.stdout == out.read_bytes()
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == ["dns", "https"] * 10
    done = edgegen("verify", bundle.path)
    assert (done.returncode, b"40 golden flows are the same" in done.stdout) == (0, True)
    (bundle.path / this_target() / "edgegen").write_bytes(b"changed")
    for done in (edgegen("generate", bundle.path, "-n", 1), edgegen("verify", bundle.path)):
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"has been changed" in done.stderr
        assert done.stderr.count(b"\n") == 1
    assert edgegen("generate", bundle.path, "-n", "x").returncode == 2


def test_a_reader_that_goes_ends_it_silently(bundle: Bundle) -> None:
    command = [sys.executable, "-m", "edgegen.cli", "generate", str(bundle.path), "-n", "100000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"]}\n")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["-", "flows.jsonl", "flows.pcap"])
def test_an_interrupt_leaves_whole_records_and_no_files(bundle: Bundle, tmp_path: Path, number: int, name: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = name if name == "-" else str(folder / name)
    command = [sys.executable, "-m", "edgegen.cli", "generate", str(bundle.path), "-n", "100000000", "-o", out]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, preexec_fn=heed) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = process.stdout.readline() if name == "-" else b""
        deadline = time.monotonic() + 30
        while name != "-" and not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        # Standard output is full by now, and a write waits.
        time.sleep(0.3)
        process.send_signal(number)
        printed += process.stdout.read()
        assert process.wait(30) == 128 + number
        assert process.stderr.read() == f"edgegen: interrupted by signal {number}\n".encode()
    assert list(folder.iterdir()) == []
    flows = generate(bundle, printed.count(b"\n"))
    assert printed == "".join(map(json_line, flows)).encode()

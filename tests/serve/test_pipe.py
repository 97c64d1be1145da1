"""The pipe, of the Python command and of the executable: the same bytes, and those of the server."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from children import heed
from piped import Pipe, commands, executable
from served import CODEC, Server

BOTH = pytest.mark.parametrize("side", ["python", "executable"])
NAMES = [label.name for label in CODEC.labels]
ASKED: list[dict[str, Any]] = [
    {"n": 300, "seed": 7},
    {"n": 70, "seed": 2**64 - 1, "first": 2**63, "temperature": 0},
    {"n": 40, "seed": 3.0, "label": NAMES[1], "min_packets": 16},
    {"n": 41, "seed": 4, "label": ["https", "dns", "dns"], "first": 5, "temperature": 0.7, "format": "jsonl"},
    {"n": 100, "seed": 5, "weights": {"https": 3, NAMES[1]: 4, "dns": 1}, "first": 3},
    {"n": 50, "seed": 6, "weights": {"dns": 1000, "https": 999}},
]
WRONG: list[Any] = [
    *({"n": n} for n in (0, -1, 1_000_001, 1.5, 1e300, "5", None, True, [], 10**50)),
    *({"seed": seed} for seed in (-1, 2**64, 1e20, {"n": 1})),
    *({"first": first} for first in (-1, 2**64 - 1)),
    *({"temperature": t} for t in (-1, 0.001, 100.1, "1", None, False, 10**400)),
    *({"min_packets": packets} for packets in (0, 17)),
    *({"label": label} for label in ("ftp", 'a "b"\n\u00e9\U0001f600\x00\x7f', "", 5, [], ["dns", 5], ["dns"] * 1001)),
    *({"weights": w} for w in ({}, [], None, {"dns": 0}, {"dns": 1001}, {"ftp": 1}, {"dns": 1, "ftp": 0, "https": 0})),
    {"label": "dns", "weights": {"dns": 1}},
    {"lable": "dns", "n": 0},
    {"'\\\n\u00e9": 1},
    *([], 5, "x", None),
]
NO_JSON = [
    b'{"n": NaN}',
    b'{"n": -Infinity}',
    b"{'n': 1}",
    b'{"n": 1,}',
    b'{"n": 01}',
    b'{"n": 1.}',
    b'{"n": .5}',
    b'{"n": +1}',
    b'{"n": 1e}',
    b'{"n" 1}',
    b'{"n": 1} x',
    b"{",
    b"\r",
    b"nul",
    b'{"n": 1}\x00',
    b'{"\xff": 1}',
    b'{"\xc0\x80": 1}',
    b'{"\xed\xa0\x80": 1}',
    b'{"\xf4\x90\x80\x80": 1}',
    b'{"\\ud800": 1}',
    b'{"\\udc00\\ud800": 1}',
    b'{"\\x": 1}',
    b'{"\\u00g0": 1}',
    b'{"a\tb": 1}',
    b'\xef\xbb\xbf{"n": 1}',
    '{"n": 1}'.encode("utf-16"),
    b'{"n": ' * 17 + b"1" + b"}" * 17,
    b"[" * 60_000,
]


@pytest.fixture(scope="module", params=["python", "executable"])
def pipe(request: pytest.FixtureRequest, bundle: Path) -> Iterator[Pipe]:
    """One for tests that only ask; it ends well and has had nothing else to say."""
    running = Pipe(commands(bundle)[request.param])
    yield running
    assert running.end() == (0, b"", b"")


@pytest.mark.parametrize("asked", ASKED, ids=json.dumps)
def test_the_flows_are_those_of_the_server(pipe: Pipe, server: Server, asked: dict[str, Any]) -> None:
    flows, last = pipe.ask(json.dumps(asked).encode())
    assert last == {"done": asked["n"], "seed": asked["seed"]}
    assert flows == httpx.post(f"{server.url}/v1/flows", json=asked).content
    assert flows.count(b"\n") == asked["n"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_is_wrong_is_said_in_the_words_of_the_server(pipe: Pipe, server: Server, ascii_only: bool) -> None:
    with httpx.Client() as client:
        for wrong in WRONG:
            body = json.dumps(wrong, ensure_ascii=ascii_only).encode()
            flows, last = pipe.ask(body)
            assert (flows, list(last)) == (b"", ["error"])
            answer = client.post(f"{server.url}/v1/flows", content=body)
            assert (answer.status_code, answer.json()) == (422, last)


def test_what_is_no_json_is_refused(pipe: Pipe, server: Server) -> None:
    with httpx.Client() as client:
        for body in NO_JSON:
            assert pipe.ask(body) == (b"", {"error": "the body is no JSON"}), body
            assert client.post(f"{server.url}/v1/flows", content=body).json() == {"error": "the body is no JSON"}


def test_what_a_pipe_has_no_lines_for_is_refused(pipe: Pipe) -> None:
    assert pipe.ask(b'{"format": "pcap"}') == (b"", {"error": "format must be jsonl"})


def test_a_drawn_seed_is_said(pipe: Pipe) -> None:
    """Of an empty line, too, which asks for what an empty body does."""
    flows, last = pipe.ask(b"")
    assert (flows.count(b"\n"), last["done"]) == (10, 10)
    assert 0 <= last["seed"] < 2**53
    assert pipe.ask(json.dumps({"seed": last["seed"]}).encode()) == (flows, last)
    assert pipe.ask(b"{}\r")[1]["seed"] != last["seed"]


def test_the_longest_line_is_answered_and_a_longer_one_is_skipped(pipe: Pipe) -> None:
    body = b'{"n": 1, "seed": 7}'
    flow = pipe.ask(body)
    assert pipe.ask(body.ljust(65_536)) == flow
    for length in (65_537, 65_538, 131_073, 1_000_000):
        assert pipe.ask(body.ljust(length)) == (b"", {"error": "the body is longer than 65,536 bytes"})
    assert pipe.ask(body) == flow


@BOTH
def test_the_end_of_input_ends_it(bundle: Path, side: str) -> None:
    def done(asked: bytes, *flags: str) -> tuple[int, list[bytes], bytes]:
        ran = subprocess.run([*commands(bundle)[side], *flags], input=asked, capture_output=True, timeout=60)
        return ran.returncode, ran.stdout.splitlines(), ran.stderr

    # The last line needs no end, and half a request is none.
    status, lines, said = done(b'{"n": 1, "seed": 7}\n{"n": 2, "seed": 7}')
    assert (status, len(lines), said) == (0, 5, b"")
    assert done(b'{"n": 1')[:2] == (0, [b'{"error": "the body is no JSON"}'])
    # Fewer flows than an empty request is for; and how they are made has no part in which.
    how = ("--most-flows", "5", "--batch", "3", "--threads", "2", "--engine", "auto")
    status, more, _ = done(b'{"n": 1, "seed": 7}\n\n{"n": 6}\n' + b"x" * 70_000, *how)
    assert (status, more[:2], len(more)) == (0, lines[:2], 10)
    assert more[8:] == [
        b'{"error": "n must be a whole number in 1..5"}',
        b'{"error": "the body is longer than 65,536 bytes"}',
    ]


@BOTH
def test_flows_come_before_all_are_made_and_who_goes_ends_it_silently(bundle: Path, side: str) -> None:
    running = Pipe([*commands(bundle)[side], "--most-flows", "1000000000"])
    with running.process as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b'{"n": 1000000000}\n')
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"]}\n")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


SAYS = {"python": "", "executable": ": the flows written are whole"}


@BOTH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_while_it_waits(bundle: Path, side: str, number: int) -> None:
    running = Pipe(commands(bundle)[side], preexec_fn=heed)
    running.ask(b"")
    running.process.send_signal(number)
    # Not the end of input does it.
    assert running.process.wait(60) == 128 + number
    assert running.end()[1:] == (b"", f"edgegen: interrupted by signal {number}{SAYS[side]}\n".encode())


@BOTH
def test_a_signal_while_it_answers_leaves_whole_lines_and_no_last_one(bundle: Path, side: str) -> None:
    """The reader is slow, so that the signal comes while a write waits for it."""
    running = Pipe(commands(bundle)[side])
    assert running.process.stdin
    assert running.process.stdout
    running.process.stdin.write(b'{"n": 1000000, "seed": 7}\n')
    running.process.stdin.flush()
    first = running.process.stdout.read(1000)
    os.kill(running.process.pid, signal.SIGTERM)
    status, rest, said = running.end()
    assert (status, said) == (143, f"edgegen: interrupted by signal 15{SAYS[side]}\n".encode())
    assert (first + rest).endswith(b"]}\n")
    assert b"done" not in rest


def test_memory_does_not_grow_with_flows_or_requests(bundle: Path) -> None:
    running = Pipe([str(executable(bundle)), "pipe"])

    def peak() -> int:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    widest = b'{"n": 1000, "weights": {"dns": 1000, "https": 1000}}'
    for body in (widest, b"x" * 100_000, b'{"%s": 1}' % (b"x" * 65_000)):
        running.ask(body)
    before = peak()
    for _ in range(200):
        running.ask(widest.replace(b"1000,", b"20,", 1))
    running.ask(b"x" * 10_000_000)
    running.ask(b'{"n": 30000}')
    assert 100 < before <= peak() <= before + 200
    assert running.end() == (0, b"", b"")


def test_too_little_memory_is_an_answer_and_the_pipe_goes_on(bundle: Path) -> None:
    """As much as one thread needs, and what 256 do not get."""
    command = f"ulimit -v 8000; exec {executable(bundle)} pipe --threads 256"
    running = Pipe(["sh", "-c", command])
    for _ in range(2):
        flows, last = running.ask(b"")
        assert (flows, list(last)) == (b"", ["error"])
        assert last["error"].startswith("there is not enough memory to generate")
    assert running.end() == (0, b"", b"")


@BOTH
def test_what_cannot_be_read_or_written_is_one_sentence(bundle: Path, side: str) -> None:
    for command, says in (("{} <&-", "standard input"), ("echo | {} >/dev/full", "No space left")):
        line = command.format(" ".join(commands(bundle)[side]))
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert done.stderr.startswith("edgegen: ")
        assert says in done.stderr

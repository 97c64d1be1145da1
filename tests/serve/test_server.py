"""The server as its clients and its operator see it."""

import asyncio
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import CODEC, EDGEGEN, Server, Start

from edgegen.readers import read_flows
from edgegen.serve.body import FORMATS
from edgegen.serve.server import _Ending, _Patient

FLOWS = "/v1/flows"


def generated(bundle: Path, out: Path, *flags: str) -> bytes:
    subprocess.run([*EDGEGEN, "generate", str(bundle), "--seed", "7", "-o", str(out), *flags], check=True, timeout=60)
    return out.read_bytes()


@pytest.mark.parametrize("kind", ["jsonl", "pcap"])
def test_the_flows_are_those_of_the_command_line(server: Server, bundle: Path, tmp_path: Path, kind: str) -> None:
    asked = {"n": 200, "seed": 7, "format": kind, "min_packets": 3, "temperature": 0.7, "label": ["https", "dns"]}
    answer = httpx.post(server.url + FLOWS, json=asked)
    assert (answer.status_code, answer.headers["x-edgegen-seed"]) == (200, "7")
    flags = ["-n", "200", "--min-packets", "3", "--temperature", "0.7", "--label", "https", "--label", "dns"]
    assert answer.content == generated(bundle, tmp_path / f"flows.{kind}", *flags)


def test_a_parquet_has_the_flows_of_the_command_line(server: Server, bundle: Path, tmp_path: Path) -> None:
    answer = httpx.post(server.url + FLOWS, json={"n": 600, "seed": 7, "format": "parquet"})
    assert answer.headers["content-type"] == FORMATS["parquet"]
    generated(bundle, tmp_path / "flows.parquet", "-n", "600")
    (tmp_path / "answer.parquet").write_bytes(answer.content)
    # They come in groups of other sizes.
    assert read_flows(tmp_path / "answer.parquet") == read_flows(tmp_path / "flows.parquet")
    assert len(read_flows(tmp_path / "answer.parquet")) == 600


def test_a_drawn_seed_is_said(server: Server) -> None:
    first = httpx.post(server.url + FLOWS)
    again = httpx.post(server.url + FLOWS, json={"seed": int(first.headers["x-edgegen-seed"])})
    assert first.text.count("\n") == 10
    assert again.text == first.text


def test_what_can_be_asked_for(server: Server) -> None:
    (model,) = httpx.get(server.url + "/v1/models").json()["models"]
    assert [label["name"] for label in model["labels"]] == [label.name for label in CODEC.labels]
    assert model["formats"] == ["jsonl", "pcap", "parquet"]
    paths = httpx.get(server.url + "/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            assert httpx.request(method, server.url + path).status_code == 200, path
    assert httpx.get(server.url + FLOWS).status_code == 405
    assert httpx.get(server.url + "/nothing").status_code == 404


def test_what_is_wrong_is_said_and_counted(server: Server) -> None:
    answer = httpx.post(server.url + FLOWS, json={"n": 0})
    assert (answer.status_code, answer.json()) == (422, {"error": "n must be a whole number in 1..1000000"})
    answer = httpx.post(server.url + FLOWS, content=b"x" * 70_000)
    assert (answer.status_code, answer.json()) == (413, {"error": "the body is longer than 65,536 bytes"})
    metrics = httpx.get(server.url + "/metrics").text
    assert 'edgegen_rejected_total{status="422"} 1.0' in metrics
    assert 'edgegen_rejected_total{status="413"} 1.0' in metrics
    assert "process_resident_memory_bytes" in metrics


def test_the_token_is_asked_for(start: Start, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    for running in (start("--token-file", str(secret)), start(EDGEGEN_TOKEN="s3cret")):
        assert httpx.get(running.url + "/healthz").status_code == 200
        assert httpx.get(running.url + "/readyz").status_code == 200
        for headers in ({}, {"authorization": "Bearer s3cre"}, {"authorization": "Basic s3cret"}):
            answer = httpx.get(running.url + "/v1/models", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.get(running.url + "/v1/models", headers={"authorization": "Bearer s3cret"}).status_code == 200


def test_a_token_may_be_any_bytes(start: Start) -> None:
    running = start(EDGEGEN_TOKEN=os.fsdecode(b"s\xff"))
    for token, status in ((b"s\xff", 200), (b"s", 401)):
        answer = httpx.get(running.url + "/v1/models", headers={b"authorization": b"Bearer " + token})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("flags", "status", "sentence"),
    [
        (["--host", "0.0.0.0"], 2, "0.0.0.0 can be reached from other machines: give a token"),
        (["--port", "70000"], 2, "port 70000 is outside"),
        (["--queue", "0"], 2, "queue 0 is no positive number"),
        (["--host", "192.0.2.1", "--token-file", "TOKEN"], 1, "cannot listen on 192.0.2.1 port 8080"),
        (["--host", "gw..lan", "--token-file", "TOKEN"], 1, "cannot listen on gw..lan port 8080"),
        (["--token-file", "nothing"], 1, "cannot read the token in nothing (No such file or directory): check"),
    ],
)
def test_wrong_usage_is_one_sentence(
    bundle: Path, tmp_path: Path, flags: list[str], status: int, sentence: str
) -> None:
    (tmp_path / "TOKEN").write_text("x")
    command = [*EDGEGEN, "serve", str(bundle), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


class SlowReader:
    """Asks for more than the sockets hold, and reads nothing."""

    def __init__(self, port: int, flows: int = 400_000, version: str = "1.1") -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        body = json.dumps({"n": flows, "seed": 1}).encode()
        head = f"POST /v1/flows HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        assert self.socket.recv(12) == b"HTTP/1.1 200"

    def rest(self) -> int:
        """Bytes until the connection ends."""
        count = 0
        with self.socket:
            while part := self.socket.recv(1 << 20):
                count += len(part)
        return count


def test_a_slow_reader_holds_no_worker_and_a_full_server_says_so(start: Start) -> None:
    running = start("--workers", "1", "--queue", "2")
    slow = SlowReader(running.port)
    time.sleep(0.5)
    for seed in range(5):
        assert httpx.post(running.url + FLOWS, json={"seed": seed}).status_code == 200
    other = SlowReader(running.port)
    answer = httpx.post(running.url + FLOWS)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    slow.socket.close()
    other.socket.close()
    deadline = time.monotonic() + 20
    while httpx.post(running.url + FLOWS).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_that_takes_too_long_is_cut_off_and_not_taken_for_whole(start: Start, version: str) -> None:
    running = start("--seconds", "1")
    slow = SlowReader(running.port, version=version)
    time.sleep(2)
    # To HTTP/1.0 the end of a connection is the end of what is sent, so this is none.
    with pytest.raises(ConnectionResetError):
        slow.rest()
    assert 'edgegen_requests_total{end="late"} 1.0' in httpx.get(running.url + "/metrics").text
    assert httpx.post(running.url + FLOWS).status_code == 200


def test_whoever_reads_nothing_keeps_no_socket(start: Start) -> None:
    running = start("--seconds", "2")
    sockets = Path(f"/proc/{running.process.pid}/fd")

    def number() -> int:
        return sum(os.readlink(link).startswith("socket:") for link in sockets.iterdir() if link.is_symlink())

    # Its own are there once it has answered.
    assert httpx.get(running.url + "/metrics").status_code == 200
    time.sleep(0.5)
    before = number()
    slow = SlowReader(running.port)
    assert number() > before
    deadline = time.monotonic() + 20
    while number() > before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    slow.socket.close()


class _Transport:
    """What is asked of a transport while a client has `left` bytes to read."""

    def __init__(self, left: int) -> None:
        self.left, self.did = left, []  # type: tuple[int, list[str]]

    def close(self) -> None:
        self.did.append("close")

    def abort(self) -> None:
        self.did.append("abort")

    def is_closing(self) -> bool:
        return bool(self.did)

    def get_write_buffer_size(self) -> int:
        return self.left

    def get_extra_info(self, name: str) -> None:
        return None


@pytest.mark.parametrize(("left", "did"), [(5, ["close", "abort"]), (0, ["close"])])
def test_what_is_not_read_of_a_whole_answer_is_waited_for_no_longer(left: int, did: list[str]) -> None:
    async def run() -> list[str]:
        protocol: Any = _Patient.__new__(_Patient)
        protocol.loop, protocol.seconds, protocol.cycle = asyncio.get_running_loop(), 0.05, None
        transport: Any = _Transport(left)
        _Ending(transport, protocol).close()
        await asyncio.sleep(0.2)
        return transport.did

    assert asyncio.run(run()) == did


def test_who_reads_the_rest_in_time_is_left_alone() -> None:
    async def run() -> list[str]:
        protocol: Any = _Patient.__new__(_Patient)
        protocol.loop, protocol.seconds, protocol.cycle = asyncio.get_running_loop(), 0.05, None
        transport: Any = _Transport(5)
        _Ending(transport, protocol).close()
        protocol._forget()  # as connection_lost does
        await asyncio.sleep(0.2)
        return transport.did

    assert asyncio.run(run()) == ["close"]


def test_a_request_whose_time_is_over_before_its_first_flow_is_told_so(start: Start) -> None:
    running = start("--seconds", "0.0001")
    answer = httpx.post(running.url + FLOWS, json={"n": 100_000})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "no flow was made within 0.0001 seconds"}


HALF_REQUESTS = [
    b"",
    b"POST /v1/flows HT",
    b"POST /v1/flows HTTP/1.1\r\nHost: x\r\nContent-Le",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/flows HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    b"POST /v1/flows HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/flows HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
]


def test_half_a_request_is_not_waited_for(start: Start) -> None:
    running = start("--patience", "1")
    clients = [socket.create_connection(("127.0.0.1", running.port), timeout=20) for _ in HALF_REQUESTS]
    for client, said in zip(clients, HALF_REQUESTS, strict=True):
        client.sendall(said)
    assert httpx.post(running.url + FLOWS).status_code == 200
    for client, said in zip(clients, HALF_REQUESTS, strict=True):
        with client:
            try:
                while client.recv(65_536):
                    pass
            except TimeoutError:
                pytest.fail(f"the server still waits for the rest of {said!r}")
    assert httpx.post(running.url + FLOWS).status_code == 200


def test_a_request_byte_by_byte_ends_in_time(start: Start) -> None:
    running = start("--patience", "1")
    started = time.monotonic()
    said = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x-" + b"y" * 200
    with socket.create_connection(("127.0.0.1", running.port), timeout=0.1) as client:
        for i in range(len(said)):
            try:
                client.sendall(said[i : i + 1])
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert time.monotonic() < started + 10


def test_what_is_under_way_is_finished_after_sigterm(start: Start) -> None:
    running = start()
    answers: list[int] = []
    all_accepted = threading.Barrier(5)

    def ask() -> None:
        with httpx.stream("POST", running.url + FLOWS, json={"n": 20_000, "seed": 7}, timeout=60) as answer:
            all_accepted.wait(60)
            answers.append(sum(part.count(b"\n") for part in answer.iter_raw()))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    all_accepted.wait(60)
    status, said = running.stop()
    for client in clients:
        client.join()
    assert answers == [20_000] * 4
    assert (status, said) == (0, "")

"""The examples of a pipe behind a socket and behind a web server, with the real programs."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from piped import Flows, executable, read_answer, reference

from edgegen.runtime.request import Request

EXAMPLES = Path(__file__).parents[2] / "examples"


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is missing")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def started(command: list[str], **how: object) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, **how) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def flows_of() -> Flows:
    return reference()


def test_a_connection_is_a_pipe(bundle: Path, flows_of: Flows) -> None:
    port = free_port()
    activate = [program("systemd-socket-activate"), "-l", f"127.0.0.1:{port}", "--inetd", "-a"]
    with started([*activate, str(executable(bundle)), "pipe"]) as process:
        assert process.stderr
        assert b"Listening on" in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one, one.makefile("rb") as lines:
            one.sendall(b'{"n": 3, "seed": 7}\n')
            assert read_answer(lines) == (flows_of(Request(3), 7), {"done": 3, "seed": 7})
            # Another one, at the same time, which goes in the middle of its answer.
            with socket.create_connection(("127.0.0.1", port), timeout=30) as other:
                other.sendall(b'{"n": 1000000}\n')
                assert other.recv(10)
            one.sendall(b'{"n": 0}\n{"n": 1, "seed": 7}')
            assert read_answer(lines)[1] == {"error": "n must be a whole number in 1..1000000"}
            one.shutdown(socket.SHUT_WR)
            assert read_answer(lines)[0] == flows_of(Request(1), 7)
            assert lines.read() == b""
        ends = set()
        while len(ends) < 2:
            if found := re.search(rb"Child \d+ died with code (\d+)", process.stderr.readline()):
                ends.add(int(found[1]))
        assert ends == {0, 141}


def test_systemd_has_nothing_to_say_about_the_units(bundle: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    units = []
    for name in ("edgegen.socket", "edgegen@.service"):
        text = (EXAMPLES / name).read_text().replace("/usr/local/bin/edgegen", str(executable(bundle)))
        units.append(tmp_path / name)
        units[-1].write_text(text)
    done = subprocess.run([analyze, "verify", *map(str, units)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def web(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., httpx.Response]]:
    """Posts to busybox httpd, which has the example, and `edgegen` on its path."""
    folder, commands, port = tmp_path / "cgi-bin", tmp_path / "bin", free_port()
    folder.mkdir()
    commands.mkdir()
    shutil.copy(EXAMPLES / "flows.cgi", folder / "flows")
    (commands / "edgegen").symlink_to(executable(bundle))
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    command = [program("busybox"), "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(tmp_path)]

    def post(body: bytes) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{port}/cgi-bin/flows", content=body, timeout=30)

    with started(command):
        deadline = time.monotonic() + 30
        while not listens(port):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield post


def test_a_web_server_answers_with_flows(web: Callable[..., httpx.Response], flows_of: Flows) -> None:
    # A body of several lines is one request.
    answer = web(b'{"n": 900,\r\n "seed": 7}\n')
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.content == flows_of(Request(900), 7) + b'{"done": 900, "seed": 7}\n'
    assert web(b"").text.count("\n") == 11
    for body, sentence in (
        (b'{"n": 100001}', "n must be a whole number in 1..100000"),
        (b"x" * 70_000, "the body is longer than 65,536 bytes"),
    ):
        answer = web(body)
        assert (answer.status_code, answer.json()) == (422, {"error": sentence})


def test_a_web_server_without_an_executable_says_so(web: Callable[..., httpx.Response], tmp_path: Path) -> None:
    (tmp_path / "bin" / "edgegen").unlink()
    assert web(b"{}").status_code == 500

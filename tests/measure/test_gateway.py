"""Over a real ssh, to a server of our own on the loopback interface."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.measure import Workload, measure
from edgegen.measure.gateway import _command

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PermitRootLogin yes
SetEnv TMPDIR={folder}/tmp
"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with keys of its own, and an ssh that knows them and nothing of this user's configuration."""
    if SSHD is None or shutil.which("ssh") is None or os.geteuid() != 0:
        pytest.skip("sshd is missing, or not to be started by this user (Debian package openssh-server, as root)")
    (tmp_path / "tmp").mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(CONFIGURATION.format(port=port, folder=tmp_path))
    host = (tmp_path / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {' '.join(host)}\n")
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    options = f"-F /dev/null -i {tmp_path}/user -o UserKnownHostsFile={tmp_path}/known -o StrictHostKeyChecking=yes"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def test_a_gateway_measures_and_keeps_nothing(bundle: Bundle, address: str, tmp_path: Path) -> None:
    result = measure(bundle, address, Workload(seconds=1, labels=("dns",)))
    assert result["variant"] == "mock"
    assert result["on"] == address
    assert len(result["one_flow"]["samples_us"]) >= 20
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_failure_on_the_gateway_is_one_sentence_and_keeps_nothing(
    bundle: Bundle, address: str, tmp_path: Path
) -> None:
    with pytest.raises(EdgegenError, match=r"the executable on .*: label 'a \$\(b\)' is unknown"):
        measure(bundle, address, Workload(labels=("a $(b)",)))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("ssh://root@MyGw", ["root@MyGw"]),
        ("ssh://:word@MyGw", ["--", "MyGw"]),
        ("ssh://MyGw:22", ["-p", "22", "--", "MyGw"]),
        ("ssh://a%40b@[FE80::1]:7", ["-p", "7", "--", "a@b@FE80::1"]),
    ],
)
def test_a_host_is_called_as_it_was_written(address: str, host: list[str]) -> None:
    assert _command(address)[-len(host) :] == host


def test_a_gateway_that_does_not_answer_is_one_sentence(bundle: Bundle, address: str) -> None:
    with pytest.raises(EdgegenError, match=r"cannot be reached over ssh: .*refused"):
        measure(bundle, "ssh://127.0.0.1:1")

"""A server does not start on a bundle whose signature is missing or wrong, where one is required."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from served import EDGEGEN, Server

from edgegen.bundle import Bundle
from edgegen.trust import make_keys, sign, signer


@pytest.fixture
def folder(bundle: Path, tmp_path: Path) -> Path:
    """An unsigned bundle, a signed one, its key pair, and another one."""
    private, _ = make_keys(tmp_path / "lab")
    make_keys(tmp_path / "other")
    for name in ("plain", "signed"):
        shutil.copytree(bundle, tmp_path / name)
    sign(Bundle.open(tmp_path / "signed"), signer(private))
    return tmp_path


def test_a_signed_bundle_is_served(folder: Path) -> None:
    key = str(folder / "lab.pub")
    for server in (
        Server(folder / "signed", "--require-signature", key),
        Server(folder / "signed", EDGEGEN_REQUIRE_SIGNATURE=key),
    ):
        assert httpx.get(server.url + "/readyz").status_code == 200
        assert server.stop() == (0, "")


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("plain", "lab.pub", "plain is not signed"),
        ("signed", "other.pub", "manifest.sig is no signature of its manifest.json with other.pub"),
        ("signed", "lab.key", "lab.key holds a private key"),
    ],
)
@pytest.mark.parametrize("by_flag", [True, False])
def test_another_is_not(folder: Path, name: str, key: str, says: str, by_flag: bool) -> None:
    flags = ["--require-signature", key] if by_flag else []
    environment = {} if by_flag else {"EDGEGEN_REQUIRE_SIGNATURE": key}
    command = [*EDGEGEN, "serve", name, "--port", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert says in done.stderr


def test_a_flipped_byte_is_not_served(folder: Path) -> None:
    for name in ("manifest.sig", "libmodel.so"):
        (file,) = (folder / "signed").rglob(name)
        whole = file.read_bytes()
        file.write_bytes(whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:])
        command = [*EDGEGEN, "serve", "signed", "--port", "0", "--require-signature", "lab.pub"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert str(file.relative_to(folder)) in done.stderr
        file.write_bytes(whole)

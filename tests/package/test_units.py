"""The units of a package, judged by systemd's own tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaged import Make, read

from edgegen.package import package

SERVICE, SOCKET = "edgegen-x@.service", "edgegen-x.socket"
UNITS = "usr/lib/systemd/system"
SYSTEM = Path("/") / UNITS


@pytest.fixture
def root(make: Make, tmp_path: Path) -> Path:
    """A root folder with the package of this machine unpacked, and the units that every system has."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing (Debian package systemd)")
    (path,) = package(make("x.edgegen", ("x86_64",)), tmp_path)
    root = tmp_path / "root"
    shutil.copytree(SYSTEM, root / UNITS, symlinks=True)
    for name, entry in read(path.read_bytes())[1].items():
        file = root / name
        if not name.endswith("/"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(entry.data)
            file.chmod(entry.mode)
    return root


def verify(root: Path) -> subprocess.CompletedProcess[str]:
    """The manual page is on no MANPATH; lintian and man look at it elsewhere."""
    units = [SOCKET, SERVICE.replace("@", "@1")]
    command = ["systemd-analyze", f"--root={root}", "verify", "--man=no", *units]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_accepts_the_units(root: Path) -> None:
    done = verify(root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_have_said_so(root: Path) -> None:
    (root / "usr/bin/edgegen-x").unlink()
    with (root / UNITS / SOCKET).open("a") as unit:
        unit.write("[Socket]\nNoSuchSetting=yes\n")
    done = verify(root)
    assert done.returncode
    assert "is not executable" in done.stderr
    assert "NoSuchSetting" in done.stderr


def test_the_service_is_hardly_exposed(root: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(root / UNITS / SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+) ", done.stdout)
    assert float(exposure) < 1


def test_a_service_has_what_the_socket_hands_over_and_no_more_than_its_share(root: Path) -> None:
    text = (root / UNITS / SERVICE).read_text()
    for setting in ("StandardInput=socket", "StandardOutput=socket", "MemoryMax=", "CPUWeight=", "TasksMax="):
        assert f"\n{setting}" in text
    # A template without an [Install] section cannot be enabled by mistake.
    assert "[Install]" not in text

"""Packages of a real bundle: what Debian's own tools make of them, and their ARM executables run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegen.bundle import Bundle, this_target
from edgegen.package import package

pytestmark = pytest.mark.timeout(900)  # the first link for a target builds its C library

Forms = Callable[[str, str], Path]
GENERATE = ["generate", "-n", "50", "--seed", "7"]
EMULATORS = {"arm64": ["qemu-aarch64-static", "-cpu", "cortex-a53"], "armhf": ["qemu-arm-static", "-cpu", "cortex-a7"]}


@pytest.fixture(scope="module")
def bundle(bundles: Forms) -> Bundle:
    return Bundle.open(bundles("llama", "tiny"))


@pytest.fixture(scope="module")
def packages(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """architecture -> package"""
    made = package(bundle, tmp_path_factory.mktemp("packages"))
    return {path.stem.rpartition("_")[2]: path for path in made}


def needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing")


def test_lintian_finds_nothing(packages: dict[str, Path]) -> None:
    needs("lintian")
    command = ["lintian", "--fail-on", "error,warning", "--allow-root", *map(str, packages.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


@pytest.mark.parametrize("architecture", EMULATORS)
def test_an_arm_package_installs_runs_and_goes(
    bundle: Bundle, packages: dict[str, Path], tmp_path: Path, architecture: str
) -> None:
    needs("dpkg", "deb-systemd-helper", EMULATORS[architecture][0])
    if os.geteuid() != 0:
        pytest.skip("dpkg installs for root only")
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    # The package's scripts run on this machine, for that root. bench/deb_root.py has a whole system of that processor.
    dpkg = ["dpkg", f"--root={root}", "--force-architecture", "--force-script-chrootless", "--log=/dev/null"]
    installed = subprocess.run(
        [*dpkg, "--install", packages[architecture]], capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr
    assert subprocess.run([*dpkg, "--verify"], capture_output=True, text=True, check=True).stdout == ""
    assert list(root.glob("etc/systemd/**/*")) == []
    executable = root / "usr/bin/edgegen-llama-tiny"
    emulated = [*EMULATORS[architecture], str(executable)]
    verified = subprocess.run([*emulated, "verify"], capture_output=True, text=True, check=True)
    assert verified.stdout.startswith("64 golden flows are the same")
    made = subprocess.run([*emulated, *GENERATE], capture_output=True, check=True).stdout
    here = bundle.executable(this_target())
    assert made == subprocess.run([here, *GENERATE], capture_output=True, check=True).stdout
    subprocess.run([*dpkg, "--purge", "edgegen-llama-tiny"], capture_output=True, check=True)
    assert list(root.glob("**/*edgegen*")) == []

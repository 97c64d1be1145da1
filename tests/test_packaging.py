"""What gets into a wheel: every package, and the files beside the code that the code reads."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
# folder at the root -> package
FOLDERS = SETUPTOOLS["package-dir"]


def packages() -> dict[str, Path]:
    """Every package of the tree, with the folder it stands in."""
    found = {}
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            found[".".join((package, *inner))] = init.parent
    return found


def files() -> set[str]:
    """What a wheel must hold: all there is in the packages' folders, as names in the wheel."""
    return {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder)}"
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel, built from a copy because setuptools leaves its work beside the source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in FOLDERS.values():
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_every_package_is_listed() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages())


def test_every_module_is_in_a_package() -> None:
    known = set(packages().values())
    stray = [path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py") if path.parent not in known]
    assert stray == []


def test_a_wheel_holds_every_file_of_the_packages(wheel: set[str]) -> None:
    assert {name for name in wheel if ".dist-info/" not in name} == files()


@pytest.mark.parametrize(
    "name",
    [
        "edgegen/py.typed",
        "edgegen/datasets/edgelab.md",
        "edgegen/datasets/edgelab.parquet",
        "edgegen/datasets/llama-base/config.json",
        "edgegen/datasets/llama-base/model.safetensors",
        "edgegen/export/device/stream.c",
        "edgegen/export/device/stream.h",
        "edgegen/kernels/scan.c",
        "edgegen/measure/count.c",
    ],
)
def test_what_the_code_reads_is_in_a_wheel(wheel: set[str], name: str) -> None:
    assert name in wheel


def test_a_wheel_has_the_licence_and_the_command(wheel: set[str]) -> None:
    information = {name.partition(".dist-info/")[2] for name in wheel}
    assert {"licenses/LICENSE", "entry_points.txt"} <= information

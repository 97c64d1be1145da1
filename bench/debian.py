"""What deb_root.py and deb_boot.py share: a package, a Debian to install it on, and commands there."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.text import Text

import machine
from edgegen.bundle import Bundle
from edgegen.package import package
from publish import publish

SUITE = "bookworm"
FLOWS, SEED = 200, 7
GENERATE = ["generate", "-n", str(FLOWS), "--seed", str(SEED)]


def parse(about: str, *tools: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--suite", default=SUITE, help="a release of Debian")
    parser.add_argument("--root", type=Path, help="a folder for the system, which is kept, and used where it is there")
    parser.add_argument("-o", dest="out", type=Path)
    missing = [tool for tool in ("mmdebstrap", *tools) if shutil.which(tool) is None]
    options = parser.parse_args()
    if missing or os.geteuid() != 0:
        raise SystemExit(f"this needs root and these tools: {', '.join(missing) or 'all there'}")
    return options


def packaged(bundle: Path, target: str, folder: Path) -> Path:
    (path,) = package(Bundle.open(bundle), folder, [target])
    return path


def new_root(root: Path, suite: str, architecture: str, include: list[str], inside: list[str]) -> dict[str, Any]:
    """A Debian of essential packages and `include`, made by `inside`: the prefix of a command in some namespace."""
    if root.exists():
        return facts_of(root, suite, architecture)
    print(f"{suite} for {architecture}: some minutes", file=sys.stderr)
    # Nobody loses anything with this root, so nothing waits for the disk.
    options = ["--mode=root", "--variant=essential", "--dpkgopt=force-unsafe-io", f"--architectures={architecture}"]
    options += [f"--include={','.join(include)}"] if include else []
    start = time.monotonic()
    done = subprocess.run([*inside, "mmdebstrap", *options, suite, root], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mmdebstrap failed: {done.stderr[-1000:]}")
    return facts_of(root, suite, architecture) | {"seconds": round(time.monotonic() - start)}


def facts_of(root: Path, suite: str, architecture: str) -> dict[str, Any]:
    installed = (root / "var/lib/dpkg/status").read_text().count("\nStatus: install ok installed")
    return {"suite": suite, "architecture": architecture, "packages": installed}


class Steps:
    """Commands one after the other, each with what it said; one that ends as it must not ends the run."""

    def __init__(self, inside: list[str]) -> None:
        self.inside = inside
        self.done: list[dict[str, Any]] = []

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run([*self.inside, *command], capture_output=True, text=True, check=False)
        said = done.stdout if len(done.stdout) < 1000 else f"{len(done.stdout):,} characters\n"
        step = {"command": " ".join(command), "status": done.returncode, "said": (said + done.stderr).splitlines()}
        self.done.append(step)
        if done.returncode != status:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


def left(root: Path) -> list[str]:
    """Files of the package that are still there; the package itself was copied to /srv."""
    found = (path.relative_to(root) for folder in ("etc", "usr", "var") for path in (root / folder).rglob("*edgegen*"))
    return sorted(map(str, found))


def write(result: dict[str, Any], out: Path | None) -> None:
    """A file of it with `-o`, then the steps and one line of JSON."""
    result = {"machine": machine.facts(), **result}
    lines: list[str] = []
    for step in result["steps"]:
        lines += [f"{step['status']}  {step['command']}", *(f"      {line}" for line in step["said"])]
    publish(result, out, Text("\n".join(lines)))

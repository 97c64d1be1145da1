"""How many instructions a token takes on a processor that is not here: under QEMU, counted by a plugin.

Emulated time says nothing; instructions are the same on every run and every machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgegen.bundle import Bundle
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.measure.local import USAGE

if TYPE_CHECKING:
    from edgegen.measure import Workload

# The processors that an emulator is pinned to: its default has instructions that no gateway has.
CPUS = {
    "aarch64": ("cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1"),
    "armv7": ("cortex-a7", "cortex-a15"),
}
EMULATORS = {"aarch64": "qemu-aarch64", "armv7": "qemu-arm"}
PLUGIN = Path(__file__).with_name("count.c")


def bench(bundle: Bundle, cpu: str, workload: "Workload") -> dict[str, Any]:
    """Instructions a token, one flow at a time and at the widest batch."""
    target = next((target for target, cpus in CPUS.items() if cpu in cpus), None)
    if target is None:
        known = ", ".join(cpu for cpus in CPUS.values() for cpu in cpus)
        raise UsageError(f"--on qemu:{cpu} is no processor that instructions are counted for; those are: {known}")
    if workload.threads > 1:
        raise UsageError("--threads is for measuring time: instructions are counted on one")
    program = bundle.executable(target)
    widths = bundle.manifest.targets[target].widths
    if workload.batch:
        # What runs: the smallest of them that holds the batch.
        widths = (next((width for width in widths if width >= workload.batch), widths[-1]),)
    with tempfile.TemporaryDirectory(prefix="edgegen-count-") as folder:
        count = Counting(EMULATORS[target], cpu, bundle.codec, Path(folder))
        controls = replace(workload, batch=None).flags()
        instructions = {str(width): sum(count.a_token(program, width, controls).values()) for width in widths}
        (variant,) = re.findall(r"^kernels: (\S+)", count.run(program, ["info"])[0], re.MULTILINE)
    return {
        "variant": variant,
        "executable_bytes": program.stat().st_size,
        "cpu": cpu,
        "emulator": count.version,
        "instructions_a_token": instructions,
    }


class Counting:
    """An emulator pinned to a processor, and the plugin that counts for it."""

    def __init__(self, emulator: str, cpu: str, codec: Codec, folder: Path) -> None:
        if shutil.which(emulator) is None:
            raise EdgegenError(f"{emulator} is missing: install it (Debian package qemu-user)")
        said = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=False).stdout
        self.version = said.partition("\n")[0]
        self._codec = codec
        self._counts = folder / "counts"
        self._command = [emulator, "-cpu", cpu, "-plugin", str(_build(folder, self.version))]

    def a_token(self, program: Path, width: int, flags: list[str]) -> dict[str, float]:
        """Instructions a token at a batch width, sampling and output included, by function, the most first.

        A program that has lost its names has one function, "?". What starting takes, and rows that idle at the end, is
        left out: it is in a long run as in a short one, whose difference this is.
        """
        (less, less_tokens), (more, more_tokens) = (
            self._generate(program, flows, width, flags) for flows in (2 + 2 * width, 10 + 6 * width)
        )
        tokens = more_tokens - less_tokens
        return {name: (count - less[name]) / tokens for name, count in more.most_common() if count > less[name]}

    def run(self, program: Path, arguments: list[str]) -> tuple[str, Counter[str]]:
        """What the program prints, and its instructions by function."""
        environment = os.environ | {"EDGEGEN_COUNTS": str(self._counts)}
        command = [*self._command, str(program), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="backslashreplace", env=environment, check=False
        )
        if done.returncode or not self._counts.exists():
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            kind = UsageError if done.returncode == USAGE else EdgegenError
            why = said[-1].removeprefix("edgegen: ")
            raise kind(f"the executable could not be counted under {self.version}: {why}")
        counts: Counter[str] = Counter()
        for line in self._counts.read_text().splitlines():
            number, _, symbol = line.partition(" ")
            counts[symbol] += int(number)
        self._counts.unlink()
        return done.stdout, counts

    def _generate(self, program: Path, flows: int, width: int, flags: list[str]) -> tuple[Counter[str], int]:
        printed, counts = self.run(program, ["generate", "-n", str(flows), *flags, "--batch", str(width)])
        packets = [len(json.loads(line)["pl"]) for line in printed.splitlines()]
        return counts, sum(min(count * self._codec.tokens_per_packet + 1, self._codec.steps) for count in packets)


def _build(folder: Path, emulator: str) -> Path:
    """The plugin, compiled for this machine and the plugin interface of that emulator."""
    found = re.search(r"version (\d+)", emulator)
    version = 2 if found and int(found[1]) >= 9 else 1
    plugin = folder / "count.so"
    compiler = [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else ["cc"]
    command = [
        *compiler,
        "-shared",
        "-fPIC",
        "-O2",
        f"-DEDGEGEN_PLUGIN_VERSION={version}",
        str(PLUGIN),
        "-o",
        str(plugin),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EdgegenError("counting needs a C compiler: pip install 'edgegen[export]', or install cc") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise EdgegenError(f"the counting plugin does not compile ({said[0]}): report it with this line")
    return plugin

"""The executable where there is AVX-512 VNNI, on machines that lack it: the same flows, and instructions a flow.

    python bench/vnni.py BUNDLE [BUNDLE] -o bench/results/vnni.json

Debian's kernel boots in Bochs, which knows an Ice Lake, with the executable beside a shell, and `generate --seed 7`
runs with the kernels for VNNI and with those for AVX2. The emulated clock counts instructions, so what many flows take
more than few is the instructions of a flow. Prints the table, then one line of JSON, which it also writes with `-o`.

Needs bochs, isolinux, syslinux-common, xorriso, cpio and busybox-static, and downloads a kernel; a quarter of an hour.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

import machine
from edgegen.bundle import Bundle
from publish import publish

TARGET, VARIANTS = "x86_64", ("avx512vnni", "avx2")
SEED, FEW, MANY = 7, 8, 264
# What the kernel takes the emulated processor's counter of cycles to run at, from the processor's own word.
HERTZ = 1_497_600_000
# Bochs' Ice Lake says of its extended state what the kernel finds contradictory, unless some of it is left alone; the
# kernel would then use no AVX at all.
OPTIONS = (
    "console=ttyS0 quiet tsc=reliable lpj=1000000 nokaslr mitigations=off pti=off lsm=yama nowatchdog "
    "acpi=off noapic nolapic nosmp nopku clearcpuid=umip,fsrm,pku,ospke,xsaves,xsavec"
)
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox grep -m1 -o -E 'avx512_vnni' /proc/cpuinfo
{commands}
/bin/busybox sleep 1000
"""
COMMAND = """echo run {variant} {flows}
/bin/busybox cat /proc/uptime
EDGEGEN_KERNELS={variant} /edgegen generate -n {flows} --seed {seed} | /bin/busybox sha256sum
/bin/busybox cat /proc/uptime"""
MENU = f"default l\nprompt 0\ntimeout 1\nlabel l\n kernel vmlinuz\n append initrd=initrd.gz {OPTIONS}\n"
MACHINE = """display_library: rfb, options="timeout=0"
megs: 512
cpu: model=corei7_icelake_u, ips=100000000
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
log: bochs.log
"""
RUN = re.compile(r"run (\w+) (\d+)\s+([\d.]+) [\d.]+\s+([0-9a-f]{64}) .*?\s+([\d.]+) [\d.]+\s")
TOOLS = ("bochs", "xorriso", "cpio", "dpkg-deb", "apt-get", "busybox")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="+")
    parser.add_argument("--flows", type=int, default=MANY)
    parser.add_argument("--minutes", type=float, default=60, help="for a bundle, after which it is given up")
    parser.add_argument("-o", dest="out", type=Path)
    options = parser.parse_args()
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise SystemExit(f"missing: {', '.join(missing)}")
    result: dict[str, Any] = {"machine": machine.facts(), "emulator": "Bochs, corei7_icelake_u", "models": []}
    with tempfile.TemporaryDirectory(prefix="edgegen-vnni-") as name:
        kernel = kernel_in(Path(name))
        for path in options.bundle:
            result["models"].append(of_bundle(Bundle.open(path), kernel, Path(name), options.flows, options.minutes))
    publish(result, options.out, table_of(result))


def kernel_in(folder: Path) -> Path:
    """Debian's kernel, from its archive."""
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True
    ).stdout
    package = re.findall(r"Depends: (\S+)", shown)[0]
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder / "kernel"], check=True)
    (kernel,) = (folder / "kernel/boot").glob("vmlinuz-*")
    return kernel


def of_bundle(bundle: Bundle, kernel: Path, folder: Path, many: int, minutes: float) -> dict[str, Any]:
    executable = bundle.path / bundle.manifest.targets[TARGET].executable
    commands = [(variant, flows) for variant in VARIANTS for flows in (FEW, many)]
    work = folder / bundle.path.stem
    disc(work, kernel, executable, commands)
    said = boot(work, len(commands), minutes)
    if "avx512_vnni" not in said:
        raise SystemExit(f"the emulated processor came up without AVX-512 VNNI: {said[-500:]}")
    here = {flows: sha256_here(executable, flows) for flows in (FEW, many)}
    model = f"{bundle.manifest.kind} {bundle.manifest.model.get('size', '')}".strip()
    return {"model": model, "flows": many, "seed": SEED, "sha256_here": here[many]} | compared(said, here)


def compared(said: str, here: dict[int, str]) -> dict[str, Any]:
    """By variant: whether its flows are those of `here`, sha256 by number of flows, and the instructions of a flow."""
    found = {(variant, int(flows)): (float(a), sha, float(b)) for variant, flows, a, sha, b in RUN.findall(said)}
    few, many = here
    took = {run: (end - start) * HERTZ for run, (start, _, end) in found.items()}
    return {
        "same_flows": {v: all(found[v, n][1] == sha for n, sha in here.items()) for v in VARIANTS},
        "instructions_a_flow": {v: round((took[v, many] - took[v, few]) / (many - few)) for v in VARIANTS},
    }


def disc(work: Path, kernel: Path, executable: Path, commands: list[tuple[str, int]]) -> None:
    """A disc in `work` that boots `kernel` with nothing but the executable and a shell."""
    root, iso = work / "root", work / "iso"
    for made in (root / "bin", root / "proc", iso):
        made.mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin/busybox")
    shutil.copy(executable, root / "edgegen")
    runs = "\n".join(COMMAND.format(variant=variant, flows=flows, seed=SEED) for variant, flows in commands)
    (root / "init").write_text(INIT.format(commands=runs))
    (root / "init").chmod(0o755)
    subprocess.run("find . | cpio -o -H newc --quiet | gzip -1 > ../iso/initrd.gz", shell=True, cwd=root, check=True)
    shutil.copy(kernel, iso / "vmlinuz")
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", iso)
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", iso)
    (iso / "isolinux.cfg").write_text(MENU)
    boots = ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", "disc.iso", *boots, "iso"], cwd=work, check=True)


def boot(work: Path, runs: int, minutes: float) -> str:
    """What the disc in `work` says on its serial line until all its runs have ended."""
    (work / "bochsrc").write_text(MACHINE)
    serial = work / "serial.txt"
    environment = os.environ | {"BXSHARE": "/usr/share/bochs"}
    with (work / "bochs.out").open("wb") as out:
        # Debian's Bochs waits in a debugger; "c" lets the machine run.
        pipe = subprocess.PIPE
        with subprocess.Popen(
            ["bochs", "-q", "-f", "bochsrc"], cwd=work, env=environment, stdin=pipe, stdout=out, stderr=out
        ) as emulator:
            assert emulator.stdin
            emulator.stdin.write(b"c\n")
            emulator.stdin.flush()
            deadline = time.monotonic() + 60 * minutes
            try:
                while emulator.poll() is None and time.monotonic() < deadline:
                    time.sleep(2)
                    said = serial.read_text(errors="replace") if serial.exists() else ""
                    if len(RUN.findall(said)) == runs:
                        return said
            finally:
                emulator.kill()
    raise SystemExit(f"Bochs ended, or took longer than {minutes:g} minutes: {(work / 'bochs.out').read_text()[-500:]}")


def sha256_here(executable: Path, flows: int) -> str:
    done = subprocess.run(
        [executable, "generate", "-n", str(flows), "--seed", str(SEED)], capture_output=True, check=True
    )
    return hashlib.sha256(done.stdout).hexdigest()


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title="thousand instructions a flow, whole runs; and whether the flows are those of this machine")
    table.add_column("model")
    for variant in VARIANTS:
        table.add_column(variant, justify="right")
    for row in result["models"]:
        same = row["same_flows"]
        cells = (f"{row['instructions_a_flow'][v] / 1000:,.0f} {'same' if same[v] else 'OTHER'}" for v in VARIANTS)
        table.add_row(row["model"], *cells)
    return table


if __name__ == "__main__":
    main()

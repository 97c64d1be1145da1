"""The arm64 package on a whole arm64 Debian, emulated: installed, run, purged.

    python bench/deb_root.py BUNDLE -o bench/results/deb-root.json

The emulator is known to the kernel in a namespace of its own, so that nothing else on this machine starts to run ARM
programs. Flows there must be the bytes of the executable here. Prints what each command said, then one line of JSON.
Needs root, Linux 6.7, a network, mmdebstrap with arch-test, and qemu-user-static; five minutes or more, emulation
mostly. With `--root DIR` the system is kept there, and a second run takes two minutes.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian import GENERATE, Steps, left, new_root, packaged, parse, write
from edgegen.bundle import Bundle, this_target

CPU = "cortex-a53"
BINFMT = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
REGISTRY = "/proc/sys/fs/binfmt_misc"
# A namespace of users first: whoever started it says which users it has, then it goes on.
HOLD = "echo; read _; exec unshare --mount --pid --fork --kill-child --mount-proc sh -c 'echo; exec sleep infinity'"


def main() -> None:
    options = parse((__doc__ or "").splitlines()[0], "arch-test", "qemu-aarch64-static", "nsenter")
    with tempfile.TemporaryDirectory(prefix="edgegen-deb-") as name, emulating() as inside:
        folder, root = Path(name), options.root or Path(name) / "root"
        made = new_root(root, options.suite, "arm64", [], inside)
        deb = packaged(options.bundle, "aarch64", folder)
        command = deb.name.partition("_")[0]
        shutil.copy(deb, root / "srv")
        steps = Steps([*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin", f"QEMU_CPU={CPU}", "chroot", str(root)])
        steps.run("dpkg", "--print-architecture")
        steps.run("dpkg", "-i", f"/srv/{deb.name}")
        steps.run("dpkg", "-V", command)
        steps.run(command, "info")
        steps.run(command, "verify")
        there = steps.run(command, *GENERATE)
        enabled = [str(path.relative_to(root)) for path in (root / "etc/systemd").rglob("*edgegen*")]
        steps.run("dpkg", "-P", command)
        here = Bundle.open(options.bundle).executable(this_target())
        flows = {this_target(): subprocess.run([here, *GENERATE], capture_output=True, check=True).stdout}
        flows["arm64 package"] = there.encode()
        hashes = {who: hashlib.sha256(made).hexdigest() for who, made in flows.items()}
        said = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True).stdout
        result = {"package": deb.name, "bytes": deb.stat().st_size, "emulator": said.splitlines()[0], "processor": CPU}
        result |= {"root": made, "steps": steps.done}
        result |= {"sha256": hashes, "enabled_by_installation": enabled, "left_after_purge": left(root)}
        if len(set(hashes.values())) != 1 or enabled or result["left_after_purge"]:
            raise SystemExit(f"this must not be: {result}")
        write(result, options.out)


@contextmanager
def emulating() -> Iterator[list[str]]:
    """The prefix of commands in namespaces where the kernel runs arm64 programs in the emulator."""
    holder = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin
    assert holder.stdout
    try:
        holder.stdout.readline()
        for users in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{users}").write_text("0 0 65536\n")
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.stdout.readline()
        child = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().strip()
        inside = ["nsenter", "--target", child, "--user", "--mount", "--pid", "--setuid", "0", "--setgid", "0"]
        subprocess.run([*inside, "mount", "-t", "binfmt_misc", "binfmt_misc", REGISTRY], check=True)
        subprocess.run([*inside, "sh", "-c", f"cat {BINFMT} > {REGISTRY}/register"], check=True)
        yield inside
    finally:
        holder.kill()
        holder.wait()


if __name__ == "__main__":
    main()

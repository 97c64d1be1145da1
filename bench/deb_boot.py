"""The package's units under a systemd that runs: installed and silent, enabled and asked, upgraded, purged.

    python bench/deb_boot.py BUNDLE -o bench/results/deb-boot.json

Boots a Debian of this machine's architecture in namespaces, systemd being its first process, and asks the socket over a
network of its own. What answers is the service as packaged, with all that confines it, and its answer must be the bytes
of the executable here. Memory and processor limits are not tried, where the kernel does not give their controllers to a
namespace. Prints what each command said, then one line of JSON.
Needs root, a network, mmdebstrap and util-linux; a minute or two. With `--root DIR` the system is kept there.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian import Steps, left, new_root, packaged, parse, write
from edgegen.bundle import Bundle, this_target
from edgegen.package.content import ARCHITECTURES

PORT = 8585
# A first process needs these; the root is pivoted to, as a process in a chroot may not make a namespace of users.
BOOT = """
set -e
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs tmpfs $folder; done
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance devpts dev/pts
ln -s pts/ptmx dev/ptmx
ip link set lo up
mkdir -p old
pivot_root . old
umount -l /old
echo
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=null --show-status=no
"""
REQUEST = b'{"n": 200, "seed": 7}\n'
# Reads to the end, which comes with the end of the process at the other end.
ASK = f"""
import socket, sys
with socket.create_connection(("127.0.0.1", {PORT}), 20) as connection:
    connection.sendall({REQUEST!r})
    connection.shutdown(socket.SHUT_WR)
    sys.stdout.buffer.write(connection.makefile("rb").read())
"""


def main() -> None:
    options = parse((__doc__ or "").splitlines()[0], "unshare", "nsenter", "ip")
    with tempfile.TemporaryDirectory(prefix="edgegen-deb-") as name:
        folder, root = Path(name), options.root or Path(name) / "root"
        include = ["systemd", "systemd-sysv", "init-system-helpers"]
        made = new_root(root, options.suite, ARCHITECTURES[this_target()], include, [])
        deb = packaged(options.bundle, this_target(), folder)
        package = deb.name.partition("_")[0]
        shutil.copy(deb, root / "srv")
        with booted(root) as (inside, network):
            steps = Steps([*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin"])
            steps.run("systemctl", "is-system-running")
            steps.run("dpkg", "-i", f"/srv/{deb.name}")
            steps.run("systemctl", "is-enabled", f"{package}.socket", status=1)
            steps.run("systemctl", "is-active", f"{package}.socket", status=3)
            steps.run("systemctl", "enable", "--now", f"{package}.socket")
            steps.run("systemctl", "is-active", f"{package}.socket")
            there = subprocess.run([*network, sys.executable, "-c", ASK], capture_output=True, check=True).stdout
            steps.run("dpkg", "-i", f"/srv/{deb.name}")
            steps.run("systemctl", "is-enabled", f"{package}.socket")
            steps.run("systemctl", "is-active", f"{package}.socket")
            steps.run("dpkg", "-P", package)
            refused = subprocess.run([*network, sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
            steps.run("systemctl", "list-units", "--all", "--no-legend", f"{package}*")
        here = Bundle.open(options.bundle).executable(this_target())
        pipe = subprocess.run([here, "pipe"], input=REQUEST, capture_output=True, check=True)
        answers = {this_target(): pipe.stdout, "the service": there}
        hashes = {who: hashlib.sha256(answer).hexdigest() for who, answer in answers.items()}
        result = {"package": deb.name, "bytes": deb.stat().st_size, "root": made, "steps": steps.done}
        result |= {"sha256": hashes, "left_after_purge": left(root)}
        if len(set(hashes.values())) != 1 or "refused" not in refused.stderr or result["left_after_purge"]:
            raise SystemExit(f"this must not be: {result}, {refused.stderr}")
        write(result, options.out)


@contextmanager
def booted(root: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Prefixes of commands: inside the system, and here but in its network."""
    namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
    command = ["unshare", *namespaces, "--fork", "--kill-child", "sh", "-c", BOOT, "sh", str(root)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout
    try:
        if not holder.stdout.readline():
            raise SystemExit("no system can be started in namespaces here")
        first = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().strip()
        inside = ["nsenter", "--target", first, *namespaces]
        asked = [*inside, "systemctl", "is-system-running", "--wait"]
        # Until systemd can be asked to wait for it, it is called offline.
        deadline = time.monotonic() + 60
        while subprocess.run(asked, capture_output=True, check=False).stdout.strip() in (b"", b"offline"):
            if time.monotonic() > deadline:
                raise SystemExit("systemd does not come up")
            time.sleep(0.1)
        yield inside, ["nsenter", "--target", first, "--net"]
    finally:
        holder.kill()
        holder.wait()


if __name__ == "__main__":
    main()

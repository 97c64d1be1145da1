"""A measurement on a gateway, over the system's ssh: copy the executable, run it, bring the result back, clean up."""

import shlex
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edgegen.bundle import MACHINES, Bundle
from edgegen.errors import EdgegenError, UsageError
from edgegen.measure.local import arguments, run

if TYPE_CHECKING:
    from edgegen.measure import Workload

FORM = "write ssh://USER@HOST or ssh://USER@HOST:PORT"


def bench(bundle: Bundle, address: str, workload: "Workload") -> dict[str, Any]:
    """What the executable for the gateway's processor measures there; nothing of it stays behind.

    address: ssh://[USER@]HOST[:PORT]; how to log in is for ssh and its configuration to know, without a password prompt
    """
    ssh = _command(address)
    host = ssh[-1]
    machine = _ask(ssh, "uname -m", f"{host} cannot be reached over ssh")
    if machine not in MACHINES:
        raise EdgegenError(f"{host} has a processor of kind {machine!r}, which edgegen does not compile for")
    program = bundle.executable(MACHINES[machine]).read_bytes()
    folder = _ask(ssh, "mktemp -d", f"{host} has no place for a temporary folder")
    place = shlex.quote(f"{folder}/edgegen")
    try:
        _ask(ssh, f"cat > {place} && chmod 755 {place}", f"the executable cannot be copied to {host}", program)
        return run([*ssh, " ".join([place, *map(shlex.quote, arguments(workload))])], f"the executable on {host}")
    finally:
        _ask(ssh, f"rm -rf {shlex.quote(folder)}", f"{folder} on {host} cannot be removed")


def _command(address: str) -> list[str]:
    """ssh and its arguments up to the host."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--on {address} is no address ({error}): {FORM}") from error
    # A host that starts with a dash would be a flag to ssh.
    if not parts.hostname or parts.netloc.startswith("-") or parts.hostname.startswith("-") or parts.path.strip("/"):
        raise UsageError(f"--on {address} is no address: {FORM}")
    # As it was written: ssh looks its configuration up by it, and Python makes it lower case.
    login, _, place = parts.netloc.rpartition("@")
    user = unquote(login.partition(":")[0])
    host = place[1 : place.index("]")] if place.startswith("[") else place.partition(":")[0]
    name = f"{user}@{host}" if user else host
    return ["ssh", "-o", "BatchMode=yes", *(["-p", str(port)] if port else []), "--", name]


def _ask(ssh: list[str], command: str, wrong: str, given: bytes = b"") -> str:
    """What a command on the gateway prints, its white space stripped."""
    try:
        done = subprocess.run([*ssh, command], input=given, capture_output=True, check=False)
    except OSError as error:
        raise EdgegenError(f"ssh cannot be started ({error.strerror}): install an OpenSSH client") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EdgegenError(f"{wrong}: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="replace").strip()

"""A network namespace as a host: commands run inside it, and everything in it ends with it."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from edgegen.errors import EdgegenError

START_TIMEOUT = 20.0


def prefix(process: int) -> str:
    """How the names of one lab process's namespaces begin: they are the machine's, not the process's."""
    return f"lab{process}-"


def namespaces() -> list[str]:
    """The names of all network namespaces of this machine."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    return [line.split()[0] for line in listed.stdout.splitlines()]


def end_processes(name: str) -> None:
    """Stop what runs in namespace `name`: first kindly, then for good."""
    for sign, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        for process in _processes(name):
            # One that has just ended by itself needs no signal.
            with suppress(ProcessLookupError):
                os.kill(process, sign)
        while _processes(name) and time.monotonic() < deadline:
            time.sleep(0.05)


def _processes(name: str) -> list[int]:
    # A namespace that has just gone has none; `ip` calls that a failure.
    listed = subprocess.run(["ip", "netns", "pids", name], check=False, capture_output=True)
    return [int(line) for line in listed.stdout.split()]


def remove(name: str) -> None:
    """End namespace `name` and everything in it."""
    end_processes(name)
    subprocess.run(["ip", "netns", "delete", name], check=True, capture_output=True)


def sweep() -> None:
    """Remove what labs that were killed have left behind."""
    for name in namespaces():
        owner = re.match(r"lab(\d+)-", name)
        if owner and not Path("/proc", owner[1]).exists():
            remove(name)


class Namespace:
    """A `Host` (see scenario.py) that is made on entry and removed, with all its processes, on exit."""

    def __init__(self, name: str, address: str, folder: Path, programs: Path, niceness: int = 0) -> None:
        """programs: the folder of the lab's own `python`, first on the PATH of every command
        niceness: of commands that `run`; those that `start` have none
        """
        self.name = name
        self.address = address
        self.folder = folder
        self._niceness = niceness
        self._started: list[subprocess.Popen[bytes]] = []
        self._path = f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    def __enter__(self) -> "Namespace":
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o777)
        subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
        return self

    def __exit__(self, *_: object) -> None:
        remove(self.name)
        for process in self._started:
            process.wait()

    def _inside(self, command: list[str], env: dict[str, str] | None) -> tuple[list[str], dict[str, str]]:
        base = {"PATH": self._path, "HOME": str(self.folder), "TMPDIR": str(self.folder), "LC_ALL": "C.UTF-8"}
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command], base | (env or {})

    def run(
        self,
        command: list[str],
        *,
        timeout: float = 60,
        check: bool = False,
        stdin: bytes | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """As `Host.run`."""
        inside, environment = self._inside(command, env)
        done = subprocess.run(
            ["nice", "-n", str(self._niceness), *inside],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=timeout,
            env=environment,
            cwd=self.folder,
            check=False,
        )
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()[-300:]
            raise EdgegenError(f"{command[0]} ended with status {done.returncode}: {said}")
        return done

    def start(
        self, command: list[str], *, env: dict[str, str] | None = None, ready: tuple[str, int] | None = None
    ) -> subprocess.Popen[bytes]:
        """As `Host.start`; what the program says goes to a file in the folder."""
        inside, environment = self._inside(command, env)
        log = self.folder / f"{Path(command[0]).name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                inside,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.folder,
            )
        self._started.append(process)
        if ready is not None:
            self._await_port(process, *ready, log)
        return process

    def _await_port(self, process: subprocess.Popen[bytes], proto: str, port: int, log: Path) -> None:
        show = ["ss", "-H", "-l", "-n", "-t" if proto == "tcp" else "-u", f"sport = :{port}"]
        deadline = time.monotonic() + START_TIMEOUT
        while not self.run(show, check=True).stdout.strip():
            # A server that puts itself into the background ends with status 0.
            if process.poll() or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip()[-300:]
                raise EdgegenError(f"nothing listens on {proto} port {port} in {self.name}: {said}")
            time.sleep(0.05)

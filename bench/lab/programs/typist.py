"""Run a command under a terminal and type into it: `typist.py SEED LINE... -- COMMAND...`, one key at a time.

Each line is typed with the rhythm of one person (drawn by the seed), then its answer is read.
"""

import os
import pty
import random
import select
import sys
import time

READING = 0.5


def read_for(terminal: int, seconds: float) -> bool:
    """Read what the program prints for `seconds`; False once it has ended."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            return True
        try:
            if not os.read(terminal, 65536):
                return False
        except OSError:  # the terminal's other side is closed
            return False
    return True


def keys(line: str, rng: random.Random) -> list[bytes]:
    """The keys that write `line`: now and then a wrong one and its deletion; sometimes the end is pasted."""
    if len(line) > 12 and rng.random() < 0.3:
        cut = rng.randrange(len(line))
        return [*(key.encode() for key in line[:cut]), line[cut:].encode(), b"\r"]
    typed = []
    for key in line:
        if rng.random() < 0.04:
            typed += [rng.choice("asdfjkl").encode(), b"\x7f"]
        typed.append(key.encode())
    return [*typed, b"\r"]


def main() -> int:
    """Type the lines; the exit status is the command's."""
    split = sys.argv.index("--")
    rng = random.Random(int(sys.argv[1]))
    lines, command = sys.argv[2:split], sys.argv[split + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    speed = rng.uniform(0.03, 0.16)
    # The first prompt: no one types before it.
    select.select([terminal], [], [], 20)
    alive = read_for(terminal, rng.uniform(0.1, READING))
    for line in lines:
        for key in keys(line, rng):
            if not alive:
                break
            os.write(terminal, key)
            alive = read_for(terminal, min(rng.lognormvariate(0, 0.5) * speed, 1.0))
        alive = alive and read_for(terminal, rng.uniform(0.1, READING))
    while alive:
        alive = read_for(terminal, 5)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())

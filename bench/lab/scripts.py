"""The lab's own small programs, in `programs/`: how a scenario calls them, and their servers' certificate."""

import random
from pathlib import Path

from bench.lab.scenario import Host

PROGRAMS = Path(__file__).parent / "programs"
NAMES = ("gw.example", "device-17.plant.example.org", "api.eu-west.example.com", "hub.home.example")


def script(name: str, *arguments: object) -> list[str]:
    """The command that runs `programs/<name>.py` in the lab's environment."""
    return ["python", str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


def visitors(label: str, address: str, rng: random.Random, flows: int) -> list[str]:
    """The command that pays `flows` visits as `programs/<label>_client.py` makes them."""
    return script(f"{label}_client", address, rng.randrange(2**31), flows)


def certificate(host: Host, rng: random.Random) -> tuple[str, str]:
    """A self-signed certificate for the host's address, of some kind and length: the paths (cert, key)."""
    kind = rng.choice((["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], ["rsa:2048"], ["rsa:3072"]))
    subject = f"/O={'Example ' * rng.randint(1, 6)}/CN={rng.choice(NAMES)}"
    names = ",".join([f"IP:{host.address}", *(f"DNS:{name}" for name in rng.sample(NAMES, rng.randint(1, 4)))])
    command = ["openssl", "req", "-x509", "-nodes", "-days", "90", "-newkey", *kind]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-subj", subject, "-addext", f"subjectAltName={names}"]
    host.run(command, check=True)
    # Servers that drop root read it too.
    (host.folder / "key.pem").chmod(0o644)
    return str(host.folder / "cert.pem"), str(host.folder / "key.pem")

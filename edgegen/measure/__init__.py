"""How fast a bundle is, and in how much memory, where it will run.

What measures is the bundle's own executable (export/device/bench.c): the same code on this machine, on a gateway over
ssh, and, as a count of instructions, under emulation.
"""

from dataclasses import dataclass
from typing import Any

from edgegen.bundle import Bundle
from edgegen.errors import UsageError
from edgegen.measure import emulator, gateway, local

__all__ = ["Workload", "measure"]


@dataclass(frozen=True)
class Workload:
    """What is generated, and how; None leaves it to the executable.

    seconds: of each measurement; batch, threads: of the throughput; labels, temperature, min_packets: of the flows
    """

    seconds: int = 2
    batch: int | None = None
    threads: int = 1
    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    min_packets: int = 1

    def flags(self) -> list[str]:
        """The controls and the batch as flags of the executable."""
        flags = ["--temperature", str(self.temperature), "--min-packets", str(self.min_packets)]
        flags += [word for label in self.labels for word in ("--label", label)]
        return flags + (["--batch", str(self.batch)] if self.batch else [])


def measure(bundle: Bundle, on: str = "local", workload: Workload | None = None) -> dict[str, Any]:
    """The result of a measurement, as `edgegen bench -o json` prints it.

    on: "local", "qemu:CPU", or "ssh://[USER@]HOST[:PORT]"
    Raises UsageError for another `on`, EdgegenError where the bundle cannot run there.
    """
    workload = workload or Workload()
    if on == "local":
        result = local.bench(bundle, workload)
    elif on.startswith("qemu:"):
        result = emulator.bench(bundle, on.removeprefix("qemu:"), workload)
    elif on.startswith("ssh://"):
        result = gateway.bench(bundle, on, workload)
    else:
        raise UsageError(f"--on {on} is none of: local, qemu:CPU (qemu:cortex-a53), ssh://USER@HOST")
    manifest = bundle.manifest
    name = f"{manifest.kind} {manifest.model.get('size', '')}".strip()
    facts = {"bundle": bundle.name, "model": name, "precision": manifest.precision, "on": on}
    return facts | result

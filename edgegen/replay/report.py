"""What was sent, and how well its times were kept, in memory that does not grow."""

from dataclasses import dataclass, field
from typing import Any

from edgegen.replay.jitter import Jitter
from edgegen.results import table

LATE_NS = 1_000_000
QUANTILES = (50, 99)


@dataclass
class Sent:
    """Frames that have left, and their bytes from the Ethernet header on.

    first_ns, last_ns: when the first and the last left, on CLOCK_MONOTONIC
    late: frames that left more than LATE_NS after they were due
    """

    packets: int = 0
    octets: int = 0
    first_ns: int = 0
    last_ns: int = 0
    late: int = 0
    jitter: Jitter = field(default_factory=Jitter)

    def add(self, octets: int, due_ns: int, now_ns: int) -> None:
        """Count a frame in."""
        self.first_ns = self.first_ns or now_ns
        self.last_ns = now_ns
        self.packets += 1
        self.octets += octets
        self.late += now_ns - due_ns > LATE_NS
        self.jitter.add(abs(now_ns - due_ns))

    def result(self) -> dict[str, Any]:
        """The same for programs."""
        quantiles = {f"p{q}": self.jitter.quantile(q / 100) / 1e3 for q in QUANTILES}
        return {
            "packets": self.packets,
            "bytes": self.octets,
            "seconds": (self.last_ns - self.first_ns) / 1e9,
            "jitter_us": quantiles | {"max": self.jitter.greatest / 1e3},
            "late": self.late,
            "late_us": LATE_NS / 1e3,
        }


def markdown(result: dict[str, Any]) -> str:
    """The table of a result of `replay`."""
    jitter = " / ".join(f"{value / 1e3:.3f}" for value in result["jitter_us"].values())
    pace = f"{result['rate']:g} times" + (f", at most {result['mbps']:g} Mbit/s" if result["mbps"] else "")
    rows = [
        ("packets", f"{result['packets']:,}"),
        ("bytes", f"{result['bytes']:,}"),
        ("seconds", f"{result['seconds']:.3f}"),
        ("rate", pace),
        ("priority", "real time" if result["realtime"] else "that of any program: real time needs CAP_SYS_NICE"),
        (f"sent - due, {' / '.join(result['jitter_us'])}", f"{jitter} ms"),
        (f"more than {result['late_us'] / 1e3:g} ms late", f"{result['late']:,}"),
    ]
    rows += [("stopped by signal", str(result["stopped_by"]))] if result["stopped_by"] else []
    return table(f"{result['source']} on {result['interface']}, payloads split at an MTU of {result['mtu']:,}", rows)

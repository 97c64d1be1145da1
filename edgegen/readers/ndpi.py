"""Labels from nDPI, through nfstream: what application each biflow of a capture is."""

from ipaddress import ip_address
from pathlib import Path

from edgegen.errors import EdgegenError
from edgegen.readers.biflow import Biflow, Endpoint
from edgegen.readers.capture import NANOSECONDS
from edgegen.readers.report import Report

MILLISECONDS = 1000
Key = tuple[int, Endpoint, Endpoint]


class Applications:
    """nDPI's verdict on every biflow of one capture, looked up by 5-tuple and time."""

    def __init__(self, path: Path, idle_timeout: float) -> None:
        """Let nDPI read the whole capture. EdgegenError where nfstream is missing or cannot read it."""
        try:
            from nfstream import NFStreamer
        except ImportError as error:
            raise EdgegenError(
                "labels from nDPI need nfstream, which is not installed: pip install 'edgegen[data]'"
            ) from error
        self.verdicts: dict[Key, list[tuple[int, int, str]]] = {}
        try:
            for flow in NFStreamer(
                source=str(path), decode_tunnels=False, idle_timeout=max(1, round(idle_timeout)), n_meters=1
            ):
                ends = _endpoint(flow.src_ip, flow.src_port), _endpoint(flow.dst_ip, flow.dst_port)
                spell = (
                    flow.bidirectional_first_seen_ms,
                    flow.bidirectional_last_seen_ms,
                    flow.application_name,
                )
                self.verdicts.setdefault(_key(flow.protocol, *ends), []).append(spell)
        except (ValueError, OSError) as error:
            raise EdgegenError(f"nDPI cannot read {path} ({error}): label it with --label instead") from error

    def of(self, biflow: Biflow, report: Report) -> str:
        """The application of `biflow`, in lower case; `unknown` where nDPI has none.

        It does not decode all link layers that we do: flows that it has not seen are counted in `report`.
        """
        spells = self.verdicts.get(_key(biflow.proto, biflow.client, biflow.server), [])
        if not spells:
            report.count("flows that nDPI has not seen: labelled unknown")
            return "unknown"
        first = biflow.first * MILLISECONDS // NANOSECONDS
        return min(spells, key=lambda spell: max(spell[0] - first, first - spell[1], 0))[2].lower()


def _endpoint(address: str, port: int) -> Endpoint:
    return ip_address(address).packed, port


def _key(proto: int, one: Endpoint, other: Endpoint) -> Key:
    low, high = sorted((one, other))
    return proto, low, high

import io
import random
import shutil
import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from edgegen import pcap_writer
from edgegen.errors import EdgegenError
from edgegen.flow import TCP, UDP, Flow
from edgegen.pcap_writer import EPOCH_US, frames, write_pcap
from edgegen.writers import write_flows

CHECKSUMS = [f"-o{proto}.check_checksum:TRUE" for proto in ("ip", "tcp", "udp")]


def random_flows(count: int, labels: int = 5, longest_s: float = 2.0) -> list[Flow]:
    """Flows of mixed size and transport, all packets with payload, some above the MTU."""
    rng = random.Random(7)
    flows = []
    for i in range(count):
        n, proto = rng.randint(1, 30), rng.choice([TCP, UDP, None])
        largest = rng.choice([20, 100, 1472]) if rng.random() < 0.95 else 65_495
        direction = [rng.randint(0, 1) for _ in range(n)]
        if proto == UDP:
            direction[0] = 0
        iat = [0.0] + [round(rng.random() ** 4 * longest_s, 6) for _ in range(n - 1)]
        flows.append(Flow(f"l{i % labels}", [rng.randint(1, largest) for _ in range(n)], direction, iat, proto))
    return flows


def frames_of(capture: bytes) -> Iterator[tuple[int, bytes]]:
    at = 24
    while at < len(capture):
        seconds, microseconds, kept, length = struct.unpack_from("<IIII", capture, at)
        assert kept == length
        yield seconds * 1_000_000 + microseconds, capture[at + 16 : at + 16 + length]
        at += 16 + length


def written(flows: list[Flow]) -> bytes:
    file = io.BytesIO()
    assert write_pcap(flows, file) == len(flows)
    return file.getvalue()


def tshark(capture: Path, *arguments: str) -> list[str]:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is missing: apt-get install tshark")
    command = ["tshark", "-n", "-r", str(capture), *CHECKSUMS, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("mtu", [68, 576, 1_500, 9_000, 65_535])
def test_no_packet_is_above_an_mtu_and_no_byte_is_lost(mtu: int) -> None:
    flows = random_flows(60)
    split, whole = list(frames(flows, mtu)), list(frames_of(written(flows)))
    assert max(len(frame) for _, frame in split) <= 14 + mtu
    assert (split == whole) == (mtu == 65_535)
    assert [time for time, _ in split] == sorted(time for time, _ in split)
    assert streams(split) == streams(whole)


def streams(frames: Iterable[tuple[int, bytes]]) -> dict[tuple[bytes, bytes, int], bytes]:
    """What each end of each flow says at each time."""
    found: dict[tuple[bytes, bytes, int], bytes] = defaultdict(bytes)
    for time, frame in frames:
        header = 8 if frame[23] == UDP else (frame[46] >> 4) * 4
        found[frame[26:34], frame[34:38], time] += frame[34 + header :]
    return found


def test_tshark_finds_nothing_wrong(tmp_path: Path) -> None:
    capture = tmp_path / "mixed.pcap"
    write_flows(random_flows(300), capture)
    fields = ["frame.protocols", "tcp.analysis.flags", "_ws.malformed"]
    fields += [f"{proto}.checksum.status" for proto in ("ip", "tcp", "udp")]
    seen = Counter(tshark(capture, "-Tfields", *(f"-e{field}" for field in fields)))
    # Checksum status 1 is good; nothing is flagged and nothing malformed.
    assert set(seen) == {
        "eth:ethertype:ip:tcp\t\t\t1\t1\t",
        "eth:ethertype:ip:tcp:data\t\t\t1\t1\t",
        "eth:ethertype:ip:udp:data\t\t\t1\t\t1",
    }
    assert tshark(capture, "-Y", "_ws.expert.severity >= 0x600000") == []  # warnings and errors


def test_tshark_knows_no_protocol_at_our_ports(tmp_path: Path) -> None:
    capture = tmp_path / "ports.pcap"
    # Every label has its own server port; as many labels as ports try them all, and client ports with them.
    flows = [Flow(f"l{i}", [9], [0], [0.0], proto) for proto in (TCP, UDP) for i in range(pcap_writer.PORTS)]
    write_flows(flows, capture)
    known = 'not (frame.protocols matches "^eth:ethertype:ip:(tcp|udp)(:data)?$")'
    assert tshark(capture, "-Y", known) == []


def test_tshark_accepts_the_awkward(tmp_path: Path) -> None:
    capture = tmp_path / "awkward.pcap"
    write_flows(
        [
            Flow("burst", [65_535] * 40, [1] * 40, [0.0] * 40, TCP),
            Flow("biggest", [65_535, 65_507, 65_508], [0, 1, 0], [0.0] * 3, UDP),
            Flow("empty", [0, 0], [0, 1], [0.0, 0.5], UDP),
            Flow("acks", [100, 0, 0, 200, 0], [0, 1, 0, 1, 0], [0.0] * 5, TCP),
            Flow("server first", [20, 20], [1, 0], [0.0, 0.1], TCP),
        ],
        capture,
    )
    complaints = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"
    assert tshark(capture, "-Y", complaints) == []
    # The only complaint is the empty packet that has nothing new to acknowledge.
    flagged = tshark(capture, "-Y", "tcp.analysis.flags", "-Tfields", "-eframe.number")
    assert len(flagged) == 1


def test_checksums_add_up() -> None:
    for _, frame in frames_of(written(random_flows(50))):
        words = struct.unpack(">10H", frame[14:34])
        assert sum(words) % 0xFFFF == 0
        segment = frame[34:] + b"\0" * (len(frame) % 2)
        pseudo = sum(words[6:]) + frame[23] + len(frame) - 34
        assert (pseudo + sum(struct.unpack(f">{len(segment) // 2}H", segment))) % 0xFFFF == 0


def test_frames_are_in_order_of_time_and_the_same_each_time() -> None:
    flows = random_flows(200)
    capture = written(flows)
    times = [time for time, _ in frames_of(capture)]
    assert times == sorted(times)
    assert times[0] == EPOCH_US
    assert capture == written(flows)


def test_as_many_flows_as_fit_are_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_writer, "OPEN_FLOWS", 3)
    taken = 0

    def endless_waits() -> Iterator[Flow]:
        nonlocal taken
        for _ in range(20):
            taken += 1
            yield Flow("slow", [10, 10], [0, 1], [0.0, 50.0], UDP)

    file, seen, times = io.BytesIO(), 0, []
    conversations = pcap_writer._Conversations(endless_waits())
    for seen, (time, frame) in enumerate(conversations, start=1):  # noqa: B007
        times.append(time)
        # Three are open and one more is waiting for its turn; each has two frames.
        assert taken <= seen // 2 + 3 + 1
    assert seen == 40
    assert times == sorted(times)
    assert file.tell() == 0


def test_a_burst_is_acknowledged_before_the_window_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_writer, "UNACKNOWLEDGED_MAX", 10_000)
    capture = written([Flow("burst", [1_000] * 100, [0] * 100, [0.0] * 100, TCP)])
    sent = acknowledged = 0
    for _, frame in frames_of(capture):
        sequence, acknowledge = struct.unpack_from(">II", frame, 38)
        payload = len(frame) - 54
        if frame[26:29] == pcap_writer.CLIENTS and payload >= 1_000:
            sent = sequence + payload
            assert sent - acknowledged <= 10_000
        elif frame[26:29] == pcap_writer.SERVERS:
            acknowledged = acknowledge
    assert sent > 0


def test_five_tuples_are_unique_across_millions() -> None:
    step = 97
    links = [pcap_writer._Link(number, TCP, pcap_writer.SERVER_PORTS) for number in range(0, 2_000_000, step)]
    ends = {(link.addresses, link.ports) for link in links}
    assert len(ends) == len(links)
    assert max(port for _, ports in ends for port in ports) < 1 << 16


def test_a_time_that_pcap_cannot_say_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match="after the year 2106"):
        write_flows([Flow("late", [1, 1], [0, 0], [0.0, 4e9], UDP)], tmp_path / "late.pcap")
    assert list(tmp_path.iterdir()) == []

"""Whole replays by the command line, out of one end of a veth pair, and what the kernel sees at the other, and when."""

import json
import os
import random
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from children import heed

from bench import veth
from edgegen.flow import TCP, UDP, Flow
from edgegen.pcap_writer import frames
from edgegen.runtime import generate
from edgegen.writers import write_flows

MTU = 1_500
TIMEOUT = 60


def made_flows(count: int, largest: int = 1_400) -> list[Flow]:
    draw = random.Random(3)
    flows = []
    for i in range(count):
        n = draw.randint(1, 12)
        iat = [0.0] + [round(draw.random() ** 4, 6) for _ in range(n - 1)]
        pl = [draw.randint(0, largest) for _ in range(n)]
        flows.append(Flow(f"l{i % 3}", pl, [draw.randint(0, 1) for _ in range(n)], iat, (TCP, UDP, None)[i % 3]))
    return flows


def command(pair: veth.Veth, source: Path, *arguments: object) -> list[str]:
    edgegen = [sys.executable, "-P", "-m", "edgegen.cli", "replay", str(source), "--interface", veth.DEVICE]
    return pair.inside(*edgegen, *map(str, arguments))


def replayed(pair: veth.Veth, source: Path, *arguments: object) -> dict[str, Any]:
    """The report of a replay that goes well."""
    done = subprocess.run(
        command(pair, source, *arguments, "-o", "json"), capture_output=True, text=True, timeout=TIMEOUT
    )
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def bytes_of(frames: Sequence[tuple[int, bytes]]) -> list[bytes]:
    return [frame for _, frame in frames]


def in_pcap(capture: Path) -> list[tuple[int, bytes]]:
    data, at, found = capture.read_bytes(), 24, []
    while at < len(data):
        seconds, microseconds, length, _ = struct.unpack_from("<IIII", data, at)
        found.append((seconds * 10**6 + microseconds, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return found


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_what_arrives_is_the_pcap_of_the_same_flows_at_its_times(
    pair: veth.Veth, receiver: veth.Receiver, tmp_path: Path, suffix: str
) -> None:
    flows, rate = made_flows(60), 4.0
    write_flows(flows, tmp_path / f"flows.{suffix}")
    write_flows(flows, tmp_path / "flows.pcap")
    with veth.entered(pair.near), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as everywhere:
        report = replayed(pair, tmp_path / f"flows.{suffix}", "--rate", rate)
        everywhere.setblocking(False)
        arrived, expected = receiver.arrived(), in_pcap(tmp_path / "flows.pcap")
        assert bytes_of(arrived) == bytes_of(expected)
        assert interfaces(everywhere) == {veth.DEVICE}
    span = (expected[-1][0] - expected[0][0]) / 1e6 / rate
    assert (report["packets"], report["bytes"]) == (len(expected), sum(map(len, bytes_of(expected))))
    assert span - 0.1 < report["seconds"] < span + 1
    jitter = report["jitter_us"]
    assert 0 < jitter["p50"] <= jitter["p99"] <= jitter["max"]
    assert report["late"] <= report["packets"]
    assert (report["late"] > 0) == (jitter["max"] > report["late_us"])
    late = [
        (at_ns - arrived[0][0]) / 1e3 - (time_us - expected[0][0]) / rate
        for (at_ns, _), (time_us, _) in zip(arrived, expected, strict=True)
    ]
    # Half of them within what a crowded machine allows; without a schedule they would be apart by seconds.
    assert statistics.median(map(abs, late)) < 20_000


def interfaces(everywhere: socket.socket) -> set[str]:
    """Those of this namespace that IPv4 frames went through."""
    found = set()
    while True:
        try:
            frame, address = everywhere.recvfrom(1 << 16)
        except BlockingIOError:
            return found
        if frame[12:14] == b"\x08\x00":
            found.add(address[0])


def test_a_bundle_generates_on_the_way(pair: veth.Veth, receiver: veth.Receiver, bundle: Path) -> None:
    arguments = ("-n", 40, "--seed", 5, "--label", "https", "--label", "dns", "--rate", 1_000)
    report = replayed(pair, bundle, *arguments)
    flows = list(generate(bundle, 40, ["https", "dns"], 5))
    assert bytes_of(receiver.arrived()) == bytes_of(list(frames(flows, MTU)))
    assert (report["source"], report["rate"], report["stopped_by"]) == ("m.edgegen", 1_000, None)


def test_what_the_wire_does_not_hold_is_split(pair: veth.Veth, receiver: veth.Receiver, tmp_path: Path) -> None:
    flows = [flow for flow in made_flows(12, 20_000) if flow.label != "l2"]
    write_flows(made_flows(12, 20_000), tmp_path / "flows.jsonl")
    replayed(pair, tmp_path / "flows.jsonl", "--rate", 100, "--label", "l0", "--label", "l1")
    arrived = bytes_of(receiver.arrived())
    assert arrived == bytes_of(list(frames(flows, MTU)))
    assert max(map(len, arrived)) == 14 + MTU


def test_a_bound_on_bits_holds(pair: veth.Veth, receiver: veth.Receiver, tmp_path: Path) -> None:
    flows = made_flows(20)
    write_flows(flows, tmp_path / "flows.jsonl")
    report = replayed(pair, tmp_path / "flows.jsonl", "--rate", 1_000, "--mbps", 2)
    arrived = receiver.arrived()
    assert bytes_of(arrived) == bytes_of(list(frames(flows, MTU)))
    # All but the last frame have had their time.
    assert report["seconds"] > 0.95 * sum(map(len, bytes_of(arrived[:-1]))) * 8 / 2e6


@pytest.mark.parametrize(("number", "rate"), [(signal.SIGINT, 0.001), (signal.SIGTERM, 1)])
def test_a_signal_ends_it_between_two_frames_with_a_report(
    pair: veth.Veth, receiver: veth.Receiver, bundle: Path, number: signal.Signals, rate: float
) -> None:
    process = started(pair, bundle, "--rate", rate, "-o", "json")
    report, arrived = interrupted(process, receiver, number), receiver.arrived()
    assert report["packets"] == len(arrived) > 0
    flows = generate(bundle, report["packets"])
    assert bytes_of(arrived) == [frame for _, (_, frame) in zip(arrived, frames(flows, MTU), strict=False)]


def test_a_signal_ends_a_long_wait(pair: veth.Veth, receiver: veth.Receiver, tmp_path: Path) -> None:
    write_flows([Flow("slow", [1, 2], [0, 0], [0.0, 3_600.0], UDP)], tmp_path / "flows.jsonl")
    report = interrupted(started(pair, tmp_path / "flows.jsonl", "-o", "json"), receiver, signal.SIGTERM)
    assert (report["packets"], report["seconds"]) == (1, 0.0)


def interrupted(process: "subprocess.Popen[str]", receiver: veth.Receiver, number: int) -> dict[str, Any]:
    """The report of a replay that gets a signal after its first frame."""
    select.select([receiver.socket], [], [], TIMEOUT)
    # To all of its processes, as a terminal does it, and twice, as timeout(1) does.
    for _ in range(2):
        os.killpg(process.pid, number)
    # Whoever still had these pipes, the process that makes the frames, would be waited for.
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (128 + number, f"edgegen: interrupted by signal {number}\n")
    report: dict[str, Any] = json.loads(out)
    assert report["stopped_by"] == number
    return report


def test_nothing_outlives_a_replay_that_is_killed(pair: veth.Veth, receiver: veth.Receiver, bundle: Path) -> None:
    process = started(pair, bundle)
    select.select([receiver.socket], [], [], TIMEOUT)
    process.kill()
    assert process.communicate(timeout=TIMEOUT) == ("", "")


def test_an_interface_that_goes_down_is_one_sentence(pair: veth.Veth, receiver: veth.Receiver, bundle: Path) -> None:
    process = started(pair, bundle)
    select.select([receiver.socket], [], [], TIMEOUT)
    pair.link("set", veth.DEVICE, "down")
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        pair.bring_up()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert f"edgegen: {veth.DEVICE} took " in err


def started(pair: veth.Veth, source: Path, *arguments: object) -> "subprocess.Popen[str]":
    edgegen, pipe = command(pair, source, *arguments), subprocess.PIPE
    return subprocess.Popen(edgegen, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=heed)

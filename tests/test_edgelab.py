"""The capture lab: its plan and clients as units, and one small session from namespaces to flows."""

import os
import random
import shutil
import subprocess
import time
import venv
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.lab import capture, link, run
from bench.lab.crowd import Act, play
from bench.lab.host import Namespace
from bench.lab.scenario import Host, Scenario
from edgegen.datasets import edgelab
from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import fault
from edgegen.readers import read_flows

NEEDED = ("ip", "tcpdump", "nsenter", "ss", "chrt", "gcc", "openssl")
LACKING = [tool for tool in NEEDED if shutil.which(tool) is None]
needs_lab = pytest.mark.skipif(
    os.geteuid() != 0 or bool(LACKING) or not Path("/dev/net/tun").exists(),
    reason=f"the lab needs root, /dev/net/tun and {', '.join(LACKING or NEEDED)}",
)
QUIET = link.Profile("quiet", delay=20, jitter=0, up=50, down=50, loss=0, queue=100)


def serve_files(host: Host, rng: random.Random) -> None:
    (host.folder / "page").write_bytes(rng.randbytes(3000))
    host.start(["python", "-m", "http.server", "8000"], ready=("tcp", 8000))


def fetch_files(client: Host, address: str, rng: random.Random, flows: int) -> None:
    fetch = f"import urllib.request as r; r.urlopen('http://{address}:8000/page', timeout=10).read()"
    play(client, [Act(["python", "-c", fetch])] * flows, rng, lanes=2)


FILES = Scenario("files", (), (), "tcp port 8000", serve_files, fetch_files)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "captures").mkdir()
    venv.create(folder / "venv", symlinks=True)
    return folder


@needs_lab
def test_a_session_becomes_flows(work: Path) -> None:
    session = capture.Session(FILES, QUIET, 0, 3, seed=5)
    assert run.capture([session], work, jobs=1) == []
    flows = run.flows_of(session, work)
    assert len(flows) == 3
    for flow in flows:
        assert fault(flow) is None
        assert (flow.label, flow.session, flow.proto) == ("files", "files-quiet-0", 6)
        assert flow.dir[0] == 0
        down = sum(pl for pl, direction in zip(flow.pl, flow.dir, strict=True) if direction)
        assert 3000 < down < 3600
        assert max(flow.pl) <= 1460
        # The answer comes one round trip after the question, within the line's own variation.
        assert flow.iat[flow.dir.index(1)] >= 2 * 0.020 * 0.6


@needs_lab
def test_a_recorded_session_is_kept(work: Path) -> None:
    session = capture.Session(FILES, QUIET, 1, 1, seed=5)
    target = work / "captures" / f"{session.name}.pcap"
    target.write_bytes(b"recorded before")
    assert run.capture([session], work, jobs=1) == []
    assert target.read_bytes() == b"recorded before"


@needs_lab
def test_a_failing_session_is_named_and_leaves_nothing(work: Path) -> None:
    def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
        client.run(["sh", "-c", "echo no server >&2; false"], check=True)

    broken = Scenario("broken", (), (), "tcp", lambda host, rng: None, visit)
    (failure,) = run.capture([capture.Session(broken, QUIET, 0, 2, seed=5)], work, jobs=1)
    assert failure.startswith("session broken-quiet-0 failed 3 times")
    assert failure.endswith("no server")
    assert not list((work / "captures").glob("broken*"))
    assert f"lab{os.getpid()}-broken" not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout


@needs_lab
def test_everything_in_a_namespace_ends_with_it(tmp_path: Path) -> None:
    with Namespace(f"lab{os.getpid()}-end", "", tmp_path / "host", tmp_path) as host:
        process = host.start(["sh", "-c", "trap '' TERM; sleep 100 & wait; sleep 100"])
        time.sleep(0.2)
    assert process.wait(timeout=5) != 0


def test_the_plan_has_every_label_over_every_link() -> None:
    sessions = run.plan([FILES], rounds=3, flows=30, seed=1)
    assert Counter(session.profile.name for session in sessions) == {profile.name: 3 for profile in link.PROFILES}
    assert len({session.name for session in sessions}) == len(sessions)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(UsageError, match="nosuch"):
        run.load(["nosuch"])


def test_the_shipped_flows_keep_the_contract_and_say_what_made_them() -> None:
    flows = read_flows(edgelab())
    sessions: dict[str, set[str]] = {}
    for flow in flows:
        assert fault(flow) is None
        assert flow.session.startswith(f"{flow.label}-")
        assert 0 not in flow.pl
        assert len(flow) <= run.MAX_PACKETS
        sessions.setdefault(flow.label, set()).add(flow.session)
    counts = Counter(flow.label for flow in flows)
    assert len(counts) >= 12
    assert min(counts.values()) >= 400
    assert min(map(len, sessions.values())) >= 12
    assert edgelab().stat().st_size < 2_000_000
    metadata = pq.read_schema(edgelab()).metadata
    assert b"nginx" in metadata[b"programs"]
    assert metadata[b"links"] in (b"relay", b"netem")


def test_every_scenario_loads_under_its_own_name() -> None:
    scenarios = run.load()
    assert len(scenarios) >= 12
    assert len({scenario.label for scenario in scenarios}) == len(scenarios)


class FailingHost:
    """A host whose programs end with the status that the command names."""

    address, folder = "192.0.2.1", Path()

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, int(command[1]), b"", b"no route")


@pytest.mark.parametrize(("statuses", "raises"), [("0001", False), ("0011", True)])
def test_clients_may_fail_now_and_then(statuses: str, raises: bool) -> None:
    acts = [Act(["client", status]) for status in statuses]
    host: Host = FailingHost()  # type: ignore[assignment]
    if not raises:
        play(host, acts, random.Random(1), think=(0, 0))
        return
    with pytest.raises(EdgegenError, match=r"2 of 4 clients failed.*no route"):
        play(host, acts, random.Random(1), think=(0, 0))

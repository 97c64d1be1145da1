import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgegen.bundle import Bundle, this_target
from edgegen.devices import machine
from edgegen.errors import EdgegenError, UsageError
from edgegen.measure import Workload, measure
from edgegen.measure.report import markdown

# Facts that Python finds as the executable does; the others change while one looks.
SAME = ("system", "cpu", "features", "cores", "memory_mb", "governor", "mhz_most")
QUICK = Workload(seconds=1, batch=4, threads=2, labels=("dns", "https"), min_packets=3)


def test_a_measurement_says_where_and_what(bundle: Bundle) -> None:
    result = measure(bundle, workload=QUICK)
    assert (result["bundle"], result["model"], result["on"]) == ("m.edgegen", "mock tiny", "local")
    assert (result["throughput"]["batch"], result["throughput"]["threads"], result["min_packets"]) == (4, 2, 3)
    assert {name: result["machine"][name] for name in SAME} == {name: machine()[name] for name in SAME}
    table = markdown(result)
    for text in ("| kernels | mock |", "batch 4, 2 threads", "p50 / p95 / p99", "most memory, batch 8", "hash 67%"):
        assert text in table
    # A gateway that tells little, and an executable that cannot start itself again.
    result["machine"] |= {"cpu": None, "features": [], "mhz": 1400.0, "governor": "ondemand", "celsius": 51.2}
    result |= {"first_flow_ms": None, "peak_memory_kb": {"1": None}}
    table = markdown(result)
    assert "| processor | unknown, " in table
    assert "| clock | 1,400 MHz, ondemand, 51 degrees Celsius |" in table
    assert "most memory" not in table


def test_what_the_executable_refuses_is_wrong_usage(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="label 'nope' is unknown to this generator; it knows: dns"):
        measure(bundle, workload=Workload(labels=("nope",)))
    with pytest.raises(UsageError, match=r"label '\\xff' is unknown"):
        measure(bundle, workload=Workload(labels=("\udcff",)))
    with pytest.raises(UsageError, match="--min-packets 17 is not a whole number"):
        measure(bundle, workload=Workload(min_packets=17))


def test_a_place_that_is_none_is_wrong_usage(bundle: Bundle) -> None:
    for on in ("", "moon", "qemu", "ssh:host", "ssh://", "ssh://-oProxyCommand=x", "ssh://host:x", "ssh://host/path"):
        with pytest.raises(UsageError, match="--on"):
            measure(bundle, on)


def test_a_bundle_without_the_target_says_how_to_get_it(bundle: Bundle) -> None:
    with pytest.raises(EdgegenError, match=r"no executable for aarch64 \(it has: .*--target aarch64"):
        measure(bundle, "qemu:cortex-a53")
    with pytest.raises(UsageError, match=r"qemu:z80 is no processor.*cortex-a53"):
        measure(bundle, "qemu:z80")


def test_an_executable_that_does_not_start_is_one_sentence(bundle: Bundle) -> None:
    (bundle.path / this_target() / "edgegen").chmod(0o644)
    with pytest.raises(EdgegenError, match="cannot be started"):
        measure(bundle)


@pytest.mark.parametrize("form", ["md", "json"])
def test_the_verb_prints_and_writes(bundle: Bundle, tmp_path: Path, form: str) -> None:
    def edgegen(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "edgegen.cli",
            "bench",
            str(bundle.path),
            "--seconds",
            "1",
            *map(str, arguments),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    out = tmp_path / f"result.{form}"
    for done in (edgegen("-o", form), edgegen("-o", out)):
        assert (done.returncode, done.stderr) == (0, "")
        text = done.stdout or out.read_text()
        if form == "json":
            assert len(json.loads(text)["one_flow"]["samples_us"]) >= 20
        else:
            assert text.startswith("mock tiny int8, m.edgegen, on local\n\n| | |\n|---|---|\n")
    wrong = edgegen("-o", "result.xml")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "edgegen: -o result.xml is none of: md, json, a file named .md or .json\n"
    gone = edgegen("-o", tmp_path / "none" / f"x.{form}")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)

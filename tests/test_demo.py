import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgegen.cli import app
from edgegen.datasets import edgelab
from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import TCP, UDP, Flow
from edgegen.readers import read_flows
from edgegen.writers import write_flows

for package in ("torch", "onnxruntime", "tvm", "ziglang", "matplotlib"):
    pytest.importorskip(package)


def small_data(path: Path) -> Path:
    """Two labels that differ in all respects, five sessions each."""
    rng = random.Random(2)
    flows = []
    for i in range(200):
        session = f"s{i % 5}"
        flows.append(Flow("dns", [rng.randint(30, 60), rng.randint(80, 200)], [0, 1], [0.0, 0.02], UDP, session))
        sizes = [rng.choice([300, 517]), 1_400, 1_400, rng.randint(50, 400)]
        flows.append(Flow("web", sizes, [0, 1, 1, 0], [0.0, 0.03, 1e-5, 0.5], TCP, session))
    write_flows(flows, path)
    return path


# The first link of a machine builds the C library, which takes minutes where others work too.
@pytest.mark.timeout(900)
def test_the_demo_makes_all_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgegen.demo import FLOWS, demo

    out = tmp_path / "demo"
    demo(out, minutes=0.1, data=small_data(tmp_path / "small.parquet"))
    said = capsys.readouterr().out
    flows = read_flows(out / "flows.parquet")
    assert len(flows) == FLOWS
    assert {flow.label for flow in flows} == {"dns", "web"}
    assert struct.unpack("<I", (out / "flows.pcap").read_bytes()[:4]) == (0xA1B2C3D4,)
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "demo.edgegen" / "manifest.json").is_file()
    for name in (
        "PyTorch",
        "ONNX Runtime",
        "compiled",
        "model.int8.onnx",
        "JSD pl",
        "copies",
        "comparison.png",
    ):
        assert name in said


def test_a_demo_without_time_is_a_wrong_usage(tmp_path: Path) -> None:
    for minutes in ("0", "-1", "nan"):
        result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "d"), "--minutes", minutes])
        assert isinstance(result.exception, UsageError)
        assert "positive" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    from edgegen.demo import demo

    (tmp_path / "file").write_text("")
    with pytest.raises(EdgegenError, match="cannot use the folder"):
        demo(tmp_path / "file", 1.0, data=tmp_path)


def test_only_a_run_of_a_demo_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgegen import demo

    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").write_text("weeks of work")
    with pytest.raises(UsageError, match=r"run holds a run that no demo made: choose another folder with -o$"):
        demo.demo(tmp_path, 1.0, data=tmp_path)
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]
    (run / "model.safetensors").unlink()

    def killed(data: Path, run: Path, *rest: object, **options: object) -> None:
        assert not (run / "model.safetensors").exists()
        (run / "model.safetensors").write_text("a demo's")
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            demo.demo(tmp_path, 1.0, data=tmp_path)


def test_the_shipped_data_is_there_or_missed_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert edgelab().name == "edgelab.parquet"
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    with pytest.raises(EdgegenError, match="install edgegen again"):
        edgelab()


def test_the_command_line_loads_nothing_of_the_demo() -> None:
    code = "import edgegen.cli, sys; sys.exit('edgegen.demo' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""The Triton kernels compile for GPUs that are not here, and none of them spills."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
@pytest.mark.parametrize(("target", "dtype"), [("sm_80", "float32"), ("sm_90", "bfloat16")])
def test_kernels_compile_without_a_gpu(target: str, dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    # Interpreted kernels cannot be compiled; a cache of earlier runs would leave nothing to compile.
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(BENCH / "kernel_resources.py"), "--target", target, "--type", dtype]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert {row["kernel"] for row in rows} == {
        "scan_forward",
        "scan_gradient_of_states",
        "scan_join",
        "scan_backward",
        "conv_forward",
        "conv_backward",
    }
    assert all(row["spilled_bytes"] == 0 and 0 < row["registers"] <= 255 for row in rows)

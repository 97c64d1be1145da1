"""Every path of the kernels on this machine."""

import os
import shutil

import pytest

# Before triton is imported: its kernels then run on CPU tensors.
os.environ.setdefault("TRITON_INTERPRET", "1")

from edgegen.kernels import native, operators


@pytest.fixture(params=["c", "torch", "triton"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What computes the kernels in this test, whatever would in others."""
    if request.param == "c" and native.library() is None:
        # Where there is a compiler, it must be able to.
        assert not shutil.which("gcc")
        pytest.skip("gcc is missing")
    if request.param == "triton":
        pytest.importorskip("triton")
        from edgegen.kernels import gpu

        # Programs of few channels: the interpreter takes a scan element by element, and several blocks are seen.
        monkeypatch.setattr(gpu, "TILE", 256)
        monkeypatch.setattr(gpu, "CHANNELS", 32)
        monkeypatch.setattr(gpu, "CONV_CHANNELS", 32)
    monkeypatch.setattr(operators, "path", lambda x: request.param)
    return str(request.param)

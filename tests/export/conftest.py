"""Runs, their graphs and their bundles: slow to make, so each is made once for all pytest processes."""

import fcntl
import functools
import os
from collections.abc import Callable
from pathlib import Path

import compiled
import onnx
import pytest
import torch

from edgegen import checkpoint
from edgegen.bundle import INT8
from edgegen.codec import Codec, Label
from edgegen.datasets import edgelab_llama
from edgegen.export import build
from edgegen.export.step_graph import step_graph
from edgegen.export.targets import TARGETS
from edgegen.models import configure, create

# Untrained models hardly ever end a flow before its last packet: eight are as good as sixteen, and half the work.
# Every other label has modes, of which one is never drawn.
MODES = (), (4, 0, 9)
CODEC = Codec(tuple(Label(f"app{i}", 1 / 12, (6, 17, None)[i % 3], MODES[i % 2]) for i in range(12)), max_packets=8)

Once = Callable[[str, Callable[[Path], object]], Path]
Forms = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """A path that the first process to ask for its name fills and all others find."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        path = folder / name
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                partial = folder / f"partial-{name}"
                make(partial)
                partial.rename(path)
        return path

    return made


def write_run(folder: Path, arch: str, size: str) -> None:
    """An untrained run whose weights are large enough for logits that differ, gains and biases included."""
    torch.manual_seed(0)
    model = create(configure(arch, size, CODEC))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.normal_(std=weight.shape[1] ** -0.5)
            elif "dt_proj" not in name:
                weight.add_(0.1 * torch.randn_like(weight))
    folder.mkdir()
    checkpoint.save(folder, model)
    config = {"model": model.config.to_json(), "codec": CODEC.to_json(), "provenance": {"data": "none"}}
    checkpoint.save_config(folder, config)


@pytest.fixture(scope="session")
def runs(once: Once) -> Forms:
    """(arch, size) -> an untrained run; the base LLaMA is the trained one that ships."""

    def run(arch: str, size: str) -> Path:
        if (arch, size) == ("llama", "base"):
            return edgelab_llama()
        return once(f"run-{arch}-{size}", lambda path: write_run(path, arch, size))

    return run


@pytest.fixture(scope="session")
def graphs(once: Once, runs: Forms) -> Forms:
    """(arch, size) -> the fp32 step graph of its run."""

    def write(path: Path, run: Path) -> None:
        onnx.save(step_graph(checkpoint.load(run)[0]), path)

    return lambda arch, size: once(f"{arch}-{size}.onnx", lambda path: write(path, runs(arch, size)))


Export = Callable[..., None]


@pytest.fixture(scope="session")
def export(runs: Forms, graphs: Forms) -> Export:
    """Writes the bundle of a run for some targets, from the step graph that is there."""

    def write(path: Path, arch: str, size: str, names: tuple[str, ...], precision: str = INT8) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "step_graph", lambda model: (model.fold(), onnx.load(graphs(arch, size)))[1])
            build.export(runs(arch, size), path, names, precision=precision)

    return write


@pytest.fixture(scope="session")
def bundles(once: Once, export: Export) -> Forms:
    """(arch, size) -> the bundle of its run: the tiny ones for every target, the others for this machine."""

    def bundle(arch: str, size: str) -> Path:
        names = tuple(TARGETS) if size == "tiny" else ()
        return once(f"{arch}-{size}.edgegen", lambda path: export(path, arch, size, names))

    return bundle


@pytest.fixture(scope="module")
def compiled_for(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> compiled.Compiled:
    """Instructions -> what the test file's kernels_of(instructions) gives, compiled in that variant."""
    kernels_of = request.module.kernels_of
    return functools.cache(lambda name: compiled.load(kernels_of(name), name, tmp_path_factory.mktemp("kernels")))


@pytest.fixture(params=compiled.DOTS)
def kernels(request: pytest.FixtureRequest, compiled_for: compiled.Compiled) -> compiled.Kernels:
    """The same in every variant that can run here."""
    return compiled_for(request.param)

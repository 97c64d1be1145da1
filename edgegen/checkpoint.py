"""A run folder: the best weights, what they are, and what it takes to go on after a kill.

model.safetensors   weights of the epoch with the lowest validation loss
config.json         the model's sizes, the codec, and where they come from
last.safetensors    weights and optimisers after the last whole epoch
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from edgegen import models
from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.models import Generator
from edgegen.temporary import new_file

MODEL, CONFIG, LAST = "model.safetensors", "config.json", "last.safetensors"


def save(run: Path, model: Generator) -> None:
    """Write the best weights."""
    _write_tensors(run / MODEL, model.state_dict(), {})


def save_config(run: Path, config: dict[str, Any]) -> None:
    """Write what a run is; `load` reads the entries `model` and `codec`."""
    _replace(run / CONFIG, lambda path: path.write_text(json.dumps(config, indent=1) + "\n"))


def load(run: Path) -> tuple[Generator, Codec, dict[str, Any]]:
    """Model (for evaluation, on the CPU), codec and config of a run; EdgegenError says what is wrong."""
    config = read_config(run)
    if not (run / MODEL).is_file():
        raise _unfinished(run, MODEL)
    try:
        codec, sizes = Codec.from_json(config["codec"]), models.from_json(config["model"])
        if not sizes.codec_sizes(codec).items() <= sizes.to_json().items():
            raise ValueError("its codec is another model's")
        weights = load_file(run / MODEL)
        # Before memory is asked for, which wrong sizes may want more of than there is.
        with torch.device("meta"):
            shapes = {name: weight.shape for name, weight in models.create(sizes).state_dict().items()}
        if shapes != {name: weight.shape for name, weight in weights.items()}:
            raise ValueError("its weights have other sizes than its configuration says")
        model = models.create(sizes).eval()
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError, EdgegenError) as error:
        raise _damaged(run, error) from error
    return model, codec, config


def read_config(run: Path) -> dict[str, Any]:
    """What `save_config` wrote."""
    if not (run / CONFIG).is_file():
        raise _unfinished(run, CONFIG)
    try:
        config = json.loads((run / CONFIG).read_text())
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} is no JSON object")
    except (ValueError, RecursionError) as error:
        raise _damaged(run, error) from error
    return config


def save_last(run: Path, model: Generator, optimisers: Sequence[Optimizer], progress: dict[str, Any]) -> None:
    """Write everything `load_last` needs to go on; `progress` is any JSON."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for which, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{which}.{index}.{name}": tensor for name, tensor in state.items()}
    _write_tensors(run / LAST, tensors, {"progress": json.dumps(progress)})


def load_last(run: Path, model: Generator, optimisers: Sequence[Optimizer]) -> None:
    """Set model and optimisers to where `save_last` left them."""
    weights: dict[str, Tensor] = {}
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimisers]
    try:
        for name, tensor in load_file(run / LAST).items():
            kind, rest = name.split(".", 1)
            if kind == "model":
                weights[rest] = tensor
            else:
                which, index, field = rest.split(".")
                states[int(which)].setdefault(int(index), {})[field] = tensor
        model.load_state_dict(weights)
        for optimiser, state in zip(optimisers, states, strict=True):
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    except (SafetensorError, RuntimeError, ValueError, IndexError) as error:
        raise EdgegenError(f"{run / LAST} is damaged: remove the run and train it again") from error


def read_progress(run: Path) -> dict[str, Any] | None:
    """What `save_last` was given, or None where no epoch was finished yet."""
    if not (run / LAST).is_file():
        return None
    try:
        with safe_open(run / LAST, "pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EdgegenError(f"{run / LAST} is damaged: remove the run and train it again") from error
    return progress


def _write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _replace(path, lambda partial: save_file(plain, partial, metadata))


def _replace(path: Path, write: Any) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it; on failure nothing is left behind."""
    try:
        with new_file(path) as partial:
            write(partial)
            # safetensors makes files that only their owner can read.
            partial.chmod(0o644)
            os.replace(partial, path)
    except OSError as error:
        raise _unwritten(path, error.strerror or str(error)) from error
    except SafetensorError as error:
        raise _unwritten(path, str(error)) from error


def _unfinished(run: Path, name: str) -> EdgegenError:
    return EdgegenError(f"{run} is not a trained run ({name} is missing): train it with 'edgegen train'")


def _unwritten(path: Path, reason: str) -> EdgegenError:
    return EdgegenError(f"cannot write {path} ({reason}): free space and go on with --resume, or choose another place")


def _damaged(run: Path, error: Exception) -> EdgegenError:
    reason = str(error).splitlines()[0].rstrip(".:") if str(error) else type(error).__name__
    return EdgegenError(f"the run {run} is damaged ({reason}): train it again")

"""A run: a model trained on a table of flows, from nothing or from another run, and resumed after a kill."""

import math
import platform
import sys
import time
from collections.abc import Callable
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from edgegen import checkpoint, models
from edgegen.codec import Codec
from edgegen.distill import Distillation
from edgegen.errors import EdgegenError, UsageError
from edgegen.kernels import native
from edgegen.models.adapt import adapt, learn_labels
from edgegen.models.diffusion import Diffusion
from edgegen.modes import Modes
from edgegen.readers import read_flows, read_real_flows
from edgegen.repeats import once
from edgegen.resume import held, progress_of
from edgegen.sequences import encode, objective
from edgegen.split import Split, split
from edgegen.trainer import ADAPTED, DISTILLED, FRESH, RECIPES, Trainer

PAUSE = 10.0


def train(
    flows_path: Path,
    run: Path,
    arch: str,
    size: str | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    resume: bool = False,
    init: Path | None = None,
    max_packets: int | None = None,
    times: bool | None = None,
    threads: int | None = None,
    hold_out: bool = True,
    distill: Path | None = None,
    refinements: int | None = None,
    keep_repeats: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train a model on the flows of `flows_path` and leave the best of its epochs in the folder `run`.

    Ends after `epochs` (where neither is given those of its recipe, see trainer.py), after `minutes`, or when the
    validation loss has not fallen for some epochs. `resume` goes on after the last whole epoch, and on the same
    machine ends with the weights of an unbroken run, bit for bit, unless `minutes` is given.

    size, max_packets, times: base, 16 and True where nothing is said.
    init:     a run of a token model that knows other labels. What it lacks of the new ones is learned first, with
              all else as it is, then everything at a low rate: a handful of flows for each label is enough.
    hold_out: False trains on all flows, where they are too few to spare any; losses are then of training flows.
    distill:  a diffusion whose flows are learned in fewer refinements; size, max_packets and times are its
              own, and no others can be asked for.
    refinements: of a diffusion's flows; None: 8, of a distilled one 2.
    keep_repeats: learns a flow as often as it stands there, even where nothing else is like it (see repeats.py).
    say:      is told of epochs, though not more often than every PAUSE seconds, and of the last.
    Returns `run`.
    """
    if threads:
        torch.set_num_threads(threads)
    if minutes is not None:
        check_minutes(minutes)
    if refinements is not None and arch != "diffusion":
        raise UsageError(f"{arch} makes flows token by token: --refinements is for --arch diffusion")
    if init and arch == "diffusion":
        raise UsageError("--init is for llama and mamba: train a diffusion on these flows from nothing")
    if distill and arch != "diffusion":
        raise UsageError("--distill is for --arch diffusion: what it teaches is to refine flows in fewer steps")
    teaching = Distillation(distill) if distill else None
    size, max_packets, times = _shape(teaching, size, max_packets, times)
    recipe = DISTILLED if teaching else ADAPTED if init else RECIPES.get(arch, FRESH)
    # Of a flow that was made from another one, nothing is held out by holding out that.
    instead = "give the real ones, or --no-hold-out"
    flows = read_real_flows(flows_path, instead) if hold_out else read_flows(flows_path)
    if epochs is None and minutes is None:
        epochs = recipe.epochs_of(len(flows))
    with flows_path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    settings = {
        "data": flows_path.name,
        "sha256": digest,
        "arch": arch,
        "size": size,
        "epochs": epochs,
        "minutes": minutes,
        "seed": seed,
        "max_packets": max_packets,
        "times": times,
        "init": init.name if init else None,
        "hold_out": hold_out,
        "distill": distill.name if distill else None,
        "refinements": refinements,
        "keep_repeats": keep_repeats,
    }
    with held(run):
        progress = progress_of(run, settings, resume)
        # Without a seed of the split, nothing says that any of these flows is unseen.
        parts = split(flows, seed) if hold_out else Split(None, flows, flows)
        if not parts.validation:
            few = f"{flows_path.name} has too few flows to hold some out: give a label at least three, or --no-hold-out"
            raise EdgegenError(few)
        training = parts.train if keep_repeats else once(parts.train, max_packets)
        if repeats := len(parts.train) - len(training):
            say(f"{repeats:,} flows repeat others that nothing else is like: each is learned once")
        codec = teaching.codec if teaching else Codec.fit(training, max_packets, times)
        modes = None
        if arch == "diffusion" and not teaching:
            modes = Modes(codec, training)
            codec = modes.codec
        if progress and codec != Codec.from_json(checkpoint.read_config(run).get("codec")):
            raise EdgegenError(f"{run} tells flows apart in another way than is found now: choose another folder")
        torch.manual_seed(seed)
        model = teaching.student() if teaching else models.create(models.configure(arch, size, codec))
        if isinstance(model, Diffusion) and refinements is not None:
            model.refine_in(refinements)
        if init:
            trained, trained_codec, _ = checkpoint.load(init)
            new = adapt(model, codec, trained, trained_codec)
            if new and not progress:
                learn_labels(model, codec, training, new, seed)

        trainer = Trainer(
            model,
            codec,
            training,
            parts.validation,
            epochs,
            minutes,
            seed,
            recipe,
            teaching or objective,
            modes.encode if modes else encode,
        )
        if modes and isinstance(model, Diffusion):
            model.know(codec, trainer.tokens)
        if progress:
            checkpoint.load_last(run, trainer.model, trainer.optimisers)
            trainer.history, trainer.best = progress["history"], progress["best"]
            _keep_best(run, trainer)
        provenance = settings | {
            "flows": len(flows),
            "split": parts.to_json(),
            "repeats_left_out": repeats,
            "source": _source(init or distill),
            "precision": trainer.precision,
            "device": trainer.device.type,
            "kernels": trainer.model.kernels(),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in ("edgegen", "torch")},
        }
        if trainer.model.kernels() == "torch":
            print(f"edgegen: {arch} trains several times slower, since {native.compiled()}", file=sys.stderr)
        said = time.monotonic()
        while not trainer.over():
            improved = trainer.epoch()
            if improved:
                checkpoint.save(run, trainer.model)
            checkpoint.save_config(
                run,
                {
                    "arch": arch,
                    "size": size,
                    "model": model.config.to_json(),
                    "codec": codec.to_json(),
                    "provenance": provenance,
                    "best": trainer.best,
                    "history": trainer.history,
                },
            )
            # Last: what was not written before a kill is written again with the epoch that is gone over again.
            state = {"settings": settings, "history": trainer.history, "best": trainer.best}
            checkpoint.save_last(run, trainer.model, trainer.optimisers, state)
            if trainer.over() or time.monotonic() - said >= PAUSE:
                said = time.monotonic()
                say(_line(trainer.history[-1], epochs, hold_out, improved))
    return run


def check_minutes(minutes: float) -> None:
    """UsageError for what is no time to train for."""
    if not 0 < minutes < math.inf:
        raise UsageError(f"--minutes {minutes:g} is no time to train for: give a positive number")


def _keep_best(run: Path, trainer: Trainer) -> None:
    """Write the best weights again where they are damaged: those of the last epoch are in the run twice."""
    try:
        checkpoint.load(run)
    except EdgegenError as error:
        if trainer.best is None or trainer.best["epoch"] < len(trainer.history):
            lost = f"{run} has lost the weights of its best epoch ({checkpoint.MODEL})"
            raise EdgegenError(f"{lost}: train it again, in another folder") from error
        checkpoint.save(run, trainer.model)


def _line(record: dict[str, float], epochs: int | None, hold_out: bool, improved: bool) -> str:
    """What there is to say of an epoch."""
    losses = f"loss {record['training']:.4f}"
    if hold_out:
        losses += f", held out {record['validation']:.4f}{', kept' if improved else ''}"
    return f"epoch {record['epoch']}{f' of {epochs}' if epochs else ''}: {losses}; {record['seconds']:.0f} s"


def _shape(
    teaching: Distillation | None, size: str | None, max_packets: int | None, times: bool | None
) -> tuple[str, int, bool]:
    """Size, packets of a flow and whether it has times: what was asked for, a teacher's, or the usual."""
    if teaching is None:
        return size or "base", 16 if max_packets is None else max_packets, True if times is None else times
    own = teaching.size, teaching.codec.max_packets, teaching.codec.has_iat
    for asked, has in zip((size, max_packets, times), own, strict=True):
        if asked not in (None, has):
            kind = f"{own[0]}, of {own[1]} packets with{'' if own[2] else 'out'} times"
            raise UsageError(f"what --distill learns from is {kind}, and so is what learns: ask for nothing else")
    return own


def _source(run: Path | None) -> dict[str, Any] | None:
    """What the run that this one starts or learns from has seen, and that one's source."""
    if run is None:
        return None
    told = checkpoint.read_config(run).get("provenance")
    names = ("data", "sha256", "hold_out", "split", "init", "distill", "source")
    return {name: told.get(name) for name in names} if isinstance(told, dict) else {}

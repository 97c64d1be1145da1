"""One training loop for every model."""

import math
import platform
import sys
import time
from dataclasses import dataclass
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from edgegen import checkpoint, models
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.likelihood import nats_per_token
from edgegen.flow import Flow
from edgegen.models import Generator
from edgegen.models.adapt import adapt
from edgegen.readers import read_flows
from edgegen.sequences import PAD, encode, nats
from edgegen.split import split

EPOCHS = 18
PATIENCE = 4
BATCH = 64
# Batches whose flows are sorted by length together: little padding, and still a new mix in every epoch.
WINDOW = 16
LEARNING_RATE = 2e-3
# Share of the training over which the learning rate rises.
WARMUP = 0.05
WEIGHT_DECAY = 0.05
CLIP = 1.0
# A matrix by shape, but not by meaning: decay would pull it to a value that is nothing special.
UNDECAYED = ("conv_weight",)


@dataclass(frozen=True)
class Schedule:
    """A warm-up, then a cosine from LEARNING_RATE to 0 over `epochs` or `minutes`, whichever ends first.

    With minutes the clock has a part in it, so that two runs differ; with epochs alone they do not.
    """

    epochs: int | None
    minutes: float | None
    steps_per_epoch: int

    def progress(self, step: int, seconds: float) -> float:
        """Share of the training that is over, 0 to 1."""
        by_step = step / (self.epochs * self.steps_per_epoch) if self.epochs else 0.0
        by_clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_step, by_clock))

    def learning_rate(self, progress: float) -> float:
        """The rate at a share of the training."""
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return LEARNING_RATE * min(1.0, progress / WARMUP) * cosine


def train(
    flows_path: Path,
    run: Path,
    arch: str,
    size: str = "base",
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    resume: bool = False,
    init: Path | None = None,
    max_packets: int = 16,
    times: bool = True,
    threads: int | None = None,
) -> Path:
    """Train a model on the flows of `flows_path` and leave the best of its epochs in the folder `run`.

    Ends after `epochs` (18 where neither is given), after `minutes`, or when the validation loss has not
    fallen for four epochs. `resume` goes on after the last whole epoch, and on the same machine ends with the
    weights of an unbroken run, bit for bit, unless `minutes` is given. `init` is a run whose weights to start
    from. Returns `run`.
    """
    if threads:
        torch.set_num_threads(threads)
    if epochs is None and minutes is None:
        epochs = EPOCHS
    flows = read_flows(flows_path)
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
    }
    progress = _progress_of(run, settings, resume)
    parts = split(flows, seed)
    if not parts.validation:
        raise EdgegenError(f"{flows_path.name} has too few flows to hold some out: give a label at least three")
    codec = Codec.fit(parts.train, max_packets, times)
    torch.manual_seed(seed)
    model = models.create(models.configure(arch, size, codec))
    if init:
        trained, trained_codec, _ = checkpoint.load(init)
        adapt(model, codec, trained, trained_codec)

    trainer = Trainer(model, codec, parts.train, parts.validation, epochs, minutes, seed)
    if progress:
        checkpoint.load_last(run, trainer.model, trainer.optimiser)
        trainer.history, trainer.best = progress["history"], progress["best"]
    provenance = settings | {
        "flows": len(flows),
        "split": parts.to_json(),
        "precision": trainer.precision,
        "device": trainer.device.type,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("edgegen", "torch")},
    }
    _make_folder(run)
    while not trainer.over():
        improved = trainer.epoch()
        if improved:
            checkpoint.save(run, trainer.model)
        state = {"settings": settings, "history": trainer.history, "best": trainer.best}
        checkpoint.save_last(run, trainer.model, trainer.optimiser, state)
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
    return run


def _progress_of(run: Path, settings: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """What to go on from, or None where `run` is new; UsageError where it holds a run that this is not."""
    progress = checkpoint.read_progress(run)
    if progress and not resume:
        raise UsageError(f"{run} already holds a run: go on with --resume, or choose another folder")
    if progress and progress["settings"] != settings:
        differing = ", ".join(name for name in settings if progress["settings"].get(name) != settings[name])
        raise UsageError(f"{run} was started with other settings ({differing}): resume with the same ones")
    return progress


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgegenError(f"cannot make the folder {run}: {error.strerror}") from error


class Trainer:
    """Model, optimiser and data of one run; `history` has a record for each epoch, `best` the lowest."""

    def __init__(
        self,
        model: Generator,
        codec: Codec,
        training: list[Flow],
        validation: list[Flow],
        epochs: int | None,
        minutes: float | None,
        seed: int,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = "bf16" if _has_bf16(self.device) else "fp32"
        self.model = model.to(self.device)
        self.codec, self.validation, self.seed = codec, validation, seed
        self.tokens = encode(codec, training)
        self.lengths = (self.tokens != PAD).sum(1)
        self.optimiser = _optimiser(self.model)
        self.schedule = Schedule(epochs, minutes, -(-len(training) // BATCH))
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None

    def over(self) -> bool:
        """Whether the schedule is through, or the validation loss has stopped falling."""
        done = len(self.history)
        stalled = self.best is not None and done - self.best["epoch"] >= PATIENCE
        seconds = sum(record["seconds"] for record in self.history)
        return stalled or self.schedule.progress(done * self.schedule.steps_per_epoch, seconds) >= 1.0

    def epoch(self) -> bool:
        """Train one epoch (less where the minutes run out) and validate; whether it is the best so far.

        All randomness is drawn from the seed and the number of the epoch: a resumed run needs no other state.
        """
        number = len(self.history)
        torch.manual_seed(self.seed * 1_000_003 + number)
        before = sum(record["seconds"] for record in self.history)
        started, cpu_started = time.monotonic(), time.process_time()
        self.model.train()
        total, count = 0.0, 0
        with _progress_bar() as bar:
            task = bar.add_task("", total=1.0)
            for i, batch in enumerate(self.batches()):
                step = number * self.schedule.steps_per_epoch + i
                progress = self.schedule.progress(step, before + time.monotonic() - started)
                if progress >= 1.0:
                    break
                losses = self.update(batch, self.schedule.learning_rate(progress))
                total, count = total + losses.sum().item(), count + len(losses)
                bar.update(task, completed=progress, description=f"epoch {number + 1}, loss {total / count:.4f}")
        if not math.isfinite(total):
            raise EdgegenError(f"training diverged in epoch {number + 1}: the loss is not a number; try another seed")
        validation = nats_per_token(self.model, self.codec, self.validation)
        record = {
            "epoch": number + 1,
            "training": total / max(1, count),
            "validation": validation.per_token,
            "validation_per_packet": validation.per_packet,
            "seconds": time.monotonic() - started,
            "cpu_seconds": time.process_time() - cpu_started,
        }
        self.history.append(record)
        improved = self.best is None or record["validation"] < self.best["validation"]
        if improved:
            self.best = record
        return improved

    def batches(self) -> list[Tensor]:
        """Indices of the training flows in batches of similar length, in a random order."""
        order = torch.randperm(len(self.lengths))
        sorted_windows = [window[self.lengths[window].argsort(stable=True)] for window in order.split(WINDOW * BATCH)]
        batches = torch.cat(sorted_windows).split(BATCH)
        return [batches[i] for i in torch.randperm(len(batches))]

    def update(self, batch: Tensor, learning_rate: float) -> Tensor:
        """One step of the optimiser; the losses of the batch's tokens."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            losses = nats(self.model, self.codec, self.tokens[batch].to(self.device))
        self.optimiser.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimiser.step()
        return losses.detach()


def _optimiser(model: Generator) -> torch.optim.Optimizer:
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not name.endswith(UNDECAYED)
        (decayed if matrix else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)

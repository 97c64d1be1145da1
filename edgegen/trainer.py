"""Model, optimisers and data of one training: an epoch at a time."""

import math
import sys
import time
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.likelihood import nats_per_token
from edgegen.models import Generator
from edgegen.muon import Muon
from edgegen.sequences import PAD, Encode, Objective, encode, objective

PATIENCE = 4
# Batches whose flows are sorted by length together: little padding, and still a new mix in every epoch.
WINDOW = 16
# Share of the training over which the learning rate rises.
WARMUP = 0.05
WEIGHT_DECAY = 0.05
CLIP = 1.0
# A matrix by shape, but not by meaning: decay would pull it to a value that is nothing special.
UNDECAYED = ("conv_weight",)


@dataclass(frozen=True)
class Recipe:
    """How to train: the highest learning rate, flows of a batch, epochs of many flows and of fewer than few_flows.

    muon:       blocks learn by Muon, not by AdamW
    near:       share of packets taken for others of about their length (sequences.losses_of) at first; at last none is
    to_the_end: goes through the whole schedule and keeps the last epoch, whatever the validation loss says
    """

    learning_rate: float
    batch: int
    epochs: int
    few_flows: int
    few_epochs: int
    muon: bool = False
    near: float = 0.0
    to_the_end: bool = False

    def epochs_of(self, flows: int) -> int:
        """Epochs where nobody says how many, by the number of flows."""
        return self.few_epochs if flows < self.few_flows else self.epochs


# A model from nothing: few flows are learned by heart before a long schedule ends.
FRESH = Recipe(learning_rate=2e-3, batch=64, epochs=12, few_flows=10_000, few_epochs=10, muon=True, near=0.12)
# Mamba, whose loss Muon did not lower on quic5, and which knows few flows by heart sooner.
RECURRENT = replace(FRESH, few_epochs=8, muon=False, near=0.0)
# One that knows other labels already.
ADAPTED = Recipe(learning_rate=1e-3, batch=32, epochs=8, few_flows=0, few_epochs=8, near=0.12)
# One that refines whole flows: an epoch shows it each of them at one time of many, and the loss, a mean over all times,
# does not say which of two models makes the better flows. Of few flows, one that goes on for longer repeats even those
# that it has seen once an epoch.
REFINED = Recipe(learning_rate=2e-3, batch=128, epochs=120, few_flows=10_000, few_epochs=40, to_the_end=True)
# One that learns from another: flows are made anew for every batch, so none is learned by heart.
DISTILLED = Recipe(learning_rate=1e-3, batch=128, epochs=20, few_flows=4_000, few_epochs=60, to_the_end=True)
RECIPES = {"mamba": RECURRENT, "diffusion": REFINED}


@dataclass(frozen=True)
class Schedule:
    """A warm-up, then a cosine from `peak` to 0 over `epochs` or `minutes`, whichever ends first.

    With minutes the clock has a part in it, so that two runs differ; with epochs alone they do not.
    """

    peak: float
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
        return self.peak * min(1.0, progress / WARMUP) * cosine


class Trainer:
    """Model, optimisers and data of one run; `history` has a record for each epoch, `best` the lowest."""

    def __init__(
        self,
        model: Generator,
        codec: Codec,
        training: list[Flow],
        validation: list[Flow],
        epochs: int | None,
        minutes: float | None,
        seed: int,
        recipe: Recipe = FRESH,
        objective: Objective = objective,
        encode: Encode = encode,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = "bf16" if _has_bf16(self.device) else "fp32"
        self.model = model.to(self.device)
        self.codec, self.validation, self.seed, self.recipe = codec, validation, seed, recipe
        self.objective, self.encode = objective, encode
        self.tokens = encode(codec, training)
        self.lengths = (self.tokens != PAD).sum(1)
        self.optimisers = _optimisers(self.model, recipe)
        self.schedule = Schedule(recipe.learning_rate, epochs, minutes, -(-len(training) // recipe.batch))
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
                losses = self.update(batch, progress)
                total, count = total + losses.sum().item(), count + len(losses)
                bar.update(task, completed=progress, description=f"epoch {number + 1}, loss {total / count:.4f}")
        if not math.isfinite(total):
            raise EdgegenError(f"training diverged in epoch {number + 1}: the loss is not a number; try another seed")
        validation = nats_per_token(self.model, self.codec, self.validation, self.objective, self.encode)
        record = {
            "epoch": number + 1,
            "training": total / max(1, count),
            "validation": validation.per_token,
            "validation_per_packet": validation.per_packet,
            "seconds": time.monotonic() - started,
            "cpu_seconds": time.process_time() - cpu_started,
        }
        self.history.append(record)
        improved = self.best is None or self.recipe.to_the_end or record["validation"] < self.best["validation"]
        if improved:
            self.best = record
        return improved

    def batches(self) -> list[Tensor]:
        """Indices of the training flows in batches of similar length, in a random order."""
        order = torch.randperm(len(self.lengths))
        sorted_windows = [
            window[self.lengths[window].argsort(stable=True)] for window in order.split(WINDOW * self.recipe.batch)
        ]
        batches = torch.cat(sorted_windows).split(self.recipe.batch)
        return [batches[i] for i in torch.randperm(len(batches))]

    def update(self, batch: Tensor, progress: float) -> Tensor:
        """One step of the optimisers when a share of the training is over; the losses of the batch's tokens."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.schedule.learning_rate(progress)
        near = self.recipe.near * (1 - progress)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            losses, besides = self.objective(self.model, self.codec, self.tokens[batch].to(self.device), near)
        self.model.zero_grad()
        (losses.mean() + besides).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        return losses.detach()


def _optimisers(model: Generator, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """One for every parameter: Muon for the matrices of blocks, where the recipe says so, and AdamW for all others."""
    orthogonal: list[Tensor] = []
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not name.endswith(UNDECAYED)
        within = recipe.muon and name.startswith("blocks.")
        (orthogonal if matrix and within else decayed if matrix else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    rate = recipe.learning_rate
    adam = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=True)
    return [adam, Muon(orthogonal, rate, WEIGHT_DECAY)] if orthogonal else [adam]


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)

"""Distillation: a diffusion that goes in few refinements where its teacher goes in many.

In the same mode and from the same noise the student has to expect, after each of its refinements, the codes of the
tokens that the teacher makes, and after the last one to choose those tokens. Its whole path is learned at once, so it
learns on the very codes that it will meet. Noise is as much as one wants, and of the real flows only the labels are
used.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen import checkpoint
from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.models import Generator
from edgegen.models.diffusion import Diffusion, noise
from edgegen.runtime.sampling import draw_modes
from edgegen.sequences import PAD, choices, losses_of

REFINEMENTS = 2
# Of its teacher, who may take his time: with more than the usual number flows are better.
TEACHERS_REFINEMENTS = 16


class Distillation:
    """A trained run as a teacher: called, what its student has to make small, in place of `sequences.objective`.

    Where the student is not training, noise and tokens are drawn alike at every call, so that losses can be compared.
    """

    def __init__(self, run: Path) -> None:
        teacher, self.codec, _ = checkpoint.load(run)
        if not isinstance(teacher, Diffusion):
            raise UsageError(f"{run} is a {teacher.config.arch}: only a diffusion can be distilled")
        if not teacher.config.distilled:
            teacher.refine_in(TEACHERS_REFINEMENTS)
        self.teacher = teacher.requires_grad_(False)

    @property
    def size(self) -> str:
        return self.teacher.config.size

    def student(self) -> Diffusion:
        """A model that starts as its teacher, and as everything that it learns is new each time, drops nothing out."""
        made = Diffusion(replace(self.teacher.config, refinements=REFINEMENTS, distilled=True, dropout=0.0))
        made.load_state_dict(self.teacher.state_dict())
        return made

    def __call__(self, model: Generator, codec: Codec, tokens: Tensor, near: float) -> tuple[Tensor, Tensor]:
        """Nats of the teacher's tokens, of those that were a choice, and the squared error of what was expected.

        tokens: (batch, time), of which the labels are read; near: see losses_of
        """
        assert isinstance(model, Diffusion)
        teacher, label = self.teacher.to(tokens.device), tokens[:, 0]
        generator = None if model.training else torch.Generator().manual_seed(0)
        start = noise((len(label), codec.steps * model.config.code), generator).to(teacher.tokens)
        seed = int(torch.randint(2**62, (), generator=generator))
        flows = np.arange(len(label), dtype=np.uint64)
        drawn, _ = draw_modes(codec, seed, flows, label.cpu().numpy().astype(np.int32))
        mode = torch.from_numpy(drawn).to(label)
        made = draw(teacher, codec, label, teacher.path(mode, start)[0], generator)
        codes = teacher.codes()[made[:, 1:-1].clamp(min=0).where(made[:, 1:-1] != PAD, codec.end)].flatten(1)
        vectors, expectations = model.path(mode, start)
        error = torch.stack([F.mse_loss(expected, codes) for expected in expectations]).mean()
        return torch.cat([losses for _, losses in losses_of(vectors, model.table(), codec, made, near)]), error


def draw(model: Generator, codec: Codec, label: Tensor, vectors: Tensor, generator: torch.Generator | None) -> Tensor:
    """Token ids (batch, codec.length) of flows with label tokens (batch,), from vectors (batch, steps, d)."""
    tokens = torch.full((len(label), codec.length), codec.end, device=label.device)
    tokens[:, 0] = label
    table, free = model.table(), choices(codec)
    for position in range(1, codec.length):
        tokens[:, position] = codec.legal(position)[0]
    for (low, high), positions in free.items():
        at = torch.tensor(positions, device=label.device)
        chances = F.linear(vectors[:, at - 1], table[low:high]).softmax(-1)
        drawn = torch.multinomial(chances.flatten(0, 1).cpu(), 1, generator=generator)
        tokens[:, at] = low + drawn.view(len(label), -1).to(label)
    over = (tokens == codec.end).cumsum(1)
    return tokens.masked_fill((over > 1) | ((over == 1) & (tokens != codec.end)), PAD)

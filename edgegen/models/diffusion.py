"""Flow matching: a whole flow at once, refined from noise in a few steps.

Every position after the first has a code, a point of unit scale in a few dimensions that is learned for its token.
Codes mixed with noise move on straight lines from the one (time 0) to the other (time 1):

    x(t) = (1 - t) noise + t code        dx/dt = (E[code | x, t] - x) / (1 - t)        (Lipman et al. 2023)

The network is told the mode of the flow (modes.py), which is drawn beforehand: what a label's flows have in common, and
more. It reads all positions together, with its last guess at them (Chen et al. 2023), and gives two things. A guess,
from which and from where the path is now the codes are estimated,

    estimate = (1 - t) guess + t x

so that the nearer the end, the less of them has to pass through the network (as in Karras et al. 2022). And for each
position a vector, which together with its estimated code tells which token it is. Of the vocabulary, most of the
arithmetic, that is asked once a flow, after the last refinement. Of kinds of tokens it is asked in all of them: an
estimate is linear in what the network has found, and E[code | x, t] is made of choices (kinds.py).

Shapes: b batch, p positions, c width of a code, d width of the table, w width of the network.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.models.base import Config, Generator, RMSNorm, SwiGLU
from edgegen.models.kinds import Kinds, trust
from edgegen.runtime.sampling import NOISE_MEAN, NOISE_SCALE

FREQUENCIES, TIME_WIDTH = 16, 64
MOST_REFINEMENTS = 64
# Width of training's noise, where a flow starts from 1: on quic5, forests learned more from flows that started further
# out than training had shown, and less from those that started closer.
TRAINING_NOISE = 1 / 1.2

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d": 16, "layers": 2, "width": 64, "ffn": 112, "code": 8, "common": 16},
    "base": {"d": 48, "layers": 4, "width": 256, "ffn": 320, "code": 8, "common": 160},
}


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(Config):
    """width, ffn: of the network; code: dimensions of a token's code; refinements: evaluations for a flow.

    common: packets that have a kind of their own, see kinds.py
    mode_base, modes: where tokens of modes stand in the vocabulary, as in the codec, and how many there are
    distilled: it has learned to go in this number of refinements and in no other
    """

    width: int
    ffn: int
    code: int
    common: int
    mode_base: int
    modes: int
    refinements: int = 8
    distilled: bool = False
    arch: str = "diffusion"

    @classmethod
    def codec_sizes(cls, codec: Codec) -> dict[str, int]:
        modes = {"mode_base": codec.mode_base, "modes": codec.size - codec.mode_base}
        return super().codec_sizes(codec) | modes

    @property
    def end(self) -> int:
        """The token <end>, which also fills what comes after it."""
        return self.packet_base + 2 * (self.max_pl + 1)


def noise(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """What `edgegen.runtime.sampling.noise` draws from: sums of four bytes, as good as normal and exact everywhere."""
    total = torch.randint(0, 256, (*shape, 4), generator=generator).sum(-1) - int(NOISE_MEAN)
    return total.float() * float(NOISE_SCALE)


def unit(codes: Tensor) -> Tensor:
    """Codes (..., c) of the same directions, their mean square 1."""
    return codes * torch.rsqrt((codes * codes).mean(-1, keepdim=True) + 1e-8)


class Block(SwiGLU):
    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config.width, config.ffn, config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.swiglu(x)


class Diffusion(Generator):
    """The model; `step` is one refinement, its states are the codes so far and the last guess at them."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config)
        d, w, size = config.d, config.width, config.steps * config.code
        # Only learning needs codes of tokens: a flow that is made goes from noise to vectors for the head.
        self.code_tokens: nn.Parameter | None = nn.Parameter(torch.randn(config.vocabulary, config.code) * 0.5)
        self.code_coarse: nn.Parameter | None = nn.Parameter(torch.randn(2 * config.bins, config.code))
        self.read_codes = nn.Linear(2 * size, w, bias=False)
        self.read_mode = nn.Linear(d, w, bias=False)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, TIME_WIDTH), nn.SiLU(), nn.Linear(TIME_WIDTH, w))
        self.times: nn.Parameter | None = None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(w)
        self.guess = nn.Linear(w, size, bias=False)
        self.ask = nn.Linear(w, config.steps * d, bias=False)
        self.ask_code = nn.Linear(config.code, d, bias=False)
        self.kinds = Kinds(config, config.common, self.get_buffer("coarse_of_packet"))
        self.trusts: nn.Parameter | None = None
        # The label's token of each mode.
        self.register_buffer("label_of_mode", torch.zeros(config.modes, dtype=torch.int64))
        self.refine_in(config.refinements)
        for name, weight in self.blocks.named_parameters():
            if name.endswith("down.weight"):
                # Residual branches start smaller, so that the stream does not grow with depth.
                nn.init.normal_(weight, std=0.06 / (2 * config.layers) ** 0.5)

    def refine_in(self, refinements: int) -> None:
        """Take as many refinements for a flow from now on: what was learned holds for all times between 0 and 1."""
        if not 1 <= refinements <= MOST_REFINEMENTS:
            raise UsageError(f"refinements {refinements} are outside 1..{MOST_REFINEMENTS}")
        self.config = replace(self.config, refinements=refinements)
        # Closer together the earlier: which flow it is to be is decided while little of it can be seen.
        times = (torch.arange(refinements + 1)[:, None] / refinements).square()
        self.register_buffer("passed", times[:-1], persistent=False)
        # Of the way that is left.
        self.register_buffer("shares", times.diff(dim=0) / (1 - times[:-1]), persistent=False)

    def know(self, codec: Codec, tokens: Tensor) -> None:
        """What can be said of training sequences before they are learned: whose the modes are, and what is common."""
        counts = torch.tensor([len(label.modes) for label in codec.labels])
        labels = codec.label_base + torch.arange(len(counts))
        self.get_buffer("label_of_mode").copy_(labels.repeat_interleave(counts))
        self.kinds.count_tokens(tokens)

    def table(self) -> Tensor:
        """Rows of modes are what they add to their label's."""
        table = super().table()
        if self.coarse is None or not self.config.modes:
            return table
        first, last = self.config.mode_base, self.config.mode_base + self.config.modes
        modes = table[first:last] + F.embedding(self.get_buffer("label_of_mode"), table)
        return torch.cat([table[:first], modes, table[last:]])

    def time_rows(self, time: Tensor) -> Tensor:
        """(b, w) for times (b,) in 0..1."""
        angle = time[:, None] * 10.0 ** torch.linspace(1, -2, FREQUENCIES, device=time.device)
        rows: Tensor = self.time(torch.cat([angle.sin(), angle.cos()], dim=1))
        return rows

    def fold(self) -> None:
        super().fold()
        if self.times is None:
            self.times = nn.Parameter(self.time_rows(self.get_buffer("passed")[:, 0]).detach())
            spread = self.kinds.fold(self.codes().detach())
            self.trusts = nn.Parameter(trust(self.get_buffer("passed"), spread, TRAINING_NOISE))
            del self.time
            self.code_tokens = self.code_coarse = None

    def trunk(self, x: Tensor, guess: Tensor, mode: Tensor, time: Tensor) -> Tensor:
        """(b, w) from codes and the last guess (b, p * c), modes' rows (b, d) and times' rows (b, w)."""
        h = self.read_codes(torch.cat([x, guess], dim=1)) + (self.read_mode(mode) + time)
        for block in self.blocks:
            h = block(h)
        return self.norm(h)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (b, p, d) of the positions of sequences (b, length), and the mean squared error of the regression.

        In training at random times; else at times that are the same at every call, so that losses can be compared.

        tokens: the first of each sequence is that of its mode
        """
        b, p = len(tokens), self.config.steps
        generator = None if self.training else torch.Generator().manual_seed(0)
        table = self.table()
        filled = F.pad(tokens[:, 1 : 1 + p], (0, max(0, 1 + p - tokens.shape[1])), value=-1)
        filled = torch.where(filled < 0, self.config.end, filled)
        raw = self.raw_codes()[filled]
        codes, shown = unit(raw).flatten(1), unit(self.shown(raw, filled)).flatten(1)
        start = TRAINING_NOISE * noise((b, codes.shape[1]), generator).to(codes)
        order = torch.randperm(b, generator=generator)
        time = ((torch.rand(1, generator=generator) + order) / b).to(codes)
        x = (1 - time)[:, None] * start + time[:, None] * shown
        mode, rows = F.embedding(tokens[:, 0], table), self.time_rows(time)
        with torch.no_grad():
            known = (torch.rand(b, generator=generator) < 0.5).to(codes)[:, None]
            guess = known * self.guess(self.trunk(x, torch.zeros_like(x), mode, rows))
        hidden = self.trunk(x, guess, mode, rows)
        guess = self.guess(hidden)
        estimate = guess + (x - guess) * time[:, None]
        # What the head makes of the estimate is not to change it.
        vectors = self.vectors(hidden, estimate.detach())
        kinds = self.kinds.logits(vectors).flatten(0, 1)
        odds = F.cross_entropy(kinds, self.kinds.of_tokens()[filled].flatten())
        return vectors, F.mse_loss(estimate, codes.detach()) + odds

    def shown(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """Raw codes (b, p, c) of tokens (b, p) as they are read: in training some packets have their bin's alone."""
        if not self.training:
            return codes
        assert self.code_tokens is not None
        return codes - self.code_tokens[tokens] * self.coarse_only(tokens).unsqueeze(-1)

    def vectors(self, hidden: Tensor, estimate: Tensor) -> Tensor:
        """What the head reads, (b, p, d), from the trunk's (b, w) and the estimated codes (b, p * c)."""
        b, p = len(hidden), self.config.steps
        return self.ask(hidden).view(b, p, -1) + self.ask_code(estimate.view(b, p, -1))

    def path(self, mode: Tensor, start: Tensor) -> tuple[Tensor, list[Tensor]]:
        """All refinements as `step` does them, to learn from: the last one's vectors (b, p, d), and what each expected.

        mode: tokens (b,); start, expectations: (b, p * c)
        """
        rows, x, guess = F.embedding(mode, self.table()), start, torch.zeros_like(start)
        means, spread = self.kinds.means(self.codes())
        expectations = []
        for passed, share in zip(self.get_buffer("passed"), self.get_buffer("shares"), strict=True):
            hidden = self.trunk(x, guess, rows, self.time_rows(passed.expand(len(start))))
            guess = self.guess(hidden)
            estimate = guess + (x - guess) * passed
            vectors = self.vectors(hidden, estimate)
            likely = (self.kinds.logits(vectors).softmax(-1) @ means).flatten(1)
            expectations.append(likely + (estimate - likely) * trust(passed, spread, TRAINING_NOISE))
            x = x + (expectations[-1] - x) * share
        return vectors, expectations

    def codes(self) -> Tensor:
        """(vocabulary, c): unit variance, so that a code differs from noise in direction alone."""
        return unit(self.raw_codes())

    def raw_codes(self) -> Tensor:
        """The same before they have one scale."""
        assert self.code_tokens is not None, "fold() leaves no codes"
        assert self.code_coarse is not None
        return self.with_coarse(self.code_tokens, self.code_coarse)

    def step(self, token: Tensor, position: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Refinement `position` of flows with modes `token`: logits (b, p, vocabulary), codes, guess."""
        x, guess = state
        assert self.times is not None, "fold() makes the rows of the refinements"
        assert self.trusts is not None
        assert self.kinds.codes is not None
        table, first = self.table(), (position == 0).unsqueeze(-1)
        mode, time = F.embedding(token, table), F.embedding(position, self.times)
        hidden = self.trunk(x, torch.where(first, 0.0, guess), mode, time)
        guess = self.guess(hidden)
        estimate = guess + (x - guess) * F.embedding(position, self.get_buffer("passed"))
        vectors = self.ask(hidden).reshape(-1, self.config.d) + self.ask_code(estimate.reshape(-1, self.config.code))
        logits = F.linear(vectors, table).reshape(-1, self.config.steps, self.config.vocabulary)
        likely = F.linear(self.kinds.logits(vectors).softmax(-1), self.kinds.codes).reshape(x.shape)
        expected = likely + (estimate - likely) * F.embedding(position, self.trusts)
        x = x + (expected - x) * F.embedding(position, self.get_buffer("shares"))
        return logits, x, guess

    @property
    def refinements(self) -> int:
        return self.config.refinements

    def state_names(self) -> list[str]:
        return ["codes", "guess"]

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros; whoever samples puts noise into the codes."""
        shape = (batch, self.config.steps * self.config.code)
        return tuple(self.tokens.new_zeros(shape) for _ in self.state_names())

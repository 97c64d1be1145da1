"""What every token model shares: its sizes, the tied table, and the two forms, a sequence and one step."""

import reprlib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgegen.codec import Codec

# Of a size, so that a damaged configuration is told before memory is asked for.
MOST, MOST_LAYERS = 2**20, 256
# Sizes that may be nothing: a codec without times has no tokens before those of packets, and one may have no modes.
FROM_ZERO = ("packet_base", "max_pl", "modes")
COARSE_BYTES = 32
VOCABULARY_MULTIPLE = 64


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of one model.

    d: width of the residual stream; layers: blocks
    vocabulary: rows of the table, the codec's tokens rounded up to a multiple of 64
    steps: positions a model reads (0 is the label), the codec's `steps`
    packet_base, max_pl: where packet tokens stand in the vocabulary, as in the codec
    """

    arch: str
    size: str
    d: int
    layers: int
    vocabulary: int
    steps: int
    packet_base: int
    max_pl: int
    dropout: float = 0.1

    @property
    def bins(self) -> int:
        """Coarse bins of payload length, of each direction."""
        return self.max_pl // COARSE_BYTES + 1

    @classmethod
    def codec_sizes(cls, codec: Codec) -> dict[str, int]:
        """The fields that a codec determines."""
        return {
            "vocabulary": -(-codec.size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
            "steps": codec.steps,
            "packet_base": codec.packet_base,
            "max_pl": codec.max_pl,
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def check(self) -> None:
        """ValueError where no model has these sizes."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float:
                holds = type(value) in (int, float) and 0 <= value < 1
            elif field.type is int:
                least, most = 0 if field.name in FROM_ZERO else 1, MOST_LAYERS if field.name == "layers" else MOST
                holds = type(value) is int and least <= value <= most
            else:
                holds = type(value) is field.type
            if not holds:
                raise ValueError(f"{field.name} is {reprlib.repr(value)}")


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis."""

    def __init__(self, d: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.weight


class SwiGLU(nn.Module):
    """x + down(silu(gate) * up) of the normed x, over the last axis."""

    def __init__(self, d: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.ffn_norm = RMSNorm(d)
        self.gate_up = nn.Linear(d, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, d, bias=False)
        self.dropout = nn.Dropout(dropout)

    def swiglu(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.dropout(self.down(F.silu(gate) * up))


class Generator(nn.Module, ABC):
    """A model of token sequences with one table for embedding and head.

    The table is `tokens + coarse`, where the coarse part is shared by all packet tokens of one direction and
    one 32-byte bin of payload length: what is learned of 517 bytes then also holds for 520.

    coarse_only_share: of the packets that training reads by direction and bin alone, so that fewer flows are learned by
                       heart
    """

    coarse_only_share = 0.2

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        pl = torch.arange(config.max_pl + 1) // COARSE_BYTES
        self.tokens = nn.Parameter(torch.randn(config.vocabulary, config.d) * 0.02)
        self.coarse: nn.Parameter | None = nn.Parameter(torch.randn(2 * config.bins, config.d) * 0.02)
        self.register_buffer("coarse_of_packet", torch.cat([pl, config.bins + pl]), persistent=False)
        self.dropout = nn.Dropout(config.dropout)

    def table(self) -> Tensor:
        """The tied embedding and head, (vocabulary, d)."""
        return self.tokens if self.coarse is None else self.with_coarse(self.tokens, self.coarse)

    def with_coarse(self, tokens: Tensor, coarse: Tensor) -> Tensor:
        """Rows of all tokens (vocabulary, n), to those of packets added what their bin's row says (2 * bins, n)."""
        of_packets = F.embedding(self.get_buffer("coarse_of_packet"), coarse)
        above = len(tokens) - self.config.packet_base - len(of_packets)
        return tokens + F.pad(of_packets, (0, 0, self.config.packet_base, above))

    def coarse_only(self, tokens: Tensor) -> Tensor:
        """Which of some tokens training shows by their bin alone: a share of the packets, others each time."""
        packet = tokens - self.config.packet_base
        packets = (packet >= 0) & (packet < len(self.get_buffer("coarse_of_packet")))
        return packets & (torch.rand(tokens.shape, device=tokens.device) < self.coarse_only_share)

    def fold(self) -> None:
        """Make the table one parameter, for export: the outputs stay the same."""
        table = self.table().detach().clone()
        self.tokens, self.coarse = nn.Parameter(table), None

    @abstractmethod
    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the table turns into logits, and what else training is to make small, a scalar.

        tokens: sequences (batch, length), what comes after <end> negative
        The first is (batch, time, d), [:, i] for the token at position i + 1.
        """

    @abstractmethod
    def step(self, token: Tensor, position: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Logits (batch, vocabulary) after one token each, then the new state; after one refinement instead those of
        all positions, (batch, steps, vocabulary).

        token, position: int64 (batch,), the mode's and the number of the refinement where sequences are refined; every
        row has its own position, and a row at position 0 starts a new sequence whatever its state holds.
        """

    def kernels(self) -> str | None:
        """What computes the model's own kernels where its weights are; None where torch's are all it needs."""
        return None

    @property
    def refinements(self) -> int:
        """How many steps make a whole sequence; 0 where each makes one token."""
        return 0

    @abstractmethod
    def state_names(self) -> list[str]:
        """One name for each state tensor, in the order in which `step` takes and returns them."""

    @abstractmethod
    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros of the right shapes, batch first."""


class Autoregressive(Generator):
    """A generator whose step reads one token and foretells the next."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm = RMSNorm(config.d)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, (batch, time, vocabulary), for token ids (batch, time), time <= steps."""
        table = self.table()
        return F.linear(self.hidden(F.embedding(tokens, table)), table)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        inputs = tokens[:, : min(tokens.shape[1] - 1, self.config.steps)].clamp(min=0)
        hidden = self.hidden(self.embedded(inputs))
        return hidden, hidden.new_zeros(())

    def embedded(self, tokens: Tensor) -> Tensor:
        """Rows of the table (batch, time, d); in training some packets have their bin's row and none of their own."""
        x = F.embedding(tokens, self.table())
        if self.training and self.coarse is not None:
            x = x - F.embedding(tokens, self.tokens) * self.coarse_only(tokens).unsqueeze(-1)
        return x

    @abstractmethod
    def hidden(self, x: Tensor) -> Tensor:
        """Normed output of the last block for embedded tokens x, both (batch, time, d)."""

"""LLaMA: causal attention with rotary positions, then SwiGLU, each after an RMSNorm.

Shapes: b batch, t time, h heads, k width of a head (d = h * k), s slots of the cache.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgegen.models.base import Autoregressive, Config, RMSNorm, SwiGLU

ROPE_BASE = 10_000.0
# Finite, because -inf - -inf is not a number; exp() of it is exactly 0.
MASKED = -1e9
SLOT_MULTIPLE = 16

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d": 48, "layers": 2, "heads": 4, "ffn": 128},
    "base": {"d": 128, "layers": 6, "heads": 4, "ffn": 512},
}


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(Config):
    """heads: attention heads of width d / heads; ffn: inner width of SwiGLU."""

    heads: int
    ffn: int
    arch: str = "llama"

    @property
    def slots(self) -> int:
        """Positions of the cache: `steps`, rounded up so that the scores of all fill whole vector registers."""
        return -(-self.steps // SLOT_MULTIPLE) * SLOT_MULTIPLE

    def check(self) -> None:
        super().check()
        if self.d % (2 * self.heads):
            raise ValueError(f"{self.heads} heads do not share {self.d} numbers in pairs")


def rope_tables(steps: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (steps, width / 2) of the rotary angles."""
    rate = ROPE_BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(steps, dtype=torch.float64)[:, None] * rate
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (..., k) with the pairs (i, i + k/2) turned by the angles of cos and sin (..., k/2)."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


class Block(SwiGLU):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config.d, config.ffn, config.dropout)
        self.heads = config.heads
        self.attention_norm = RMSNorm(config.d)
        self.qkv = nn.Linear(config.d, 3 * config.d, bias=False)
        self.out = nn.Linear(config.d, config.d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x (b, t, d) to the same; cos, sin (t, k/2)."""
        b, t, d = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, t, d)))
        return self.swiglu(x)

    def step(
        self, x: Tensor, cos: Tensor, sin: Tensor, here: Tensor, seen: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One token of each row.

        x (b, d); cos, sin (b, 1, k/2); here (b, s, 1) marks the slot of this token, seen (b, 1, 1, s) the
        slots up to it; key, value (b, s, d). Returns x and the new key and value.
        """
        d, width = x.shape[-1], x.shape[-1] // self.heads
        slots = key.shape[1]
        q, k, v = self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        q = rotate(q.reshape(-1, self.heads, width), cos, sin)
        k = rotate(k.reshape(-1, self.heads, width), cos, sin).reshape(-1, 1, d)
        key = torch.where(here, k, key)
        value = torch.where(here, v.reshape(-1, 1, d), value)
        keys = key.reshape(-1, slots, self.heads, width).permute(0, 2, 3, 1)
        values = value.reshape(-1, slots, self.heads, width).permute(0, 2, 1, 3)
        scores = torch.matmul(q.reshape(-1, self.heads, 1, width), keys) * width**-0.5
        weights = torch.softmax(torch.where(seen, scores, MASKED), dim=-1)
        mixed = torch.matmul(weights, values).reshape(-1, d)
        return self.swiglu(x + self.out(mixed)), key, value


class Llama(Autoregressive):
    """The model; `step` keeps a key and a value (batch, slots, d) for each layer."""

    config: LlamaConfig
    # By AdamW, forests learn as much from its flows as with 0.2, and fewer of them repeat a training flow.
    coarse_only_share = 0.3

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        cos, sin = rope_tables(config.steps, config.d // config.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.register_buffer("slots", torch.arange(config.slots), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                # Residual branches start smaller, so that the stream does not grow with depth.
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * config.layers) ** 0.5 if last else 0.02)

    def hidden(self, x: Tensor) -> Tensor:
        time = x.shape[1]
        cos, sin = self.get_buffer("cos")[:time], self.get_buffer("sin")[:time]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def step(self, token: Tensor, position: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        table = self.table()
        x = F.embedding(token, table)
        cos = F.embedding(position, self.get_buffer("cos")).unsqueeze(1)
        sin = F.embedding(position, self.get_buffer("sin")).unsqueeze(1)
        slots = self.get_buffer("slots")
        here = (slots == position.unsqueeze(-1)).unsqueeze(-1)
        seen = (slots <= position.unsqueeze(-1)).unsqueeze(1).unsqueeze(1)
        new_state: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            one_step: Any = block.step
            x, key, value = one_step(x, cos, sin, here, seen, state[2 * i], state[2 * i + 1])
            new_state += [key, value]
        return F.linear(self.norm(x), table), *new_state

    def state_names(self) -> list[str]:
        return [f"{name}_{i}" for i in range(self.config.layers) for name in ("key", "value")]

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        shape = (batch, self.config.slots, self.config.d)
        return tuple(self.tokens.new_zeros(shape) for _ in self.state_names())

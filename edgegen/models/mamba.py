"""Mamba: RMSNorm, a causal convolution, a selective state space, a gate.

Shapes: b batch, t time, e inner width (expand * d), n state, r rank of delta.

A channel's n rates of decay are 1, 2, ..., n times one learned rate. Mamba starts training at these ratios (S4D-Real)
and then lets all n * e go their own ways; keeping the ratios costs nothing that a validation loss shows
(bench/results), and turns n exponentials a channel and step into one and its powers.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgegen.kernels import causal_conv1d, path, selective_scan
from edgegen.models.base import Autoregressive, Config, RMSNorm

DELTA_RANGE = (1e-3, 1e-1)

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d": 48, "layers": 3, "expand": 2, "state": 16, "conv": 4, "dt_rank": 8},
    "base": {"d": 128, "layers": 14, "expand": 2, "state": 16, "conv": 4, "dt_rank": 8},
}


@dataclass(frozen=True, kw_only=True)
class MambaConfig(Config):
    """expand: inner width / d; state: numbers per inner channel; conv: taps; dt_rank: rank of delta.

    dropout: twice LLaMA's, since Mamba knows training flows by heart sooner
    """

    expand: int
    state: int
    conv: int
    dt_rank: int
    arch: str = "mamba"
    dropout: float = 0.2

    @property
    def inner(self) -> int:
        return self.expand * self.d


class Block(nn.Module):
    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.sizes = [config.dt_rank, config.state, config.state]
        self.norm = RMSNorm(config.d)
        self.in_proj = nn.Linear(config.d, 2 * config.inner, bias=False)
        spread = config.conv**-0.5
        self.conv_weight = nn.Parameter(torch.empty(config.inner, config.conv).uniform_(-spread, spread))
        self.conv_bias = nn.Parameter(torch.zeros(config.inner))
        self.x_proj = nn.Linear(config.inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(config.dt_rank, config.inner)
        self.A_log = nn.Parameter(torch.zeros(config.inner))
        self.register_buffer("ratios", torch.arange(1.0, config.state + 1), persistent=False)
        self.D = nn.Parameter(torch.ones(config.inner))
        self.out_proj = nn.Linear(config.inner, config.d, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        with torch.no_grad():
            self.out_proj.weight /= config.layers**0.5
            nn.init.uniform_(self.dt_proj.weight, -(config.dt_rank**-0.5), config.dt_rank**-0.5)
            low, high = (math.log(delta) for delta in DELTA_RANGE)
            delta = torch.empty(config.inner).uniform_(low, high).exp()
            # The inverse of softplus: at a zero input, delta is spread over DELTA_RANGE.
            self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))

    def forward(self, x: Tensor) -> Tensor:
        """x (b, t, d) to the same."""
        u, z = self.in_proj(self.norm(x)).chunk(2, dim=-1)
        u = causal_conv1d(u.transpose(1, 2), self.conv_weight, self.conv_bias).transpose(1, 2)
        dt, B, C = self.x_proj(u).split(self.sizes, dim=-1)
        y: Any = selective_scan(
            u.transpose(1, 2),
            F.linear(dt, self.dt_proj.weight).transpose(1, 2),
            self.rates(),
            B.transpose(1, 2),
            C.transpose(1, 2),
            D=self.D,
            z=z.transpose(1, 2),
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
        )
        return x + self.dropout(self.out_proj(y.transpose(1, 2)))

    def rates(self) -> Tensor:
        """A (e, n): how fast each number of the state decays."""
        return -torch.exp(self.A_log).unsqueeze(-1) * self.get_buffer("ratios")

    def step(self, x: Tensor, fresh: Tensor, conv: Tensor, ssm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One token of each row.

        x (b, d); fresh (b, 1, 1) marks rows that start anew; conv (b, e, taps - 1) the last inputs of the
        convolution; ssm (b, e, n). Returns x and the new conv and ssm.
        """
        u, z = self.in_proj(self.norm(x)).chunk(2, dim=-1)
        window = torch.cat([torch.where(fresh, 0.0, conv), u.unsqueeze(-1)], dim=-1)
        u = F.silu((window * self.conv_weight).sum(-1) + self.conv_bias)
        dt, B, C = self.x_proj(u).split(self.sizes, dim=-1)
        delta = F.softplus(self.dt_proj(dt))
        decay = torch.exp(delta.unsqueeze(-1) * self.rates())
        ssm = decay * torch.where(fresh, 0.0, ssm) + (delta * u).unsqueeze(-1) * B.unsqueeze(1)
        y = ((ssm * C.unsqueeze(1)).sum(-1) + self.D * u) * F.silu(z)
        return x + self.out_proj(y), window[:, :, 1:], ssm


class Mamba(Autoregressive):
    """The model; `step` keeps a layer's last convolution inputs and its state (batch, inner, n)."""

    config: MambaConfig

    def __init__(self, config: MambaConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def hidden(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def step(self, token: Tensor, position: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        table = self.table()
        x = F.embedding(token, table)
        fresh = (position == 0).unsqueeze(-1).unsqueeze(-1)
        new_state: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            one_step: Any = block.step
            x, conv, ssm = one_step(x, fresh, state[2 * i], state[2 * i + 1])
            new_state += [conv, ssm]
        return F.linear(self.norm(x), table), *new_state

    def kernels(self) -> str:
        return path(self.tokens)

    def state_names(self) -> list[str]:
        return [f"{name}_{i}" for i in range(self.config.layers) for name in ("conv", "ssm")]

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        inner = self.config.inner
        conv = self.tokens.new_zeros(batch, inner, self.config.conv - 1)
        ssm = self.tokens.new_zeros(batch, inner, self.config.state)
        return (conv, ssm) * self.config.layers

"""Hugging Face transformers in PyTorch, fp32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from peers.common import TOKENS, Case, Engine, Logits, Tokens, tree_bytes


class Transformers:
    name = "transformers"
    precision = "fp32"
    packages: tuple[str, ...] = ("transformers", "torch")
    archs: tuple[str, ...] = ("llama", "mamba")

    def prepare(self, case: Case) -> Path:
        return case.folder / "weights.npz"

    def open(self, case: Case, batch: int) -> Engine:
        return _Model(case, batch)

    def generate(self, case: Case, batch: int) -> Callable[[], object] | None:
        import torch

        model = hugging_face(case)
        labels = torch.from_numpy(np.resize(case.tokens[:, :1], (batch, 1)).astype(np.int64))
        settings: dict[str, Any] = {"do_sample": True, "top_k": 0, "min_new_tokens": TOKENS, "max_new_tokens": TOKENS}
        mask = torch.ones_like(labels)

        def run() -> object:
            with torch.inference_mode():
                return model.generate(labels, attention_mask=mask, pad_token_id=0, eos_token_id=None, **settings)

        return run

    def library_bytes(self) -> int:
        import torch
        import transformers

        return sum(tree_bytes(Path(package.__file__ or ".").parent) for package in (torch, transformers))


def hugging_face(case: Case) -> Any:
    """The model as transformers has it, with our weights."""
    import torch

    torch.set_num_threads(1)
    model = _llama(case) if case.arch == "llama" else _mamba(case)
    return model.eval()


def _load(model: Any, weights: dict[str, Any]) -> Any:
    import torch

    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    tied = {"lm_head.weight"}
    if set(missing) - tied or unexpected:
        raise ValueError(f"weights do not fit: {missing}, {unexpected}")
    model.tie_weights()
    return model


def _llama(case: Case) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    c, w = case.config, case.weights
    config = LlamaConfig(
        vocab_size=c["vocabulary"],
        hidden_size=c["d"],
        intermediate_size=c["ffn"],
        num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"],
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    renamed = {"model.embed_tokens.weight": w["tokens"], "model.norm.weight": w["norm.weight"]}
    for i in range(c["layers"]):
        ours, theirs = f"blocks.{i}.", f"model.layers.{i}."
        for name, part in zip("qkv", np.split(w[ours + "qkv.weight"], 3), strict=True):
            renamed[f"{theirs}self_attn.{name}_proj.weight"] = part
        gate, up = np.split(w[ours + "gate_up.weight"], 2)
        renamed |= {
            f"{theirs}self_attn.o_proj.weight": w[ours + "out.weight"],
            f"{theirs}mlp.gate_proj.weight": gate,
            f"{theirs}mlp.up_proj.weight": up,
            f"{theirs}mlp.down_proj.weight": w[ours + "down.weight"],
            f"{theirs}input_layernorm.weight": w[ours + "attention_norm.weight"],
            f"{theirs}post_attention_layernorm.weight": w[ours + "ffn_norm.weight"],
        }
    return _load(LlamaForCausalLM(config), renamed)


def mamba_a_log(case: Case, layer: int) -> Any:
    """A_log (inner, state) as other engines want it, of our one rate for each channel."""
    rate = case.weights[f"blocks.{layer}.A_log"][:, None]
    return rate + np.log(np.arange(1, case.config["state"] + 1, dtype=np.float32))


def _mamba(case: Case) -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    c, w = case.config, case.weights
    config = MambaConfig(
        vocab_size=c["vocabulary"],
        hidden_size=c["d"],
        state_size=c["state"],
        num_hidden_layers=c["layers"],
        expand=c["expand"],
        conv_kernel=c["conv"],
        time_step_rank=c["dt_rank"],
        use_bias=False,
        use_conv_bias=True,
        layer_norm_epsilon=1e-5,
        residual_in_fp32=True,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    renamed = {"backbone.embeddings.weight": w["tokens"], "backbone.norm_f.weight": w["norm.weight"]}
    for i in range(c["layers"]):
        ours, theirs = f"blocks.{i}.", f"backbone.layers.{i}."
        for name in ("in_proj.weight", "x_proj.weight", "dt_proj.weight", "dt_proj.bias", "D", "out_proj.weight"):
            renamed[f"{theirs}mixer.{name}"] = w[ours + name]
        renamed |= {
            f"{theirs}norm.weight": w[ours + "norm.weight"],
            f"{theirs}mixer.conv1d.weight": w[ours + "conv_weight"][:, None],
            f"{theirs}mixer.conv1d.bias": w[ours + "conv_bias"],
            f"{theirs}mixer.A_log": mamba_a_log(case, i),
        }
    return _load(MambaForCausalLM(config), renamed)


class _Model:
    def __init__(self, case: Case, batch: int) -> None:
        self._model, self._arch = hugging_face(case), case.arch
        self._cache: Any = None

    def start(self) -> None:
        self._cache = None

    def step(self, tokens: Tokens, position: int) -> Logits:
        import torch

        name = "past_key_values" if self._arch == "llama" else "cache_params"
        more: dict[str, Any] = {name: self._cache} if self._cache is not None else {}
        if self._arch == "mamba" and self._cache is not None:
            more["cache_position"] = torch.tensor([position])
        with torch.inference_mode():
            out = self._model(torch.from_numpy(tokens[:, None].astype(np.int64)), use_cache=True, **more)
        self._cache = out[name]
        logits: Logits = out.logits[:, -1].numpy()
        return logits

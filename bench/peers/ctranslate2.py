"""CTranslate2 in int8."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from peers.common import TOKENS, Case, Engine, Logits, Tokens, shared_objects


class CTranslate2:
    name = "CTranslate2"
    precision = "int8"
    packages: tuple[str, ...] = ("ctranslate2",)
    archs: tuple[str, ...] = ("llama",)

    def prepare(self, case: Case) -> Path:
        folder = case.folder / "ctranslate2"
        if not folder.exists():
            _convert(case, folder)
        return folder

    def open(self, case: Case, batch: int) -> Engine:
        return _Forward(self.generator(case))

    def generator(self, case: Case) -> Any:
        import ctranslate2

        return ctranslate2.Generator(
            str(self.prepare(case)), "cpu", compute_type="int8", intra_threads=1, inter_threads=1
        )

    def generate(self, case: Case, batch: int, sample: bool = True) -> Callable[[], object]:
        """Its own loop, which no grammar fits into: it draws among all tokens, or takes the best."""
        generator = self.generator(case)
        labels = np.resize(case.tokens[:, 0], batch)
        prompts = [[str(label)] for label in labels]
        settings: dict[str, Any] = {"sampling_topk": 0 if sample else 1, "end_token": [], "max_batch_size": batch}

        def run() -> object:
            return generator.generate_batch(
                prompts, min_length=TOKENS, max_length=TOKENS, include_prompt_in_result=False, **settings
            )

        return run

    def library_bytes(self) -> int:
        import ctranslate2

        package = Path(ctranslate2.__file__).parent
        return shared_objects(package) + shared_objects(package.parent / "ctranslate2.libs")


def _convert(case: Case, folder: Path) -> None:
    from ctranslate2.specs import common_spec, transformer_spec

    c, w = case.config, case.weights
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        c["layers"],
        c["heads"],
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = w["tokens"]
    decoder.projection.weight = w["tokens"]
    decoder.layer_norm.gamma = w["norm.weight"]
    for i, layer in enumerate(decoder.layer):
        ours = f"blocks.{i}."
        gate, up = np.split(w[ours + "gate_up.weight"], 2)
        layer.self_attention.layer_norm.gamma = w[ours + "attention_norm.weight"]
        layer.self_attention.linear[0].weight = w[ours + "qkv.weight"]
        layer.self_attention.linear[1].weight = w[ours + "out.weight"]
        layer.ffn.layer_norm.gamma = w[ours + "ffn_norm.weight"]
        layer.ffn.linear_0.weight = gate
        layer.ffn.linear_0_noact.weight = up
        layer.ffn.linear_1.weight = w[ours + "down.weight"]
    spec.config.layer_norm_epsilon = 1e-5
    for name in ("bos_token", "eos_token", "unk_token"):
        setattr(spec.config, name, "0")
    spec.register_vocabulary([str(token) for token in range(c["vocabulary"])])
    spec.validate()
    spec.optimize(quantization="int8")
    partial = folder.with_name("ctranslate2.partial")
    partial.mkdir()
    spec.save(str(partial))
    partial.rename(folder)


class _Forward:
    """Logits of whole sequences, for the check: it gives none step by step."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._tokens: list[Tokens] = []

    def start(self) -> None:
        self._tokens = []

    def step(self, tokens: Tokens, position: int) -> Logits:
        self._tokens.append(tokens)
        rows = [[str(token) for token in row] for row in np.stack(self._tokens, 1)]
        logits: Logits = np.array(self._generator.forward_batch(rows))[:, -1]
        return logits

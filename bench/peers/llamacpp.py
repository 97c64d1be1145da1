"""llama.cpp in Q8_0, through the C interface that llama-cpp-python has."""

from collections.abc import Callable
from ctypes import POINTER, c_float, cast
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.common import TOKENS, Case, Engine, Logits, Tokens, shared_objects
from peers.transformers import mamba_a_log


class LlamaCpp:
    name = "llama.cpp"
    precision = "int8"
    packages: tuple[str, ...] = ("llama_cpp", "gguf")
    archs: tuple[str, ...] = ("llama", "mamba")

    def prepare(self, case: Case) -> Path:
        path = case.folder / "q8_0.gguf"
        if not path.exists():
            partial = path.with_suffix(".partial")
            _write(case, partial)
            partial.rename(path)
        return path

    def open(self, case: Case, batch: int) -> Engine:
        return _Context(self.prepare(case), batch, case.config["vocabulary"])

    def generate(self, case: Case, batch: int) -> Callable[[], object] | None:
        """Its own sampler after each step, among all tokens."""
        context = _Context(self.prepare(case), batch, case.config["vocabulary"])
        labels = np.resize(case.tokens[:, 0], batch)
        return lambda: context.generate(labels)

    def library_bytes(self) -> int:
        import llama_cpp

        return shared_objects(Path(llama_cpp.__file__).parent)


def _write(case: Case, path: Path) -> None:
    import gguf

    c = case.config
    writer = gguf.GGUFWriter(str(path), case.arch)
    writer.add_context_length(64)
    writer.add_embedding_length(c["d"])
    writer.add_block_count(c["layers"])
    writer.add_vocab_size(c["vocabulary"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    tensors = _llama(writer, case) if case.arch == "llama" else _mamba(writer, case)
    w = case.weights
    tensors |= {"token_embd.weight": w["tokens"], "output_norm.weight": w["norm.weight"]}
    for name, array in tensors.items():
        data = np.ascontiguousarray(array, np.float32)
        matrix = data.ndim == 2 and data.shape[1] % 32 == 0 and "ssm_a" not in name
        if matrix:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of q or k in the order of llama.cpp, which turns neighbours where we turn the halves of a head."""
    d = weight.shape[1]
    result: NDArray[np.float32] = weight.reshape(heads, 2, -1, d).swapaxes(1, 2).reshape(weight.shape)
    return result


def _llama(writer: Any, case: Case) -> dict[str, NDArray[np.float32]]:
    c, w = case.config, case.weights
    writer.add_feed_forward_length(c["ffn"])
    writer.add_head_count(c["heads"])
    writer.add_head_count_kv(c["heads"])
    writer.add_rope_dimension_count(c["d"] // c["heads"])
    writer.add_rope_freq_base(10_000.0)
    tensors: dict[str, NDArray[np.float32]] = {}
    for i in range(c["layers"]):
        ours, theirs = f"blocks.{i}.", f"blk.{i}."
        q, k, v = np.split(w[ours + "qkv.weight"], 3)
        gate, up = np.split(w[ours + "gate_up.weight"], 2)
        tensors |= {
            f"{theirs}attn_norm.weight": w[ours + "attention_norm.weight"],
            f"{theirs}attn_q.weight": _interleaved(q, c["heads"]),
            f"{theirs}attn_k.weight": _interleaved(k, c["heads"]),
            f"{theirs}attn_v.weight": v,
            f"{theirs}attn_output.weight": w[ours + "out.weight"],
            f"{theirs}ffn_norm.weight": w[ours + "ffn_norm.weight"],
            f"{theirs}ffn_gate.weight": gate,
            f"{theirs}ffn_up.weight": up,
            f"{theirs}ffn_down.weight": w[ours + "down.weight"],
        }
    return tensors


def _mamba(writer: Any, case: Case) -> dict[str, NDArray[np.float32]]:
    c, w = case.config, case.weights
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(c["conv"])
    writer.add_ssm_inner_size(c["expand"] * c["d"])
    writer.add_ssm_state_size(c["state"])
    writer.add_ssm_time_step_rank(c["dt_rank"])
    tensors: dict[str, NDArray[np.float32]] = {}
    for i in range(c["layers"]):
        ours, theirs = f"blocks.{i}.", f"blk.{i}."
        tensors |= {
            f"{theirs}attn_norm.weight": w[ours + "norm.weight"],
            f"{theirs}ssm_in.weight": w[ours + "in_proj.weight"],
            f"{theirs}ssm_conv1d.weight": w[ours + "conv_weight"],
            f"{theirs}ssm_conv1d.bias": w[ours + "conv_bias"],
            f"{theirs}ssm_x.weight": w[ours + "x_proj.weight"],
            f"{theirs}ssm_dt.weight": w[ours + "dt_proj.weight"],
            f"{theirs}ssm_dt.bias": w[ours + "dt_proj.bias"],
            f"{theirs}ssm_a": -np.exp(mamba_a_log(case, i)),
            f"{theirs}ssm_d": w[ours + "D"],
            f"{theirs}ssm_out.weight": w[ours + "out_proj.weight"],
        }
    return tensors


class _Context:
    """One sequence of the context for each row."""

    def __init__(self, path: Path, batch: int, vocabulary: int) -> None:
        import llama_cpp

        self._lib, self._rows, self._vocabulary = llama_cpp, batch, vocabulary
        self._silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._silent, None)
        model_settings = llama_cpp.llama_model_default_params()
        model_settings.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_settings)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = 64 * batch
        settings.n_batch = settings.n_ubatch = max(32, batch)
        settings.n_seq_max = batch
        settings.n_threads = settings.n_threads_batch = 1
        settings.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        if not self._context:
            raise RuntimeError("llama.cpp has made no context")
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)
        self._batch.n_tokens = batch
        for row in range(batch):
            self._batch.n_seq_id[row] = 1
            self._batch.seq_id[row][0] = row
            self._batch.logits[row] = True
        self._sampler = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(self._sampler, llama_cpp.llama_sampler_init_dist(0))

    def start(self) -> None:
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)

    def _decode(self, tokens: Any, position: int) -> None:
        for row in range(self._rows):
            self._batch.token[row] = int(tokens[row])
            self._batch.pos[row] = position
        if self._lib.llama_decode(self._context, self._batch) != 0:
            raise RuntimeError("llama.cpp has not decoded a batch")

    def step(self, tokens: Tokens, position: int) -> Logits:
        self._decode(tokens, position)
        first = self._lib.llama_get_logits_ith(self._context, 0)
        if self._rows == 1:
            return np.ctypeslib.as_array(cast(first, POINTER(c_float)), (1, self._vocabulary))
        rows = [self._lib.llama_get_logits_ith(self._context, row) for row in range(self._rows)]
        return np.stack([np.ctypeslib.as_array(cast(row, POINTER(c_float)), (self._vocabulary,)) for row in rows])

    def generate(self, labels: Tokens) -> None:
        self.start()
        tokens = labels
        for position in range(TOKENS):
            self._decode(tokens, position)
            sampled = [self._lib.llama_sampler_sample(self._sampler, self._context, row) for row in range(self._rows)]
            tokens = np.array(sampled, np.int32)

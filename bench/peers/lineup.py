"""Which engines stand beside each other, and what all of them are given of one model."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from peers.common import FLOWS, TOKENS, Case, Peer
from peers.ctranslate2 import CTranslate2
from peers.llamacpp import LlamaCpp
from peers.onnxruntime import OnnxRuntime
from peers.openvino import OpenVino
from peers.transformers import Transformers

PEERS: list[Peer] = [
    Transformers(),
    OnnxRuntime("fp32"),
    OnnxRuntime("int8"),
    CTranslate2(),
    LlamaCpp(),
    OpenVino(),
]
OURS, OURS_FP32 = "edgegen int8", "edgegen fp32"
# Ours by title -> the folder of its bundle in a case's folder
BUNDLES = {OURS: "ours.edgegen", OURS_FP32: "ours-fp32.edgegen"}


def title(peer: Peer) -> str:
    return f"{peer.name} {peer.precision}"


def prepare(case: Case, run: Path | None, fp32: bool = False) -> None:
    """Fill a case's folder: the weights, the step graph, the bundle, tokens, and the logits that are right for them.

    fp32: ours in fp32, too
    """
    import onnx
    import torch

    from edgegen import checkpoint
    from edgegen.bundle import FP32, Bundle
    from edgegen.datasets import edgelab_llama
    from edgegen.export import export
    from edgegen.runtime.engine import collect
    from edgegen.runtime.native import NativeEngine
    from edgegen.runtime.request import Request

    run = run or edgelab_llama()
    print(f"{case.arch}: exporting {run}", file=sys.stderr)
    bundle: Bundle = export(run, case.folder / BUNDLES[OURS]).bundle
    if fp32:
        export(run, case.folder / BUNDLES[OURS_FP32], precision=FP32)
    model, codec, config = checkpoint.load(run)
    model.eval()
    model.fold()
    weights: dict[str, Any] = {name: p.detach().numpy() for name, p in model.named_parameters()}
    np.savez(case.folder / "weights.npz", **weights)
    (case.folder / "config.json").write_text(json.dumps({"model": config["model"], "codec": codec.to_json()}))
    onnx.save(onnx.load(bundle.path / "model.onnx"), case.folder / "model.onnx")
    engine = NativeEngine(bundle.library(), codec, 16)
    sequences = collect(engine, codec, Request(FLOWS, 7, min_packets=codec.max_packets))
    engine.close()
    tokens = sequences.tokens[:, :TOKENS]
    np.save(case.folder / "tokens.npy", tokens)
    with torch.inference_mode():
        np.save(case.folder / "logits.npy", model(torch.from_numpy(tokens.astype(np.int64))).numpy())
    for peer in PEERS:
        if case.arch in peer.archs and all(find_spec(package) for package in peer.packages):
            peer.prepare(case)

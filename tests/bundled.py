"""A bundle whose files are a few bytes, to write and to read."""

from pathlib import Path

from edgegen.bundle import Golden, Manifest, Target
from edgegen.codec import Codec, Label

CODEC = Codec((Label("dns", 0.5, 17), Label("web é", 0.5)), max_packets=4, max_pl=100)
TARGET = Target("x86_64/edgegen", "x86_64/libmodel.so", (1, 8), ("avx2", "avx512vnni"))
GOLDEN = Golden(1, 0, 8, {"native": "00" * 32})
MADE = Manifest("llama", CODEC, GOLDEN, {"x86_64": TARGET}, {"parameters": 7}, {"run": "r"})
FILES: dict[str, bytes | Path] = {
    "model.onnx": b"graph" * 20,
    TARGET.executable: b"\x7fELF executable",
    TARGET.library: b"\x7fELF library",
    "card.md": b"# A card\n",
}

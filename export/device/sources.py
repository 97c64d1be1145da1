"""The C host's sources, and the C that only an export knows: a generator's codec and golden flows."""

from pathlib import Path

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.runtime.sampling import label_thresholds

FOLDER = Path(__file__).parent
ENGINE = ("philox.c", "points.c", "sample.c", "rows.c", "stream.c")
LIBRARY = tuple(FOLDER / name for name in (*ENGINE, "library.c"))
FORMATS = ("flow.c", "json.c", "frames.c", "pcap.c", "output.c")
REQUESTS = ("scan.c", "refusal.c", "turns.c", "asked.c", "pipe.c")
SIGNATURE = ("sha512.c", "field.c", "ed25519.c", "pem.c", "trust.c")
VERBS = ("options.c", "machine.c", "bench.c", "sha256.c", "main.c")
EXECUTABLE = tuple(FOLDER / name for name in (*ENGINE, *FORMATS, *REQUESTS, *SIGNATURE, *VERBS))
# Contraction fuses a multiply and an add into one rounding on some targets: draws would differ by processor.
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{FOLDER}")


def codec_source(codec: Codec, vocabulary: int, refinements: int = 0) -> str:
    """C that defines `edgegen_codec` of model.h.

    vocabulary: logits in a row, at least codec.size; refinements: steps that make a whole flow, 0: each makes one token
    """
    names = ", ".join(_string(label.name) for label in codec.labels)
    protos = ", ".join(str(label.proto or 0) for label in codec.labels)
    shares = ", ".join(f"{threshold}u" for threshold in label_thresholds(codec))
    modes = [f"{flows}u" for label in codec.labels for flows in label.modes]
    edges = ", ".join(map(str, codec.iat_edges_us))
    numbers = {
        "iat_bins": codec.iat_bins,
        "packet_base": codec.packet_base,
        "end": codec.end,
        "label_base": codec.label_base,
        "labels": len(codec.labels),
        "max_pl": codec.max_pl,
        "max_packets": codec.max_packets,
        "length": codec.length,
        "steps": codec.steps,
        "vocabulary": vocabulary,
        "refinements": refinements,
    }
    lines = [
        '#include "model.h"',
        f"static const char *const label_names[] = {{{names}}};",
        f"static const int32_t label_protos[] = {{{protos}}};",
        f"static const uint32_t label_thresholds[] = {{{shares}}};",
        f"static const int32_t mode_starts[] = {{{', '.join(map(str, codec.mode_starts))}}};",
        *([f"static const uint32_t mode_flows[] = {{{', '.join(modes)}}};"] if modes else []),
        *([f"static const int32_t iat_edges_us[] = {{{edges}}};"] if edges else []),
        "const struct edgegen_codec edgegen_codec = {",
        *(f"    .{name} = {number}," for name, number in numbers.items()),
        f"    .iat_edges_us = {'iat_edges_us' if edges else 'NULL'},",
        "    .label_names = label_names,",
        "    .label_protos = label_protos,",
        "    .label_thresholds = label_thresholds,",
        "    .mode_starts = mode_starts,",
        f"    .mode_flows = {'mode_flows' if modes else 'NULL'},",
        "};",
    ]
    return "\n".join(lines) + "\n"


def golden_source(seed: int, first: int, count: int, sha256: str) -> str:
    """C that defines `edgegen_golden` of model.h, for the executable; sha256: 64 hexadecimal digits."""
    digest = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(sha256))
    return (
        '#include "model.h"\n'
        "const struct edgegen_golden edgegen_golden = {\n"
        f"    .seed = {seed}u, .first = {first}u, .count = {count}, .sha256 = {{{digest}}}}};\n"
    )


def _string(text: str) -> str:
    """A C string literal of `text` in UTF-8."""
    if "\0" in text:
        raise EdgegenError(f"label {text!r} contains a zero byte: rename it in the training flows")
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'

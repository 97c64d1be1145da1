"""Flows out of a bundle."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgegen.bundle import Bundle
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow
from edgegen.runtime.engine import Engine, open_engine
from edgegen.runtime.sampling import draw_labels, inverse

__all__ = ["generate"]

# Flows generated in one call of an engine: enough that rows which idle at the end of it do not matter.
CHUNK = 1024
LARGEST = 2**64 - 1


def generate(
    bundle: Bundle | Path | str,
    n: int,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    batch: int | None = None,
    engine: str = "auto",
    temperature: float = 1.0,
    first: int = 0,
) -> Iterator[Flow]:
    """Flows first .. first + n - 1 of a seed. Flow i depends on bundle, seed, i, label, temperature alone.

    labels: flow i has labels[i % len(labels)]; without them, drawn by their share of the training flows
    batch, engine: how, not what: see `open_engine`
    temperature: 0 takes the most likely token always; else 0.01..100
    Raises UsageError for an argument that makes no sense, EdgegenError for a bundle that is not sound;
    both before the first flow.
    """
    if n < 0 or not 0 <= seed <= LARGEST or not 0 <= first <= LARGEST - max(n - 1, 0):
        raise UsageError("the number of flows, the seed and the flow numbers must lie in 0..2^64-1")
    inverse(temperature)
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    indices = _indices(bundle.codec, labels) if labels else None
    opened = open_engine(bundle, engine, batch, n)
    return _flows(bundle, opened, n, indices, seed, first, temperature)


def _indices(codec: Codec, labels: Sequence[str]) -> list[int]:
    try:
        return [codec.label_token(name) - codec.label_base for name in labels]
    except EdgegenError as error:
        raise UsageError(str(error)) from error


def _flows(
    bundle: Bundle,
    engine: Engine,
    n: int,
    indices: list[int] | None,
    seed: int,
    first: int,
    temperature: float,
) -> Iterator[Flow]:
    codec = bundle.codec
    try:
        for start in range(first, first + n, CHUNK):
            count = min(CHUNK, first + n - start)
            if indices is None:
                wanted = draw_labels(codec, seed, start, count).tolist()
            else:
                wanted = [indices[i % len(indices)] for i in range(start, start + count)]
            sequences = engine.generate(wanted, seed, start, temperature)
            for tokens, places in zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True):
                yield codec.decode(tokens, places)
    finally:
        engine.close()

"""Flows out of a bundle."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from edgegen.bundle import Bundle
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow
from edgegen.runtime.engine import Engine, How, open_engine
from edgegen.runtime.request import Request

__all__ = ["generate"]


def generate(
    bundle: Bundle | Path | str,
    n: int,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    batch: int | None = None,
    engine: str = "auto",
    temperature: float = 1.0,
    first: int = 0,
    min_packets: int = 1,
    threads: int = 1,
) -> Iterator[Flow]:
    """Flows first .. first + n - 1 of a seed. Flow i depends on bundle, seed, i, label and controls alone.

    labels: flow i has labels[i % len(labels)]; without them, drawn by their share of the training flows
    temperature, min_packets: the controls: see `Request`
    batch, engine, threads: how, not what: see `How`
    Raises UsageError for an argument that makes no sense, EdgegenError for a bundle that is not sound;
    both before the first flow.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    indices = _indices(bundle.codec, labels) if labels else None
    request = Request(n, seed, first, indices, temperature, min_packets)
    request.check(bundle.codec)
    opened = open_engine(bundle, How(engine, batch, threads), n)
    return _flows(bundle.codec, opened, request)


def _indices(codec: Codec, labels: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(codec.label_token(name) - codec.label_base for name in labels)
    except EdgegenError as error:
        raise UsageError(str(error)) from error


def _flows(codec: Codec, engine: Engine, request: Request) -> Iterator[Flow]:
    try:
        # The stream is closed before the engine, also where its reader leaves early.
        with closing(engine.stream(request)) as stream:
            for sequences in stream:
                for tokens, places in zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True):
                    yield codec.decode(tokens, places)
    finally:
        engine.close()

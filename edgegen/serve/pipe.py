"""Flows over a pipe: one request a line in, the flows and one line more out; export/device/pipe.c does the same in C.

An answer is whole where it ends with `{"done": N, "seed": S}`; one that ends with `{"error": "..."}` is not. Each line
in is one request and has one answer, in order.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO

from edgegen.bundle import Bundle
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime.engine import Engine, How, open_engine
from edgegen.serve.asked import parse
from edgegen.serve.body import parts
from edgegen.serve.settings import Settings, check_most_flows
from edgegen.signals import held_signals
from edgegen.streams import flush_whole, open_input, write_whole

MOST_BODY = Settings.most_body
STDIN, STDOUT = 0, 1


def pipe(bundle: Bundle, most_flows: int, how: How) -> None:
    """Answer the requests of standard input on standard output until it ends.

    BrokenPipeError and ConnectionResetError, where whoever asked has gone, are the caller's.
    """
    check_most_flows(most_flows)
    engine = open_engine(bundle, how)
    try:
        with open_input(STDIN) as asked, open(STDOUT, "wb", closefd=False) as answer:
            for line in _lines(asked):
                # A line out is whole, whatever signal comes.
                with held_signals() as held:
                    for part in _answer(line, engine, bundle.codec, most_flows):
                        write_whole(answer, part)
                        flush_whole(answer)
                        if held:
                            break
    except (BrokenPipeError, ConnectionResetError):
        raise
    except OSError as error:
        raise EdgegenError(f"standard input or output fails ({error.strerror}): give the pipe other ends") from error
    finally:
        engine.close()


def _lines(asked: BinaryIO) -> Iterator[bytes]:
    """Requests without the ends of their lines; one that is too long is cut after a byte too many."""
    while line := asked.readline(MOST_BODY + 1):
        yield line.removesuffix(b"\n")
        while len(line) > MOST_BODY and not line.endswith(b"\n"):
            line = asked.readline(MOST_BODY + 1)


def _answer(line: bytes, engine: Engine, codec: Codec, most_flows: int) -> Iterator[bytes]:
    try:
        if len(line) > MOST_BODY:
            raise UsageError(f"the body is longer than {MOST_BODY:,} bytes")
        asked = parse(line, codec, most_flows, ("jsonl",))
        yield from parts(engine, codec, asked.request, asked.format, lambda flow: None)
        last: dict[str, object] = {"done": asked.request.count, "seed": asked.request.seed}
    except EdgegenError as error:
        last = {"error": str(error)}
    yield json.dumps(last, ensure_ascii=False).encode() + b"\n"

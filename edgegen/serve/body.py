"""Flows -> the parts of an answer, each made when it is asked for.

A part is little work, so that a worker soon is there for the next request, and nothing is kept between two parts but
the writer's own state: who reads slowly holds neither a worker nor an engine's memory.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.pcap_writer import pcap_parts
from edgegen.runtime.engine import Engine
from edgegen.runtime.request import Request
from edgegen.writers import json_line, parquet_parts

FORMATS = {"jsonl": "application/x-ndjson", "pcap": "application/vnd.tcpdump.pcap"}
if find_spec("pyarrow"):
    FORMATS["parquet"] = "application/vnd.apache.parquet"
PART, ROW_GROUP = 64, 256  # flows


def parts(engine: Engine, codec: Codec, request: Request, kind: str, made: Callable[[Flow], None]) -> Iterator[bytes]:
    """The answer to a request in a format of FORMATS; `made` is told of each flow."""
    flows = _flows(engine, codec, request, made)
    if kind == "pcap":
        return pcap_parts(flow for group in flows for flow in group)
    if kind == "parquet":
        return parquet_parts((flow for group in flows for flow in group), group=ROW_GROUP)
    return ("".join(map(json_line, group)).encode("utf-8", "backslashreplace") for group in flows)


def _flows(engine: Engine, codec: Codec, request: Request, made: Callable[[Flow], None]) -> Iterator[list[Flow]]:
    for skip in range(0, request.count, PART):
        group = []
        for sequences in engine.stream(request.part(skip, PART)):
            for tokens, places in zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True):
                group.append(codec.decode(tokens, places))
                made(group[-1])
        yield group

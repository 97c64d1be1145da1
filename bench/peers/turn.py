"""An engine's turn: checked, then timed, in a process that does nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from peers import ours
from peers.common import (
    CHECKED,
    DIVERGENCE,
    TOKENS,
    Case,
    Peer,
    a_second,
    check,
    forced,
    milliseconds,
    peak_memory_mb,
    sampled,
    tree_bytes,
)
from peers.ctranslate2 import CTranslate2
from peers.lineup import BUNDLES, PEERS, title


def take(name: str, case: Case, seconds: int, batches: Sequence[int]) -> dict[str, Any]:
    """What the engine of that title takes in this process; of one that computes something else, only that."""
    if name in BUNDLES:
        path = case.folder / BUNDLES[name]
        return refused(ours.check_bundle(case, path)) or ours.run(case, path, seconds)
    peer = next(peer for peer in PEERS if title(peer) == name)
    # First, since the arrays of the check are nothing that a gateway would hold.
    memory = memory_mb(peer, case)
    checked = check(case, peer.open(case, CHECKED), CHECKED)
    return refused(checked) or {"check": checked, "memory_mb": memory} | timed(peer, case, batches)


def refused(checked: dict[str, float]) -> dict[str, Any]:
    """Why an engine gets no time, or nothing."""
    divergence = checked["divergence"]
    if divergence <= DIVERGENCE:
        return {}
    return {"fault": f"computes something else: {divergence:.3g} nats a token from fp32, {DIVERGENCE} allowed"}


def ways(peer: Peer, case: Case, batch: int) -> dict[str, Any]:
    """How the peer makes a batch of flows: with its tokens given, and sampled by itself or by numpy."""
    random, codec, tokens = np.random.default_rng(0), case.codec, np.resize(case.tokens, (batch, TOKENS))
    own = peer.generate(case, batch)
    if isinstance(peer, CTranslate2):
        return {"greedy": peer.generate(case, batch, sample=False), "sampled": own}
    engine = peer.open(case, batch)
    return {
        "forced": lambda: forced(engine, tokens),
        "sampled": own or (lambda: sampled(engine, codec, tokens, random)),
    }


def memory_mb(peer: Peer, case: Case) -> float:
    """The most that this process has had, once it has sampled one flow."""
    ways(peer, case, 1)["sampled"]()
    return peak_memory_mb()


def timed(peer: Peer, case: Case, batches: Sequence[int]) -> dict[str, Any]:
    one = {way: milliseconds(run) for way, run in ways(peer, case, 1).items()}
    many: dict[str, dict[str, float]] = {}
    for batch in batches:
        for way, run in ways(peer, case, batch).items():
            many.setdefault(way, {})[str(batch)] = a_second(run, batch)
    return {
        "one_flow_ms": one,
        "flows_a_second": many,
        "model_bytes": tree_bytes(peer.prepare(case)),
        "library_bytes": peer.library_bytes(),
    }

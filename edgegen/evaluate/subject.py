"""What is evaluated: a bundle, which makes as many flows as are wanted, or a table of flows that somebody made."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from edgegen.bundle import Bundle, this_target
from edgegen.errors import EdgegenError
from edgegen.evaluate.arrays import Arrays, Floats, Ints, arrays, concatenate
from edgegen.evaluate.privacy import nats_of_flows
from edgegen.flow import Flow, unicode
from edgegen.readers import read_generated_flows
from edgegen.runtime import generate

PACKETS = 32  # of a flow in a table, at most
PART = 50_000  # flows that are objects at once


class Subject(Protocol):
    """Makes the flows that are evaluated.

    name: in words; key: differs wherever its flows may; packets, times: how much of a flow it makes
    """

    name: str
    key: str
    packets: int
    times: bool
    labels: tuple[str, ...]

    def draw(self, labels: Sequence[str], wanted: Ints, seed: int) -> Arrays:
        """`wanted` flows of each of `labels`, or as many as there are; another seed draws others."""
        ...

    def nats(self, flows: Sequence[Flow]) -> Floats | None:
        """(flows,) nats a token under its model; None where there is no model to ask."""
        ...

    def nats_by_label(self, flows: Sequence[Flow], labels: Sequence[str]) -> Floats | None:
        """(flows, labels) the same, had each flow each of the labels: who says least knows the flow best."""
        ...


class BundleSubject:
    """A bundle, on the engine that `edgegen generate` takes here."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.name = unicode(bundle.name)
        # The card says what an evaluation found: with another one, the flows are the same.
        files = {name: digest for name, digest in bundle.files.items() if name != "card.md"}
        self.key = sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        self.packets, self.times = bundle.codec.max_packets, bundle.codec.has_iat
        self.labels = tuple(label.name for label in bundle.codec.labels)
        # The flows are the same whatever their number.
        self._threads = len(os.sched_getaffinity(0))

    def draw(self, labels: Sequence[str], wanted: Ints, seed: int) -> Arrays:
        names = [label for label, n in zip(labels, wanted.tolist(), strict=True) for _ in range(n)]
        flows = generate(self.bundle, len(names), names, seed, threads=self._threads) if names else iter(())
        parts = [arrays([], labels, self.packets, self.times)]
        # A flow takes four times as much memory as it does in a table.
        while part := list(islice(flows, PART)):
            parts.append(arrays(part, labels, self.packets, self.times))
        return concatenate(parts)

    def nats(self, flows: Sequence[Flow]) -> Floats | None:
        return None if (made := self._nats([flows])) is None else made[0]

    def nats_by_label(self, flows: Sequence[Flow], labels: Sequence[str]) -> Floats | None:
        made = self._nats([[replace(flow, label=label) for flow in flows] for label in labels])
        return None if made is None else np.stack(made, axis=1)

    def _nats(self, parts: Sequence[Sequence[Flow]]) -> list[Floats] | None:
        # A generator that refines whole flows has no likelihood to ask for.
        if this_target() not in self.bundle.manifest.targets or self.bundle.manifest.refinements:
            return None
        from edgegen.runtime.native import NativeEngine

        engine = NativeEngine(self.bundle.library(), self.bundle.codec, 16)
        try:
            return [nats_of_flows(engine, self.bundle.codec, flows) for flows in parts]
        finally:
            engine.close()


class TableSubject:
    """A table of generated flows: no more than it holds can be drawn, and nobody knows the model behind it."""

    def __init__(self, path: Path) -> None:
        flows = read_generated_flows(path)
        if not flows:
            raise EdgegenError(f"{path} holds no flows: nothing can be evaluated")
        self.name, self.key = unicode(path.name), sha256(path.read_bytes()).hexdigest()
        # The longest flow tells where its generator stops.
        self.packets = min(PACKETS, max(map(len, flows)))
        self._flows: dict[str, list[Flow]] = {}
        for flow in flows:
            self._flows.setdefault(flow.label, []).append(flow)
        self.labels = tuple(sorted(self._flows))
        # A generator without times writes zeros throughout.
        self.times = any(any(flow.iat) for flow in flows)

    def draw(self, labels: Sequence[str], wanted: Ints, seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        flows: list[Flow] = []
        for label, n in zip(labels, wanted.tolist(), strict=True):
            those = self._flows.get(label, [])
            flows += [those[i] for i in random.permutation(len(those))[:n]]
        return arrays(flows, labels, self.packets, self.times)

    def nats(self, flows: Sequence[Flow]) -> Floats | None:
        return None

    def nats_by_label(self, flows: Sequence[Flow], labels: Sequence[str]) -> Floats | None:
        return None

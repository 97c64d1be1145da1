"""Flow <-> tokens: one joint (dir, pl) token, then one log-binned iat token, for each packet.

A sequence is `<label> packet* <end>`. Token ids lie in five contiguous ranges, so that what is legal
at a position is a pair of bounds and not a table:

    iat bins | packets, dir * (max_pl + 1) + pl | <end> | one <label> each | <mode>s of each label
    0 ..     | packet_base ..                   | end   | label_base ..    | mode_base ..

Times are whole microseconds inside the codec: integer arithmetic gives the same time on every processor.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import TCP, UDP, Flow

FORMAT = 1
MICROSECONDS = 1_000_000
MOST_PACKETS = 1024  # of a flow: attention, and a refined flow's weights, grow with them
LONGEST_US = 2**53  # more than 200 years; floating-point numbers count up to here without a gap


def log_edges(bins: int, longest_us: int) -> list[int]:
    """`bins + 1` rising edges in microseconds: bin 0 is exactly 0, the others widen by one factor.

    The factor is the one that ends at `longest_us`; where it would give edges less than 1 us apart, the edges
    are 1 us apart and the factor is spread over what is left.
    """
    edges = [0, 1]
    while len(edges) < bins + 1:
        left = bins + 1 - len(edges)
        factor = (longest_us / edges[-1]) ** (1 / left)
        edges.append(max(edges[-1] + 1, round(edges[-1] * factor)))
    return edges


@dataclass(frozen=True)
class Label:
    """A label the codec knows: its share of the training flows, and their transport where they agree.

    modes: where a generator tells several ways apart that a label's flows go, how many training flows go each
    """

    name: str
    share: float
    proto: int | None = None
    modes: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Label":
        modes = tuple(data.get("modes", ()))
        if not all(type(count) is int for count in modes):
            raise TypeError(f"modes {reprlib.repr(modes)}")
        return cls(str(data["name"]), float(data["share"]), data["proto"], modes)


@dataclass(frozen=True)
class Codec:
    """The vocabulary and grammar of one generator, saved into its checkpoint and its bundle.

    labels:       in token order
    max_packets:  packets a flow is cut to
    max_pl:       largest exact payload length in bytes; longer ones are stored as this one
    iat_edges_us: bin i holds edges[i] <= t < edges[i + 1]; longer times fall into the last bin;
                  empty for the variant without times (the paper's task)
    """

    labels: tuple[Label, ...]
    max_packets: int = 16
    max_pl: int = 1472
    iat_edges_us: tuple[int, ...] = field(default_factory=lambda: tuple(log_edges(64, 600 * MICROSECONDS)))

    @cached_property
    def has_iat(self) -> bool:
        return bool(self.iat_edges_us)

    @cached_property
    def iat_bins(self) -> int:
        return max(0, len(self.iat_edges_us) - 1)

    @cached_property
    def packet_base(self) -> int:
        return self.iat_bins

    @cached_property
    def end(self) -> int:
        return self.packet_base + 2 * (self.max_pl + 1)

    @cached_property
    def label_base(self) -> int:
        return self.end + 1

    @cached_property
    def mode_base(self) -> int:
        return self.label_base + len(self.labels)

    @cached_property
    def mode_starts(self) -> list[int]:
        """(labels + 1,): the modes of label i are the token ids [i] .. [i + 1] - 1."""
        return list(accumulate((len(label.modes) for label in self.labels), initial=self.mode_base))

    @cached_property
    def size(self) -> int:
        """Token ids in use."""
        return self.mode_starts[-1]

    @cached_property
    def tokens_per_packet(self) -> int:
        return 2 if self.has_iat else 1

    @cached_property
    def length(self) -> int:
        """Positions of the longest sequence: label, packets, end."""
        return 2 + self.max_packets * self.tokens_per_packet

    @cached_property
    def steps(self) -> int:
        """Tokens that are ever sampled: all but the label and an <end> that the grammar forces."""
        return self.length - 2

    @cached_property
    def label_index(self) -> dict[str, int]:
        return {label.name: i for i, label in enumerate(self.labels)}

    @property
    def known(self) -> str:
        """Its labels, for a sentence."""
        return ", ".join(sorted(self.label_index))

    def label_token(self, name: str) -> int:
        """The prompt token of a label; an unknown one is an error that lists those known."""
        if name not in self.label_index:
            raise EdgegenError(f"label {name!r} is unknown to this generator; it knows: {self.known}")
        return self.label_base + self.label_index[name]

    def legal(self, position: int, min_packets: int = 1) -> tuple[int, int]:
        """Token ids [low, high) that may stand at `position` (1 is the first after the label).

        min_packets: <end> may not stand before as many packets
        """
        if not 1 <= position < self.length:
            raise EdgegenError(f"position {position} is outside 1..{self.length - 1}")
        if position == self.length - 1:
            return self.end, self.end + 1
        if self.has_iat and position % 2 == 0:
            return (0, 1) if position == 2 else (0, self.iat_bins)
        return self.packet_base, self.end + ((position - 1) // self.tokens_per_packet >= min_packets)

    @cached_property
    def _legal(self) -> list[tuple[int, int]]:
        """What is legal at each position; no token is at that of the label."""
        return [(0, 0), *map(self.legal, range(1, self.length))]

    def encode(self, flow: Flow) -> list[int]:
        """Tokens of `flow`, cut to max_packets: pl exact up to max_pl, iat within its bin."""
        tokens = [self.label_token(flow.label)]
        n = min(len(flow), self.max_packets)
        bins = self._bins(flow.iat[:n])
        for i in range(n):
            tokens.append(self.packet_base + flow.dir[i] * (self.max_pl + 1) + min(flow.pl[i], self.max_pl))
            if self.has_iat:
                tokens.append(int(bins[i]))
        tokens.append(self.end)
        return tokens

    def decode(self, tokens: Sequence[int], places: Sequence[int] | None = None) -> Flow:
        """The flow of a legal sequence.

        places: for each position of `tokens` a number 0..2^32-1 that says where inside its bin a time lies;
                without it, a time is the middle of its bin. Codecs without times give 0.0 throughout.
        Raises EdgegenError at the first token that the grammar does not allow.
        """
        if not tokens or not self.label_base <= tokens[0] < self.mode_base:
            raise EdgegenError("a token sequence does not start with a label")
        label = self.labels[tokens[0] - self.label_base]
        flow = Flow(label.name, [], [], [], label.proto)
        for position, token in enumerate(tokens[1:], start=1):
            low, high = self._legal[position] if position < self.length else self.legal(position)
            if not low <= token < high:
                raise EdgegenError(f"token {token} at position {position} is not legal (allowed: {low}..{high - 1})")
            if token == self.end:
                return flow
            if token >= self.packet_base:
                direction, pl = divmod(token - self.packet_base, self.max_pl + 1)
                flow.dir.append(direction)
                flow.pl.append(pl)
                if not self.has_iat:
                    flow.iat.append(0.0)
            else:
                place = 1 << 31 if places is None else places[position]
                flow.iat.append(self.time_us(token, place) / MICROSECONDS)
        raise EdgegenError("a token sequence has no <end>")

    def time_us(self, bin_index: int, place: int) -> int:
        """The time in whole microseconds at `place` / 2^32 of the way through a bin."""
        low, high = self.iat_edges_us[bin_index], self.iat_edges_us[bin_index + 1]
        return low + ((high - low) * place >> 32)

    def _bins(self, iat: Sequence[float]) -> NDArray[np.int64]:
        if not self.has_iat:
            return np.empty(0, np.int64)
        times = np.rint(np.asarray(iat, np.float64) * MICROSECONDS)
        return np.clip(np.searchsorted(self.iat_edges_us, times, side="right") - 1, 0, self.iat_bins - 1)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT} | asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> "Codec":
        """The codec that `to_json` wrote; EdgegenError where `data` is not one."""
        try:
            if data["format"] != FORMAT:
                form = reprlib.repr(data["format"])
                raise EdgegenError(f"codec format {form} is not {FORMAT}: re-export with this edgegen")
            labels = tuple(map(Label.from_json, data["labels"]))
            edges = tuple(int(edge) for edge in data["iat_edges_us"])
            codec = cls(labels, int(data["max_packets"]), int(data["max_pl"]), edges)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise EdgegenError(f"the codec is damaged ({type(error).__name__}: {error}): export it again") from error
        rising = all(low < high for low, high in pairwise(edges)) and len(edges) != 1
        if edges:
            rising &= edges[0] >= 0 and edges[-1] <= LONGEST_US
        if not (labels and 0 < codec.max_packets <= MOST_PACKETS and 0 <= codec.max_pl <= 65_535 and rising):
            raise EdgegenError("the codec is damaged (a size or bin edge out of order): export it again")
        if not (all(0 <= label.share <= 1 for label in labels) and any(label.share for label in labels)):
            raise EdgegenError("the codec is damaged (the shares of its labels are no shares): export it again")
        if not all(not label.modes or (min(label.modes) >= 0 and 0 < sum(label.modes) < 2**32) for label in labels):
            raise EdgegenError("the codec is damaged (the modes of its labels are no counts): export it again")
        if not all(label.proto in (None, TCP, UDP) for label in labels):
            raise EdgegenError(f"the codec is damaged (a transport other than {TCP} and {UDP}): export it again")
        return codec

    @classmethod
    def fit(cls, flows: Sequence[Flow], max_packets: int = 16, times: bool = True) -> "Codec":
        """The codec for a training set: its labels, their shares, and the transport most of a label's flows use."""
        if not flows:
            raise EdgegenError("there are no flows to fit a codec to")
        if not 1 <= max_packets <= MOST_PACKETS:
            raise UsageError(f"--max-packets {max_packets} is outside 1..{MOST_PACKETS}")
        by_label: dict[str, list[int | None]] = {}
        for flow in flows:
            by_label.setdefault(flow.label, []).append(flow.proto)
        labels = tuple(
            Label(name, len(protos) / len(flows), max(set(protos), key=lambda p: (protos.count(p), p or 0)))
            for name, protos in sorted(by_label.items())
        )
        return cls(labels, max_packets) if times else cls(labels, max_packets, iat_edges_us=())
